"""Every store passes the contract suite. Points S6, S21, S22 and the issue's list of stores."""

import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.errors import StoreUnavailable, UnsupportedByStore
from wsgikit.sessions.stores import open_store
from wsgikit.sessions.stores.base import Record, SessionStore
from wsgikit.sessions.stores.memcached import MemcachedStore
from wsgikit.sessions.stores.memory import MemoryStore
from wsgikit.testing.conformance import ConformanceError
from wsgikit.testing.stores import STORE_SCENARIOS, assert_store_conforms

POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
MARIADB = "mysql+pymysql://root@127.0.0.1:3306/test"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class MemcachedServer:
    """A memcached on a port of the test's own, that can be started again."""

    def __init__(self):
        self.program = shutil.which("memcached")
        if self.program is None:
            if os.environ.get("CI") == "true":
                pytest.fail("memcached is not installed")
            pytest.skip("memcached is not installed")
        self.port = free_port()
        self.url = f"memcached://127.0.0.1:{self.port}"

    def start(self):
        command = [self.program, "-l", "127.0.0.1", "-p", str(self.port), "-U", "0"]
        if os.getuid() == 0:
            command += ["-u", "nobody"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def memcached():
    server = MemcachedServer()
    server.start()
    yield server.url
    server.stop()


@pytest.mark.parametrize("step", ["load", "save", "delete", "touch"])
def test_s19_a_memcached_that_was_restarted_has_forgotten_and_answers_at_once(step):
    server = MemcachedServer()
    server.start()
    store = open_store("test", server.url)
    now = time.time()
    keys = [f"{number:064d}" for number in range(4)]
    barrier = threading.Barrier(4)

    def use(key):
        barrier.wait(10)  # so that the pool has several connections
        store.save(key, Record(b"x", now, now + 60))

    threads = [threading.Thread(target=use, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    server.stop()
    server.start()
    steps = {
        "load": lambda key: store.load(key) is None,
        "save": lambda key: store.save(key, Record(b"y", now, now + 60)) is not None,
        "delete": lambda key: store.delete(key) is False,
        "touch": lambda key: store.touch(key, now, now + 90) is False,
    }
    assert all(steps[step](key) for key in keys)
    store.close()
    server.stop()


@pytest.fixture(params=["memory", "sqlite memory", "sqlite file", "postgresql", "mariadb", "redis", "memcached"])
def url(request, tmp_path, require_service):
    kind = request.param
    if kind == "memory":
        return "memory://"
    if kind == "sqlite memory":
        return "sqlite://"
    if kind == "sqlite file":
        return f"sqlite:///{tmp_path}/sessions.db"
    if kind == "memcached":
        return request.getfixturevalue("memcached")
    require_service(kind)
    return {"postgresql": POSTGRESQL, "mariadb": MARIADB, "redis": "redis://127.0.0.1:6379/9"}[kind]


@pytest.fixture
def store(url):
    store = open_store("test", url)
    yield store
    store.close()


@pytest.mark.parametrize("scenario", STORE_SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_store_keeps_the_contract(store, scenario, claims):
    scenario.run(store)
    if scenario.name == "count" and isinstance(store, MemcachedStore):
        with pytest.raises(UnsupportedByStore):
            store.count()
    else:
        assert claims, "a rule that claims nothing shows nothing"
    assert all(claims)


def test_the_contract_suite_names_every_rule_that_a_bad_store_breaks():
    class Forgetful(MemoryStore):
        def save(self, key, record, expected=None):
            self._version += 1
            self._records[key] = Record(record.data, record.accessed, record.expires, self._version)
            return self._version

    with pytest.raises(ConformanceError) as caught:
        assert_store_conforms(Forgetful)
    broken = {failure.name for failure in caught.value.failures}
    assert {"no_overwriting", "outdated_version", "no_resurrection", "no_revival", "one_winner"} <= broken
    assert "Saving over a record that was deleted writes nothing" in str(caught.value)


class Inventing(MemoryStore):
    def load(self, key):
        return super().load(key) or Record(b"[]", time.time(), time.time() + 60, 1)


class Rounding(MemoryStore):
    def save(self, key, record, expected=None):
        return super().save(key, record._replace(accessed=int(record.accessed) - 1), expected)


class Text(MemoryStore):
    def save(self, key, record, expected=None):
        return super().save(key, record._replace(data=record.data.strip()), expected)


class Unversioned(MemoryStore):
    def save(self, key, record, expected=None):
        return None if super().save(key, record, self._version_of(key)) is None else 1

    def load(self, key):
        record = super().load(key)
        return record and record._replace(version=1)

    def _version_of(self, key):
        record = super().load(key)
        return record and record.version


class Reviving(MemoryStore):
    def save(self, key, record, expected=None):
        return super().save(key, record, expected if self.load(key) else None)


class Obstructed(MemoryStore):
    def save(self, key, record, expected=None):
        return None if expected is None and key in self._records else super().save(key, record, expected)


class Mute(MemoryStore):
    def delete(self, key):
        super().delete(key)


class Rash(MemoryStore):
    def delete(self, key):
        found = super().delete(key)
        self._records.clear()
        return found


class Untouched(MemoryStore):
    def touch(self, key, accessed, expires):
        return self.load(key) is not None


class Wiping(MemoryStore):
    def touch(self, key, accessed, expires):
        record = self.load(key)
        return record is not None and self.save(key, record._replace(data=b"", expires=expires), record.version) > 0


class Making(MemoryStore):
    def touch(self, key, accessed, expires):
        return super().touch(key, accessed, expires) or self.save(key, Record(b"", accessed, expires)) is None


class Stuck(MemoryStore):
    def touch(self, key, accessed, expires):
        found = super().touch(key, accessed, expires)
        if found:
            self._records[key] = self._records[key]._replace(version=-1)
        return found

    def save(self, key, record, expected=None):
        return None if expected == -1 else super().save(key, record, expected)


class Unguarded(MemoryStore):
    def save(self, key, record, expected=None):
        present = self.load(key)
        if (present and present.version) != expected:
            return None
        time.sleep(0.01)  # all the others get here too
        self._version += 1
        self._records[key] = record._replace(version=self._version)
        return self._version


class Sweeping(MemoryStore):
    def sweep(self, limit=1000):
        return super().sweep(10**6)


class Clearing(MemoryStore):
    def sweep(self, limit=1000):
        swept, self._records = len(self._records), {}
        return min(swept, limit)


class Counting(MemoryStore):
    def count(self):
        return len(self._records)


class Closed(MemoryStore):
    is_closed = False

    def close(self):
        self.is_closed = True

    def load(self, key):
        if self.is_closed:
            raise StoreUnavailable("closed")
        return super().load(key)


class Once(MemoryStore):
    is_made = False

    def create(self):
        if self.is_made:
            raise StoreUnavailable("there already")
        self.is_made = True


@pytest.mark.parametrize(
    ("broken", "rules"),
    [
        (Inventing, {"unknown_key"}),
        (Rounding, {"load_after_save"}),
        (Text, {"any_bytes"}),
        (Unversioned, {"swap", "outdated_version"}),
        (Reviving, {"no_resurrection", "no_revival"}),
        (Obstructed, {"after_expiry"}),
        (Mute, {"delete"}),
        (Rash, {"delete_one"}),
        (Untouched, {"touch"}),
        (Wiping, {"touch"}),
        (Making, {"touch_nothing"}),
        (Stuck, {"save_after_touch"}),
        (Unguarded, {"one_winner", "one_beginner"}),
        (Sweeping, {"sweep"}),
        (Clearing, {"sweep"}),
        (Counting, {"count"}),
        (Closed, {"after_close"}),
        (Once, {"create_twice"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_contract_suite_names_the_rule_that_a_store_breaks(broken, rules):
    with pytest.raises(ConformanceError) as caught:
        assert_store_conforms(broken)
    assert rules <= {failure.name for failure in caught.value.failures}


def test_the_contract_suite_passes_on_a_good_store(claims):
    assert_store_conforms(MemoryStore)
    assert len(claims) > len(STORE_SCENARIOS)


@pytest.mark.parametrize(
    "address",
    [
        "redis://127.0.0.1:{}/0",
        "memcached://127.0.0.1:{}",
        "postgresql+psycopg://x@127.0.0.1:{}/x",
        "mysql+pymysql://x@127.0.0.1:{}/x",
    ],
)
def test_a_store_that_is_down_says_so_and_nothing_connects_before_it_is_used(address):
    store = open_store("test", address.format(free_port()))
    with pytest.raises(StoreUnavailable, match="expected an answer from|expected an answer, got"):
        store.load("a" * 64)
    store.close()


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize("step", ["load", "save", "delete", "touch"])
@pytest.mark.parametrize("is_given", [False, True], ids=["url", "engine"])
def test_s19_a_connection_that_the_database_dropped_is_noticed_by_nobody(kind, step, is_given, require_service):
    import sqlalchemy as sa

    from wsgikit.sessions.stores.sql import SqlStore

    require_service(kind)
    where, ask, kill = {
        "postgresql": (POSTGRESQL, "SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mariadb": (MARIADB, "SELECT CONNECTION_ID()", "KILL {}"),
    }[kind]
    engine = sa.create_engine(where)
    store = SqlStore(engine if is_given else where, create_table=True)
    key = "c" * 60 + f"{os.getpid() % 10000:04d}"
    store.delete(key)
    now = time.time()
    version = store.save(key, Record(b"x", now, now + 60))
    with store._engines.get().connect() as connection:  # the pool's only one
        number = connection.scalar(sa.text(ask))
    other = sa.create_engine(where, isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        connection.execute(sa.text(kill.format(number)))
    other.dispose()
    done = {
        "load": lambda: store.load(key).data == b"x",
        "save": lambda: store.save(key, Record(b"y", now, now + 60), version) is not None,
        "delete": lambda: store.delete(key),
        "touch": lambda: store.touch(key, now, now + 90),
    }[step]()
    assert done
    store.delete(key)
    store.close()
    engine.dispose()


HANGING = [
    "redis://127.0.0.1:{}/0",
    "memcached://127.0.0.1:{}",
    "postgresql+psycopg://x@127.0.0.1:{}/x",
    "mysql+pymysql://x@127.0.0.1:{}/x",
]


def test_s19_a_store_that_takes_connections_and_never_answers_is_given_up():
    ends = {}

    def ask(store):
        try:
            store.load("a" * 64)
        except StoreUnavailable as error:
            ends[store] = error
        finally:
            store.close()

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # the kernel takes them; nobody reads
        stores = [open_store("test", address.format(listener.getsockname()[1])) for address in HANGING]
        threads = [threading.Thread(target=ask, args=(store,), daemon=True) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)  # each waits for a few seconds
        given_up = [repr(store) for store in stores if store in ends]  # before the listener is closed, which ends all
    assert given_up == list(map(repr, stores))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redsi://localhost", "got 'redsi://'. Did you mean 'redis'"),
        ("redis", "expected a URL such as 'redis://127.0.0.1:6379/0', or a SessionStore, got 'redis'"),
        (None, "expected a URL such as"),
        ("user:password@host", "got 'str'"),
        ("postgresql+nodriver://x", "expected an installed driver for postgresql"),
        ("memcached://", "expected a URL such as 'memcached://127.0.0.1:11211'"),
        ("memcached://host:notaport", "expected a URL such as 'memcached://127.0.0.1:11211'"),
    ],
)
def test_a_store_that_cannot_be_is_refused_while_building(url, message):
    with pytest.raises(ConfigurationError) as caught:
        open_store("SessionMiddleware", url)
    assert message in str(caught.value)
    assert "password" not in str(caught.value)


def test_s4_threads_that_set_different_keys_all_survive_in_each_store(store):
    from wsgikit.sessions.middleware import SessionMiddleware

    layer = SessionMiddleware(lambda e, s: [], secret_key="9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a", store=store)
    session = layer.open_session(None)
    session["start"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    barrier = threading.Barrier(4)
    errors = []

    def work(number):
        try:
            barrier.wait(10)
            for step in range(3):
                mine = layer.open_session(cookie)
                mine[f"{number}.{step}"] = 1
                layer.save_session(mine)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    session = layer.open_session(cookie)
    assert len(session) == 13
    session.destroy()
    layer.save_session(session)


def test_s4_under_a_lock_no_increment_is_lost_in_any_store(store):
    from wsgikit.sessions.middleware import SessionMiddleware

    layer = SessionMiddleware(lambda e, s: [], secret_key="9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a", store=store)
    session = layer.open_session(None)
    session["n"] = 0
    cookie = layer.save_session(session)[0].partition(";")[0]
    errors = []

    def work():
        try:
            for _ in range(5):
                mine = layer.open_session(cookie)
                with mine.lock(timeout_seconds=60):
                    mine["n"] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    session = layer.open_session(cookie)
    assert session == {"n": 20}
    session.destroy()
    layer.save_session(session)


SHARED = ["sqlite file", "postgresql", "mariadb", "redis", "memcached"]


@pytest.mark.parametrize("url", SHARED, indirect=True)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_connections_of_its_own(url):
    """Both sides of a fork use the store at once: on a socket that two share, each gets the other's answers."""
    store = open_store("test", url)
    key = "f" * 60 + f"{os.getpid() % 10000:04d}"
    store.delete(key)
    assert store.save(key, Record(b"parent", time.time(), time.time() + 60)) is not None
    child = os.fork()
    if child == 0:
        code = 1
        try:
            record = store.load(key)
            wrote = store.save(key + "", Record(b"child", time.time(), time.time() + 60), record.version)
            code = 0 if record.data == b"parent" and wrote is not None else 2
        finally:
            os._exit(code)
    for _ in range(50):
        assert store.load(key) is not None
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.load(key).data == b"child"
    store.delete(key)
    store.close()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_a_table_that_is_made_anew_keeps_the_contract_and_has_its_index(kind, tmp_path, require_service, claims):
    import sqlalchemy as sa

    from wsgikit.sessions.stores.sql import SqlStore

    if kind != "sqlite":
        require_service(kind)
    where = {"sqlite": f"sqlite:///{tmp_path}/new.db", "postgresql": POSTGRESQL, "mariadb": MARIADB}[kind]
    table = f"wsgikit_made_{os.getpid()}"
    engine = sa.create_engine(where)
    try:
        assert not sa.inspect(engine).has_table(table)
        engine.dispose()  # a connection of SQLite's that knows the old schema sees no new index
        assert_store_conforms(lambda: SqlStore(where, table=table))
        assert all(claims)
        assert [index["column_names"] for index in sa.inspect(engine).get_indexes(table)] == [["expires"]]
    finally:
        sa.Table(table, sa.MetaData()).drop(engine, checkfirst=True)
        engine.dispose()


def test_memcached_keeps_a_session_for_longer_than_it_counts_in_seconds(memcached):
    store = open_store("test", memcached)
    key = "d" * 64
    for days in (29, 31, 400):  # above 30 days it takes a number for a time since 1970
        version = store.save(key, Record(b"x", time.time(), time.time() + days * 86_400))
        assert store.load(key).data == b"x", days
        assert store.save(key, Record(b"y", time.time(), time.time() + days * 86_400), version) is not None
        assert store.load(key).data == b"y", days
        store.delete(key)
    store.close()


def test_a_sql_store_takes_an_engine_and_makes_its_table_only_when_told_to(tmp_path):
    import sqlalchemy as sa

    from wsgikit.sessions.stores.sql import SqlStore

    engine = sa.create_engine(f"sqlite:///{tmp_path}/own.db")
    store = SqlStore(engine, table="my_sessions")
    with pytest.raises(
        StoreUnavailable, match=r"table 'my_sessions': expected it in sqlite:///.*, got none. Call create"
    ):
        store.load("a" * 64)
    store.create()
    assert store.load("a" * 64) is None
    columns = {column["name"] for column in sa.inspect(engine).get_columns("my_sessions")}
    assert columns == {"id_hash", "data", "version", "accessed", "expires"}
    assert [index["column_names"] for index in sa.inspect(engine).get_indexes("my_sessions")] == [["expires"]]
    engine.dispose()


def test_an_engine_that_is_given_is_left_open():
    import sqlalchemy as sa

    from wsgikit.sessions.stores.sql import SqlStore

    engine = sa.create_engine("sqlite://", poolclass=sa.pool.StaticPool)
    store = SqlStore(engine, create_table=True)
    store.create()
    store.save("a" * 64, Record(b"x", time.time(), time.time() + 60))
    store.close()
    assert store.load("a" * 64).data == b"x"
    engine.dispose()


def test_a_redis_client_that_is_given_is_used_and_left_open(require_service):
    require_service("redis")
    import redis

    from wsgikit.sessions.stores.redis import RedisStore

    for decode in (False, True):
        client = redis.Redis(host="127.0.0.1", port=6379, db=9, decode_responses=decode)
        store = RedisStore(client)
        assert_store_conforms(lambda store=store: store, skip={"any_bytes"} if decode else ())
        store.close()
        assert client.ping()
        client.close()


@pytest.mark.parametrize("kind", ["PooledClient", "HashClient"])
def test_a_client_of_memcached_that_is_given_is_used_and_left_open(memcached, claims, kind):
    import pymemcache

    host, port = memcached.removeprefix("memcached://").split(":")
    place = (host, int(port))
    # HashClient is for one thread unless it pools.
    if kind == "PooledClient":
        client = pymemcache.PooledClient(place, default_noreply=False)
    else:
        client = pymemcache.HashClient([place], use_pooling=True, default_noreply=False)
    assert_store_conforms(lambda: MemcachedStore(client))
    assert all(claims)
    assert client.set("still", b"open")
    assert client.get("still") == b"open"
    client.close()


def test_redis_expires_sessions_by_itself(require_service):
    require_service("redis")
    import redis

    store = open_store("test", "redis://127.0.0.1:6379/9")
    client = redis.Redis(host="127.0.0.1", port=6379, db=9)
    key = "e" * 64
    store.delete(key)
    store.save(key, Record(b"x", time.time(), time.time() + 100))
    assert 99_000 < client.pttl("wsgikit:session:" + key) <= 100_001
    store.touch(key, time.time(), time.time() + 200)
    assert 199_000 < client.pttl("wsgikit:session:" + key) <= 200_001
    store.save(key, Record(b"y", time.time(), time.time() + 300), store.load(key).version)
    assert 299_000 < client.pttl("wsgikit:session:" + key) <= 300_001
    store.delete(key)
    store.close()
    client.close()


def test_several_processes_may_make_the_table_at_the_same_time(tmp_path):
    url = f"sqlite:///{tmp_path}/race.db"
    stores = [open_store("test", url) for _ in range(6)]
    barrier = threading.Barrier(6)
    errors = []

    def use(store):
        barrier.wait(10)
        try:
            store.load("a" * 64)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=use, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for store in stores:
        store.close()
    assert errors == []


def test_s6_the_memory_store_sweeps_itself_so_that_it_does_not_grow_for_ever(clock):
    store = MemoryStore(sweep_every=100)
    for number in range(1000):
        store.save(f"{number:064d}", Record(b"x", clock.now, clock.now + 10))
        clock.move(1)
    assert len(store._records) < 120


def test_s6_sweeping_goes_in_bounded_batches(clock, tmp_path):
    for store in (MemoryStore(), open_store("test", f"sqlite:///{tmp_path}/sweep.db")):
        for number in range(25):
            store.save(f"{number:064d}", Record(b"x", clock.now, clock.now + 10))
        store.save("a" * 64, Record(b"x", clock.now, clock.now + 1000))
        clock.move(100)
        assert [store.sweep(10), store.sweep(10), store.sweep(10), store.sweep(10)] == [10, 10, 5, 0]
        assert store.count() == 1
        store.close()


def test_a_store_of_ones_own_needs_four_methods():
    class Minimal(SessionStore):
        def __init__(self):
            self.inner = MemoryStore()

        def load(self, key):
            return self.inner.load(key)

        def save(self, key, record, expected=None):
            return self.inner.save(key, record, expected)

        def delete(self, key):
            return self.inner.delete(key)

        def touch(self, key, accessed, expires):
            return self.inner.touch(key, accessed, expires)

    assert_store_conforms(Minimal)
    assert repr(Minimal()) == "<Minimal>"
