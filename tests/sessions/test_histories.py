"""Random histories of two clients and overlapping requests, on every store and beside a model of plain dicts.

The issue's stateful test: S4, S5, S7, S8. For a store, the model is one dict per id, in which each request's changes
land key by key when it ends, and which is gone once it was destroyed. For cookies it is one dict per client: the last
response that sets the cookie wins.
"""

import copy
import os
import shutil
import socket
import subprocess
import time

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores import open_store

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"
POSTGRESQL = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
MARIADB = "mysql+pymysql://root@127.0.0.1:3306/test"

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from([1, "x", [], [1], {"k": [2]}, (1, [2])])
CLIENTS = st.sampled_from([0, 0, 0, 1])  # overlapping requests need the same client
# Rules are few and steps are many, so that most histories have requests that overlap and change something.
NAMES = ["set_key"] * 4 + ["change_inside"] * 3 + ["remove_key", "clear", "rotate", "destroy", "look", "roll_back"]
STEPS = st.lists(st.tuples(st.sampled_from(NAMES), KEYS, VALUES), min_size=1, max_size=3)


class Request:
    """A request under way: the real session, and what the model knows of it."""

    def __init__(self, session, client, row):
        self.session = session
        self.client = client
        self.row = row  # the model's record it was read from, or None
        self.moved = None  # the record that its dead id was rotated to, which a logout ends
        self.data = copy.deepcopy(row["data"]) if row else {}
        self.changed = set()
        self.is_cleared = False
        self.is_rotated = False
        self.is_destroyed = False
        self.is_forced = False


def machine_for(layer, is_server_side):
    class Histories(RuleBasedStateMachine):
        requests = Bundle("requests")

        def __init__(self):
            super().__init__()
            self.cookies = [None, None]
            self.jars = [None, None]  # the model's: a row each

        @initialize()
        def both_have_a_session(self):
            for client in (0, 1):
                session = layer.open_session(None)
                session.update(a=[0], b=client)
                self.cookies[client] = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
                self.jars[client] = {"data": {"a": [0], "b": client}, "gone": False}

        @rule(target=requests, client=CLIENTS, others=st.sampled_from([0, 1, 1, 2]), steps=STEPS)
        def begin(self, client, others, steps):
            """Requests of one client begin together: that is where they can get in each other's way."""
            begun = [self.begin_one(client) for _ in range(others + 1)]
            self.work(begun[0], steps)
            return multiple(*begun)

        def begin_one(self, client):
            cookie = self.cookies[client]
            session = layer.open_session(f"session={cookie}" if cookie else None)
            row = self.jars[client]
            if row is not None and row["gone"]:
                row = None
            session.get("a")  # it is read now: what comes later from others, it doesn't see
            return Request(session, client, row)

        def set_key(self, request, key, value):
            request.session[key] = copy.deepcopy(value)
            request.data[key] = copy.deepcopy(value)
            request.changed.add(key)

        def remove_key(self, request, key, value):
            assert request.session.pop(key, "none") == request.data.get(key, "none")
            if key in request.data:
                del request.data[key]
                request.changed.add(key)

        def change_inside(self, request, key, value):
            for data in (request.session, request.data):
                value = data.get(key)
                if isinstance(value, dict):
                    value = value["k"]
                if isinstance(value, tuple):
                    value = value[1]
                if isinstance(value, list):
                    value.append(len(value))
                    request.changed.add(key)

        def clear(self, request, key, value):
            request.session.clear()
            if request.data:
                request.data.clear()
                request.changed.clear()
                request.is_cleared = True
            elif request.row is None and request.moved is not None:
                self.destroy(request, key, value)

        def rotate(self, request, key, value):
            request.session.rotate()
            if request.row is not None and not request.is_destroyed:
                request.is_rotated = True

        def destroy(self, request, key, value):
            request.session.destroy()
            request.data.clear()
            request.changed.clear()
            request.is_rotated = False
            request.is_destroyed = request.is_cleared = request.is_forced = True

        def look(self, request, key, value):
            assert request.session == request.data
            assert set(request.session) == set(request.data)

        def roll_back(self, request, key, value):
            # With a store, a rollback reads again what is there by then; the model says so too.
            request.session.rollback()
            row = request.row
            cookie = request.session._header
            if is_server_side and row is not None and row["gone"]:
                request.moved = row.get("moved")
                row = None
            data = (row["data"] if is_server_side else row["data"]) if row else {}
            fresh = Request(request.session, request.client, row)
            fresh.data = copy.deepcopy(data)
            if is_server_side:
                request.row = row
            request.data, request.changed = fresh.data, set()
            request.is_cleared = request.is_rotated = request.is_destroyed = request.is_forced = False
            assert cookie == request.session._header

        @rule(request=requests, steps=STEPS)
        def work(self, request, steps):
            """The application does a few things."""
            for name, key, value in steps:
                getattr(self, name)(request, key, value)

        @rule(request=consumes(requests))
        def fail(self, request):
            """The application answers 500: nothing of it stays."""

        @rule(request=consumes(requests), steps=STEPS)
        def end(self, request, steps):
            self.work(request, steps)
            for line in layer.save_session(request.session):
                self.cookies[request.client] = line.partition(";")[0].partition("=")[2] or None
            if is_server_side:
                self.end_in_store(request)
            else:
                self.end_in_cookie(request)

        def end_in_cookie(self, request):
            is_modified = request.changed or request.is_cleared or request.is_rotated or request.is_forced
            if not is_modified:
                return
            if request.data:
                self.jars[request.client] = {"data": copy.deepcopy(request.data), "gone": False}
            elif request.session._has_cookie:
                self.jars[request.client] = None

        def end_in_store(self, request):
            row, client = request.row, request.client
            is_modified = request.changed or request.is_cleared or request.is_rotated or request.is_forced
            if request.is_destroyed:
                row = row or request.moved
                while row is not None:  # a request in flight may have moved it to another id, and that again
                    row["gone"] = True
                    row = row.get("moved")
                if request.data:
                    self.jars[client] = {"data": copy.deepcopy(request.data), "gone": False}
                elif request.session._has_cookie:
                    self.jars[client] = None
                return
            if row is None and request.session._is_rejected and not (is_modified and request.data):
                self.jars[client] = None  # a dead cookie is deleted
                return
            if not is_modified:
                return
            if row is None:
                if request.data:
                    self.jars[client] = {"data": copy.deepcopy(request.data), "gone": False}
                return
            if not request.data and (request.is_rotated or row["gone"]):
                row["gone"] = True
                self.jars[client] = None
                return
            if row["gone"]:
                return  # what was destroyed stays so
            merged = {} if request.is_cleared else row["data"]
            for key in request.changed:
                if key in request.data:
                    merged[key] = copy.deepcopy(request.data[key])
                else:
                    merged.pop(key, None)
            if not request.data and not merged:  # emptied, and nobody else put anything in: that ends it
                row["gone"] = True
                self.jars[client] = None
            elif request.is_rotated:
                row["gone"] = True
                row["moved"] = self.jars[client] = {"data": merged, "gone": False}
            else:
                row["data"] = merged

        @invariant()
        def what_a_fresh_request_reads_is_what_the_model_has(self):
            for client in (0, 1):
                cookie = self.cookies[client]
                read = layer.open_session(f"session={cookie}" if cookie else None).copy()
                row = self.jars[client]
                assert read == (row["data"] if row is not None and not row["gone"] else {})

    return Histories


@pytest.fixture
def memcached():
    program = shutil.which("memcached")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("memcached is not installed")
        pytest.skip("memcached is not installed")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [program, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.02)
    yield f"memcached://127.0.0.1:{port}"
    server.terminate()
    server.wait(10)


STORES = ["cookie", "encrypted", "flask", "memory", "sqlite", "postgresql", "mariadb", "redis", "memcached"]
MOST_EXAMPLES = {"cookie": 60, "encrypted": 40, "flask": 40, "memory": 200, "sqlite": 25}


@pytest.mark.parametrize("kind", STORES)
def test_random_histories_agree_with_the_model(kind, request, require_service, tmp_path):
    options = {"cookie": {}, "encrypted": {"encrypt": True}, "flask": {"cookie_format": "flask"}}.get(kind)
    if options is None:
        if kind in ("postgresql", "mariadb", "redis"):
            require_service(kind)
        urls = {
            "memory": "memory://",
            "sqlite": f"sqlite:///{tmp_path}/s.db",
            "postgresql": POSTGRESQL,
            "mariadb": MARIADB,
            "redis": "redis://127.0.0.1:6379/9",
        }
        url = urls.get(kind) or request.getfixturevalue("memcached")
        options = {"store": open_store("test", url)}
    layer = SessionMiddleware(lambda e, s: [], secret_key=SECRET, cookie_max_bytes=1 << 16, **options)
    run_state_machine_as_test(
        machine_for(layer, "store" in options),
        settings=settings(
            max_examples=MOST_EXAMPLES.get(kind, 12),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    layer.close()
