"""Random requests on real databases and on a model of them: the same rows, the same functions called, in order."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OPERATIONS = ("insert", "read", "commit", "rollback", "nested", "nested and lost", "on_commit", "on_rollback")
UNKNOWN_TO_DRIVERS = ("nested", "nested and lost")
OF_THE_MANAGER = ("commit", "rollback")
RULES = {"success": lambda status: status < "4", "no-exception": lambda status: True, "manual": lambda status: False}


class Broken(Exception):
    """What a view or a stream raises."""


class Model:
    """What should be in the table, and what should have been called.

    Attributes:
        rows: what is committed.
        events: the functions that were called.
    """

    def __init__(self, request):
        self.rows, self.events = [], []
        self._pending, self._on_commit, self._on_rollback = [], [], []
        self._is_driver = request["kind"] == "driver"

    def run(self, operation, name):
        match operation:
            case "insert" | "nested":
                self._pending.append(name)
            case "commit" | "rollback" if self._is_driver:  # the driver doesn't tell the layer
                self.rows += self._pending if operation == "commit" else []
                self._pending = []
            case "commit" | "rollback":
                self.end(operation == "commit")
            case "on_commit":
                self._on_commit.append(f"{name} committed")
            case "on_rollback":
                self._on_rollback.append(f"{name} rolled back")

    def end(self, is_committed):
        self.rows += self._pending if is_committed else []
        self.events += self._on_commit if is_committed else self._on_rollback
        self._pending, self._on_commit, self._on_rollback = [], [], []


def run(handle, operation, name, events, kind):
    """Do for real what the model does."""

    def execute(statement):
        if kind == "driver":
            cursor = handle.cursor()
            cursor.execute(statement)
            cursor.close()
        else:
            handle.execute(sa.text(statement))

    def insert():
        execute(f"INSERT INTO notes (text) VALUES ('{name}')")

    match operation:
        case "insert":
            insert()
        case "read":
            execute("SELECT 1")
        case "commit" | "rollback":
            getattr(handle, operation)()
        case "nested":
            with handle.begin_nested():
                insert()
        case "nested and lost":
            with contextlib.suppress(Broken), handle.begin_nested():
                insert()
                raise Broken
        case "on_commit":
            handle.on_commit(lambda: events.append(f"{name} committed"))
        case "on_rollback":
            handle.on_rollback(lambda: events.append(f"{name} rolled back"))


def expected(request):
    """Return what the model has at the head, or None if there is none, and at the end."""
    model = Model(request)
    for number, operation in enumerate(request["view"]):
        model.run(operation, f"view {number}")
    if request["status"] is None:
        model.end(False)
        return None, model
    flag = request["flag"]
    is_wanted = RULES[request["commit"]](request["status"]) if flag is None else flag
    model.end(is_wanted)  # also if the body streams: no cursor is open here
    at_head = list(model.rows)
    if request["is_streaming"]:
        for number, operation in enumerate(request["stream"]):
            model.run(operation, f"stream {number}")
        model.end(is_wanted and request["ends"] == "complete")
    return at_head, model


@st.composite
def requests(draw):
    kind = draw(st.sampled_from(["session", "connection", "driver"]))
    manager = kind != "driver" and draw(st.booleans())
    refused = (UNKNOWN_TO_DRIVERS if kind == "driver" else ()) + (OF_THE_MANAGER if manager else ())
    operations = st.lists(st.sampled_from([one for one in OPERATIONS if one not in refused]), max_size=4)
    return {
        "kind": kind,
        "manager": manager,
        "release": draw(st.sampled_from(["close", "complete", "response"])),
        "retries": draw(st.sampled_from([0, 1])),
        "commit": draw(st.sampled_from(list(RULES))),
        "view": draw(operations),
        "flag": draw(st.sampled_from([None, None, True, False])),
        "status": draw(st.sampled_from(["200 OK", "302 Found", "404 Not Found", None])),
        "is_streaming": draw(st.booleans()),
        "stream": draw(operations),
        "ends": draw(st.sampled_from(["complete", "raises", "client leaves"])),
    }


@pytest.fixture
def stay_open():
    """Keep what is given open until the end of the test."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


def test_random_requests_do_what_the_model_does(database, wrap, call, note, stay_open):
    """D1, D3, D4, B50, B61: whatever a view and its stream do, on a pool of one connection."""
    layers = {}
    events = []
    current = {}
    watch = stay_open(database.engine.connect()).execution_options(isolation_level="AUTOCOMMIT")
    notes = note.__table__

    def texts():
        return list(watch.scalars(sa.select(notes.c.text).order_by(notes.c.id)))

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        for number, operation in enumerate(current["view"]):
            run(handle, operation, f"view {number}", events, current["kind"])
        if current["flag"] is not None:
            environ["wsgikit.db.commit"] = current["flag"]
        if current["status"] is None:
            raise Broken
        start_response(current["status"], [])
        return stream(handle) if current["is_streaming"] else [b"1", b"2", b"3"]

    def stream(handle):
        yield b"1"
        for number, operation in enumerate(current["stream"]):
            run(handle, operation, f"stream {number}", events, current["kind"])
        if current["ends"] == "raises":
            raise Broken
        yield b"2"
        yield b"3"

    def layer_of(request):
        words = ("kind", "manager", "release", "retries", "commit")
        key = tuple(request[word] for word in words)
        if key not in layers:
            options = {word: request[word] for word in ("release", "retries", "commit")}
            if request["kind"] == "driver":
                options |= {"connect": database.connect, "pool_size": 1, "pool_timeout": 1}
            else:
                options |= {"url": database.url, "kind": request["kind"]}
                options |= {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
            layers[key] = wrap(app, **options, **({"manager": True} if request["manager"] else {}))
        return layers[key]

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests())
    def check(request):
        watch.execute(sa.delete(notes))
        events.clear()
        current.clear()
        current.update(request)
        layer = layer_of(request)
        seen = []
        is_broken = request["status"] is None or (request["is_streaming"] and request["ends"] == "raises")
        chunks = 2 if request["ends"] == "client leaves" else None
        with pytest.raises(Broken) if is_broken else contextlib.nullcontext():
            call(layer, chunks=chunks, on_start=lambda: seen.append(texts()))
        at_head, model = expected(request)
        assert seen == ([] if at_head is None else [at_head])
        assert (texts(), events) == (model.rows, model.events)
        assert layer.source.describe()["checkedout"] == 0

    check()
