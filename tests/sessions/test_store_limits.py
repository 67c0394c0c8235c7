"""What stores take: prefixes, credentials in URLs, and how much the memory holds."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.errors import SessionTooLarge
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.base import Record, store_key
from wsgikit.sessions.stores.memcached import MemcachedStore
from wsgikit.sessions.stores.memory import MemoryStore
from wsgikit.sessions.stores.redis import RedisStore

REDIS = "redis://127.0.0.1:6379/9"
UNUSUAL = ["[", "]", "a[b]:", "*", "?", "a*b?c:", "\\", "ü:", "€ ", "^-", "x\r\nSET pwn 1\r\n", "'\"%d{}"]


def record(data=b"data", seconds=60):
    now = time.time()
    return Record(data, now, now + seconds)


@pytest.mark.parametrize("prefix", UNUSUAL, ids=ascii)
def test_a_redis_prefix_of_any_characters_finds_its_own_keys_only(require_service, prefix):
    require_service("redis")
    run = uuid4().hex
    ours = RedisStore(REDIS, prefix=f"{run}{prefix}")
    # Patterns made of our prefix without escapes would match these.
    others = [RedisStore(REDIS, prefix=f"{run}{text}") for text in ("", "b", "ab", "a-b:", "aXbYc:")]
    keys = [store_key(str(number)) for number in range(3)]
    try:
        for key in keys:
            assert ours.save(key, record()) is not None
            assert ours.load(key).data == b"data"
        for other in others:
            other.save(store_key("another"), record())
        assert sorted(ours.keys()) == sorted(keys)
        assert ours.count() == 3
    finally:
        for key in keys:
            assert ours.delete(key)
        for store in (ours, *others):
            store.delete(store_key("another"))
            store.close()


def test_an_empty_redis_prefix_finds_keys_of_sessions_only(require_service):
    require_service("redis")
    store = RedisStore(REDIS, prefix="")
    client = store._clients.get()
    key = store_key(uuid4().hex)
    client.set("another:program", b"x", px=60_000)
    try:
        store.save(key, record())
        keys = list(store.keys())
        assert key in keys
        assert all(len(found) == 64 for found in keys)
    finally:
        store.delete(key)
        client.delete("another:program")
        store.close()


@pytest.mark.parametrize("prefix", [None, 3, b"x"])
def test_a_redis_prefix_that_is_no_text_is_refused(prefix):
    with pytest.raises(ConfigurationError, match=r"^RedisStore: prefix: expected a str, got"):
        RedisStore(REDIS, prefix=prefix)


@pytest.mark.parametrize("prefix", ["a b:", "x\r\nflush_all\r\n", "p" * 187, "ü:", "\0", None, b"x"], ids=ascii)
def test_a_prefix_that_memcached_does_not_take_is_refused_while_building(prefix):
    with pytest.raises(ConfigurationError, match=r"^MemcachedStore: prefix: expected at most 186 ASCII characters"):
        MemcachedStore("memcached://127.0.0.1:11211", prefix=prefix)


@pytest.mark.parametrize("prefix", ["", "p" * 186, "[*]:"])
def test_a_prefix_that_memcached_takes_is_accepted(prefix):
    MemcachedStore("memcached://127.0.0.1:11211", prefix=prefix)


@pytest.mark.parametrize(
    "url",
    [
        "memcached://user:hush@127.0.0.1:11211",
        "memcached://:hush@a:1,b:2",
        "memcached://user:hush@host:port",
        "memcached://host:port?password=hush",
    ],
)
def test_a_password_for_memcached_is_refused_and_not_shown(secret, url):
    with pytest.raises(ConfigurationError) as caught:
        SessionMiddleware(lambda e, s: [], secret_key=secret, store=url)
    assert str(caught.value).startswith("MemcachedStore: store: expected a URL")
    assert "hush" not in str(caught.value)


# ---------------------------------------------------------------------------- memory


def test_the_memory_store_removes_the_least_recently_written_records():
    store = MemoryStore(max_records=10)
    for number in range(10):
        store.save(str(number), record())
    store.touch("0", time.time(), time.time() + 60)
    store.save("1", record(b"new"), store.load("1").version)
    for number in range(10, 18):
        store.save(str(number), record())
    assert store.count() <= 10
    kept = set(store.keys())
    assert {"0", "1", "17"} <= kept
    assert "2" not in kept


def test_the_memory_store_counts_bytes():
    store = MemoryStore(max_bytes=1000)
    for number in range(100):
        store.save(str(number), record(b"x" * 100))
        assert sum(len(entry.data) for entry in store._records.values()) == store._bytes <= 1000
    assert store.load("99") is not None
    for key in list(store.keys()):
        store.delete(key)
    assert store._bytes == 0


def test_the_memory_store_removes_expired_records_before_living_ones(clock):
    store = MemoryStore(max_records=10)
    for number in range(5):
        store.save(f"living {number}", record(seconds=1000))
    for number in range(5):
        store.save(f"dead {number}", record(seconds=1))
    clock.move(2)
    store.save("new", record())
    assert sorted(store.keys()) == [*(f"living {number}" for number in range(5)), "new"]


def test_a_record_larger_than_the_memory_store_is_an_error():
    store = MemoryStore(max_bytes=10)
    store.save("small", record(b"x"))
    with pytest.raises(SessionTooLarge, match="expected at most 10 bytes, got 11"):
        store.save("large", record(b"x" * 11))
    assert list(store.keys()) == ["small"]


def test_a_full_memory_store_warns_once(caplog):
    store = MemoryStore(max_records=2)
    for number in range(10):
        store.save(str(number), record())
    (entry,) = caplog.records
    assert entry.getMessage().startswith("MemoryStore: expected at most 2 records and 268435456 bytes, got more")


@pytest.mark.parametrize("option", ["sweep_every", "max_records", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "10", True, None])
def test_a_limit_that_is_no_whole_number_is_refused(option, value):
    with pytest.raises(ConfigurationError, match=f"^MemoryStore: {option}: expected a whole number above 0"):
        MemoryStore(**{option: value})


def test_visitors_without_cookies_do_not_fill_the_memory(browse):
    browser = browse(lambda session, environ: session.update(n=1), store=MemoryStore(max_records=20))
    for _ in range(100):
        browser.cookie = None
        browser.send("/")
    assert browser.app.manager.store.count() <= 20
