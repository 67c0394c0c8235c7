"""The stores of the cache, on one contract: memory and Redis."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from tests.middleware.cache.conftest import Origin, call
from wsgikit import CacheMiddleware, build_stack, use
from wsgikit.middleware.cache.entry import Entry
from wsgikit.middleware.cache.redis_store import RedisCache
from wsgikit.middleware.cache.stores import MemoryCache

URL = "redis://127.0.0.1:6379/0"
KEYS = [
    ("http", "a.example", "", path, query) for path, query in [("/a", ""), ("/a", "x=*"), ("/a[b]", ""), ("/ü", "")]
]


def entry(body=b"body", names=(), tags=(), seconds=60, **more):
    now = time.time()
    values = {
        "status": "200 OK",
        "headers": (("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")),
        "body": body,
        "names": tuple(names),
        "born": now,
        "fresh_until": now + seconds,
        "revalidated_until": now + seconds,
        "error_until": now + seconds,
        "kept_until": now + seconds,
        "is_shared": False,
        "is_anonymous": False,
        "tags": tuple(tags),
    }
    return Entry(**{**values, **more})


@pytest.fixture(params=["memory", "redis"])
def store(request):
    if request.param == "memory":
        yield MemoryCache(1_000_000)
        return
    request.getfixturevalue("require_service")("redis")
    prefix = f"wsgikit:test:{uuid.uuid4().hex}*[:"
    store = RedisCache(URL, prefix=prefix)
    yield store
    for name in store._client.scan_iter(count=1000):
        if name.startswith(prefix.encode()):
            store._client.delete(name)
    store.close()


def test_what_was_saved_is_loaded(store):
    for number, key in enumerate(KEYS):
        assert store.load(key, {}) is None
        made = entry(bytes([number, 10, 0, 255]))
        store.save(key, {}, made, store.mark(key))
        assert store.load(key, {}) == made
    store.remove(KEYS[0])
    assert [store.load(key, {}) is None for key in KEYS] == [True, False, False, False]


def test_variants_are_selected_by_the_request(store):
    key = KEYS[0]
    for language in ("de", "en"):
        made = entry(language.encode(), names=["accept-language"])
        store.save(key, {"HTTP_ACCEPT_LANGUAGE": language}, made, store.mark(key))
    assert store.load(key, {"HTTP_ACCEPT_LANGUAGE": "de"}).body == b"de"
    assert store.load(key, {"HTTP_ACCEPT_LANGUAGE": "en"}).body == b"en"
    assert store.load(key, {"HTTP_ACCEPT_LANGUAGE": "fr"}) is None
    assert store.load(key, {}) is None
    # Another header more: what was stored without it can't be told apart any more.
    store.save(key, {"HTTP_X": "1", "HTTP_ACCEPT_LANGUAGE": "de"}, entry(names=["x"]), store.mark(key))
    assert store.load(key, {"HTTP_ACCEPT_LANGUAGE": "en", "HTTP_X": "1"}) is None
    assert store.load(key, {"HTTP_ACCEPT_LANGUAGE": "de", "HTTP_X": "1"}) is not None
    assert store.load(key, {"HTTP_ACCEPT_LANGUAGE": "de"}) is None


def test_pages_are_purged_by_tag_and_prefix(store):
    for key, tags in zip(KEYS, [["a", "b"], ["b"], [], ["c"]], strict=True):
        store.save(key, {}, entry(tags=tags), store.mark(key))
    assert store.purge("nothing") == 0
    assert store.purge("b") == 2
    assert store.purge("b") == 0
    assert [store.load(key, {}) is None for key in KEYS] == [True, True, False, False]
    assert store.purge_prefix("/a[") == 1
    assert store.purge_prefix("/") == 1
    assert [store.load(key, {}) for key in KEYS] == [None] * 4


@pytest.fixture
def redis(require_service):
    require_service("redis")
    prefix = f"wsgikit:test:{uuid.uuid4().hex}:"
    stores = [RedisCache(URL, prefix=prefix) for _ in range(2)]
    yield stores
    stores[0].purge_prefix("")
    for store in stores:
        store.close()


@pytest.mark.parametrize("purge", ["tag", "prefix", "remove"])
def test_a_purge_by_another_process_reaches_a_response_on_its_way(redis, purge):
    one, other = redis
    mark = one.mark(KEYS[0])
    {
        "tag": lambda: other.purge("a"),
        "prefix": lambda: other.purge_prefix("/b"),
        "remove": lambda: other.remove(KEYS[0]),
    }[purge]()
    one.save(KEYS[0], {}, entry(), mark)
    assert one.load(KEYS[0], {}) is None
    one.save(KEYS[0], {}, entry(), one.mark(KEYS[0]))
    assert other.load(KEYS[0], {}) is not None


def test_redis_forgets_what_is_of_no_use_any_more(redis):
    one, _ = redis
    one.save(KEYS[0], {}, entry(tags=["a"], seconds=100), one.mark(KEYS[0]))
    assert 95 <= one._client.ttl(one._page(KEYS[0])) <= 100
    assert 95 <= one._client.ttl(one._tag("a")) <= 100
    one.save(KEYS[0], {}, entry(tags=["a"], seconds=10), one.mark(KEYS[0]))
    assert one._client.ttl(one._page(KEYS[0])) > 10


def test_processes_share_redis(require_service):
    require_service("redis")
    origin = Origin()
    path = f"/{uuid.uuid4().hex}"
    stacks = [build_stack(origin, use(CacheMiddleware, store=URL)) for _ in range(2)]
    assert [call(stack, path).body for stack in stacks] == [b"1", b"1"]
    assert stacks[1].find(CacheMiddleware).purge_prefix(path) == 1
    assert call(stacks[0], path).body == b"2"
    stacks[0].find(CacheMiddleware).purge_prefix(path)
    for stack in stacks:
        stack.close()


def test_without_redis_pages_come_from_the_application(caplog):
    origin = Origin()
    stack = build_stack(origin, use(CacheMiddleware, store="redis://127.0.0.1:1/0"))
    assert [call(stack).body for _ in range(3)] == [b"1", b"2", b"3"]
    call(stack, method="POST")
    assert caplog.text.count("Redis failed, so pages come from the application") == 1
    stack.close()


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\nbody", b"null", b'{"status": "200 OK"}\n', b"\xff\n"])
def test_what_is_no_entry_is_none(data):
    assert Entry.from_bytes(data) is None


def test_an_entry_is_one_line_of_json_and_its_body():
    made = entry(b"line\nline", names=["a"], tags=["b"])
    head, _, body = made.to_bytes().partition(b"\n")
    assert json.loads(head)["status"] == "200 OK"
    assert body == b"line\nline"
    assert Entry.from_bytes(made.to_bytes()) == made
