"""``wsgikit cache purge``."""

from __future__ import annotations

import time
import uuid

import pytest
from click.testing import CliRunner

from tests.middleware.cache.test_cache_stores import URL, entry
from wsgikit.cli import main
from wsgikit.middleware.cache.redis_store import RedisCache

INI = """
[filter-app:main]
use = egg:wsgikit#cache
store = {store}
next = app

[app:app]
use = egg:wsgikit#app
app = wsgiref.simple_server:demo_app
"""


def run(*arguments):
    return CliRunner().invoke(main, ["cache", "purge", *map(str, arguments)])


@pytest.fixture
def filled(require_service):
    """A cache in Redis with pages of a path and tag that no other test has: the store, the path, the tag."""
    require_service("redis")
    name = uuid.uuid4().hex
    store = RedisCache(URL)
    keys = [("http", "a.example", "", f"/{name}/{number}", "") for number in range(3)]
    for number, key in enumerate(keys):
        store.save(key, {}, entry(tags=[f"{name}-{number}"]), store.mark(key))

    def left():
        return [number for number, key in enumerate(keys) if store.load(key, {}) is not None]

    yield name, left
    store.purge_prefix(f"/{name}")
    store.close()


def test_pages_are_purged_by_tag_and_prefix_of_a_url(filled):
    name, left = filled
    result = run(URL, f"{name}-0", "nothing")
    assert (result.exit_code, result.output, left()) == (0, "1 page purged.\n", [1, 2])
    result = run(URL, "--prefix", f"/{name}/1", "--prefix", f"/{name}/2")
    assert (result.exit_code, result.output, left()) == (0, "2 pages purged.\n", [])


def test_the_cache_of_an_ini_file_is_purged(filled, tmp_path):
    name, left = filled
    ini = tmp_path / "app.ini"
    ini.write_text(INI.format(store=URL))
    assert run(ini, f"{name}-1").output == "1 page purged.\n"
    assert left() == [0, 2]


MISTAKES = {
    "nothing to purge": ([URL], 2, "Say what to purge"),
    "no such scheme": (["mysql://x", "a"], 1, "expected memory:// or redis://"),
    "memory": (["memory://", "a"], 1, "in the memory of each process"),
}


@pytest.mark.parametrize(("arguments", "code", "text"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_explained(arguments, code, text):
    result = run(*arguments)
    assert result.exit_code == code
    assert text in " ".join(result.output.split())


def test_memory_in_an_ini_file_is_refused(tmp_path):
    ini = tmp_path / "app.ini"
    ini.write_text(INI.format(store="memory://"))
    result = run(ini, "--all")
    assert result.exit_code == 1
    assert "in the memory of each process" in " ".join(result.output.split())
    ini.write_text(INI.format(store="memory://").replace("#cache", "#conditional").replace("store = memory://\n", ""))
    assert "expected a CacheMiddleware in it" in run(ini, "--all").output


def test_everything_is_purged(require_service):
    require_service("redis")
    store = RedisCache(URL.replace("/0", "/9"))  # another database: everything else stays
    key = ("http", "a.example", "", f"/{time.time_ns()}", "")
    store.save(key, {}, entry(), store.mark(key))
    assert run(URL.replace("/0", "/9"), "--all").exit_code == 0
    assert store.load(key, {}) is None
    store.close()
