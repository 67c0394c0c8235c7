"""Fused layers behave as nested ones: onions, applications and servers are drawn at random and held side by side."""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from wsgikit.onion.ending import CURRENT
from wsgikit.onion.middleware import Middleware
from wsgikit.wsgi import EXCHANGE

EXAMPLES = int(os.environ.get("WSGIKIT_FUSION_EXAMPLES", "2000"))
VAR: ContextVar[str] = ContextVar("var")


class Boom(Exception):
    pass


class Down(BaseException):
    """As KeyboardInterrupt or a worker's SystemExit."""


# ---------------------------------------------------------------------------------- what is drawn

BEFORE = [None, None, "pass", "pass", "register", "set var", "on response", "before commit", "on complete",
          "reply", "reply lazy", "reply write", "reply broken",
          "reply breaks", "raise", "down"]  # fmt: skip
AFTER = [None, None, "pass", "pass", "register", "header", "status", "set var", "list", "lazy", "tuple once", "raise",
         "raise once", "down", "reply", "reply once", "reply lazy", "reply write", "reply broken", "reply breaks",
         "on response", "before commit", "on complete", "filter", "filter"]  # fmt: skip
HANDLE = [None, None, "pass", "reply", "reply lazy", "reply write", "reply broken", "reply breaks", "raise", "down"]
VIEW = [None, None, "pass", "pass", "register", "on complete", "set var", "reply", "reply lazy", "reply write", "raise",
        "down"]  # fmt: skip
TEARDOWN = [None, "pass", "pass", "raise", "down"]
APP = ["list", "tuple", "generator", "lazy", "lazy empty", "lazy late head", "write", "write, list", "write, generator",
       "write, raise", "wrapper", "closing", "closing raises", "raise first", "raise late", "raise on chunk 0",
       "raise on chunk 1", "down on chunk 1", "down", "exc_info", "exc_info in stream", "exc_info after chunk",
       "head twice", "no head", "none", "empty chunks", "iterable", "swallowed write", "register",
       "empty, raise", "empty, exc_info", "stubborn", "length",
       "length short", "length long", "length, raise"]  # fmt: skip
SERVER = ["exhausts", "exhausts", "closes after 1", "never starts", "never closes", "never starts or closes", "threads",
          "closes twice", "interleaves two"]  # fmt: skip


@dataclass(frozen=True)
class Spec:
    layers: tuple[tuple[str | None, ...], ...]
    context: int | None
    app: str
    server: str


def specs() -> st.SearchStrategy[Spec]:
    layer = st.tuples(*(st.sampled_from(words) for words in (BEFORE, AFTER, HANDLE, TEARDOWN, VIEW)))
    # Most hooks of most layers pass, so that requests get deep into the onion.
    calm = st.tuples(
        st.sampled_from([None, "pass", "register", "set var"]),
        st.sampled_from([None, "pass", "header"]),
        st.sampled_from([None, "pass"]),
        st.sampled_from([None, "pass"]),
        st.sampled_from([None, "pass"]),
    )
    return st.builds(
        Spec,
        layers=st.lists(st.one_of(calm, calm, layer), min_size=1, max_size=8).map(tuple),
        context=st.one_of(st.none(), st.integers(0, 7)),
        app=st.sampled_from(APP),
        server=st.sampled_from(SERVER),
    )


# ---------------------------------------------------------------------------------- what is observed


@dataclass
class Log:
    events: list[Any] = field(default_factory=list)
    request: int = 1  # the one that the server is busy with

    def __call__(self, *what: Any) -> None:
        self.events.append((*what, self.request))


def seen_context() -> tuple[Any, bool]:
    return VAR.get(None), CURRENT.get(None) is not None


class FileWrapper:
    def __init__(self, log: Log) -> None:
        self.log, self.chunks = log, [b"file ", b"content"]

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        if not self.chunks:
            raise StopIteration
        return self.chunks.pop(0)

    def close(self) -> None:
        self.log("wrapper closed")


class Closing:
    """An iterable that isn't its own iterator, and has a close."""

    def __init__(self, log: Log, chunks: Iterable[bytes], name: str, raises: bool = False) -> None:
        self.log, self.chunks, self.name, self.raises = log, list(chunks), name, raises

    def __iter__(self) -> Any:
        self.log(self.name, "iter", seen_context())
        return iter(self.chunks)

    def close(self) -> None:
        self.log(self.name, "closed", seen_context())
        if self.raises:
            raise Boom("close")


class Bracket:
    """A body filter that holds back the first chunk, and adds something at the end."""

    def __init__(self, log: Log, name: str) -> None:
        self.log, self.name, self.held = log, name, b"("

    def feed(self, chunk: bytes) -> bytes:
        held, self.held = self.held, chunk
        return held

    def finish(self) -> bytes:
        self.log(self.name, "finished")
        return self.held + b")"

    def abandon(self) -> None:
        self.log(self.name, "abandoned")


class Stubborn(Closing):
    """A body whose close fails as that of a generator that ignores GeneratorExit does."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, [b"s1", b"", b"s2"], "app")

    def close(self) -> None:
        super().close()
        raise RuntimeError("generator ignored GeneratorExit")


def stream(log: Log, chunks: list[Any], name: str) -> Any:
    try:
        for chunk in chunks:
            log(name, "step", seen_context())
            if isinstance(chunk, BaseException):
                raise chunk
            if callable(chunk):
                chunk = chunk()
            VAR.set(f"{name} stepped")
            yield chunk
    finally:
        log(name, "ended", seen_context())


def make_app(kind: str, log: Log) -> Any:
    def app(environ: Any, start_response: Any) -> Any:  # noqa: C901
        log("app", seen_context())
        VAR.set("app")
        head = ("200 OK", [("X-App", kind), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
        if kind == "raise first":
            raise Boom("first")
        if kind == "down":
            raise Down("app")
        if kind.startswith("lazy") or kind == "no head":

            def generate() -> Any:
                try:
                    log("app", "step", seen_context())
                    if kind == "lazy late head":
                        yield b"too early"
                    if kind != "no head":
                        start_response(*head)
                    VAR.set("lazy")
                    if kind != "lazy empty" and kind != "no head":
                        yield b"lazy"
                        yield b"ness"
                finally:
                    log("app", "ended", seen_context())

            return generate()
        if kind.startswith("length"):
            length = {"length short": "5", "length long": "99"}.get(kind, "7")
            head = ("200 OK", [("Content-Length", length)])
        write = start_response(*head)
        if kind.startswith("write") or kind == "swallowed write":
            try:
                write(b"written ")
            except Boom:
                if kind != "swallowed write":
                    raise
                log("app", "swallowed")
            log("app", "wrote", seen_context())
            write(b"more ")
            if kind == "write, raise":
                raise Boom("after write")
            if kind == "write, generator":
                return stream(log, [b"and", b"", b"generated"], "app")
            return [b"and listed"] if kind == "write, list" else []
        if kind == "raise late":
            raise Boom("late")
        if kind == "register":
            environ[EXCHANGE].on_teardown(lambda: log("app", "callback", seen_context()))
            return [b"registered"]
        if kind == "exc_info":
            try:
                raise Boom("caught")
            except Boom:
                import sys

                start_response("500 Caught", [("X-App", "caught")], sys.exc_info())
            return [b"caught"]
        if kind.startswith("exc_info"):

            def late() -> bytes:
                try:
                    raise Boom("in stream")
                except Boom:
                    import sys

                    start_response("500 Late", [("X-App", "late")], sys.exc_info())
                return b"late"

            return stream(log, [late, b"r"] if kind == "exc_info in stream" else [b"one", late], "app")
        if kind == "empty, exc_info":

            def later() -> bytes:
                try:
                    raise Boom("after empty")
                except Boom:
                    import sys

                    start_response("500 Late", [("X-App", "late")], sys.exc_info())
                return b"late"

            return stream(log, [b"", b"", later, b"r"], "app")
        if kind == "stubborn":
            return Stubborn(log)
        if kind == "head twice":
            start_response("201 Twice", [])
        bodies: dict[str, Any] = {
            "list": lambda: [b"a ", b"list"],
            "tuple": lambda: (b"a ", b"tuple"),
            "generator": lambda: stream(log, [b"one", b"two", b"three"], "app"),
            "wrapper": lambda: environ["wsgi.file_wrapper"](log),
            "closing": lambda: Closing(log, [b"c1", b"c2"], "app"),
            "closing raises": lambda: Closing(log, [b"c1", b"c2"], "app", raises=True),
            "raise on chunk 0": lambda: stream(log, [Boom("chunk 0"), b"never"], "app"),
            "raise on chunk 1": lambda: stream(log, [b"one", Boom("chunk 1")], "app"),
            "down on chunk 1": lambda: stream(log, [b"one", Down("chunk 1")], "app"),
            "none": lambda: None,
            "empty chunks": lambda: stream(log, [b"", b"x", b"", b""], "app"),
            "length": lambda: stream(log, [b"one", b"", b"four"], "app"),
            "length short": lambda: stream(log, [b"one", b"four", b"more"], "app"),
            "length long": lambda: stream(log, [b"one", b"four"], "app"),
            "length, raise": lambda: stream(log, [b"one", b"four", Boom("after the end")], "app"),
            "empty, raise": lambda: stream(log, [b"", Boom("after empty"), b"never"], "app"),
            "iterable": lambda: Closing(log, [b"", b"i"], "app"),
        }
        return bodies.get(kind, lambda: [b"?"])()

    return app


def make_reply(kind: str, log: Log, name: str) -> Any:
    def reply(environ: Any, start_response: Any) -> Any:
        log(name, "replies", seen_context())
        if kind == "reply broken":
            raise Boom(f"{name} reply")
        write = start_response("299 Reply", [("X-Reply", name)])
        if kind == "reply lazy":
            return stream(log, [b"re", b"ply"], name)
        if kind == "reply breaks":
            return stream(log, [Boom(f"{name} breaks")], name)
        if kind == "reply write":
            write(b"re")
            return [b"write"]
        return [b"reply"]

    return reply


def make_layer(index: int, spec: tuple[Any, ...], log: Log, own: bool, quiet: bool) -> type[Middleware]:
    before, after, handle, teardown, view = spec
    name = f"L{index}"
    namespace: dict[str, Any] = {"own_context": own}

    def act(kind: str, stage: str) -> Any:
        if kind == "raise":
            raise Boom(f"{name} {stage}")
        if kind == "down":
            raise Down(f"{name} {stage}")
        if kind == "set var":
            VAR.set(f"{name} {stage}")
        if kind.startswith("reply"):
            return make_reply(kind, log, f"{name} {stage}")
        return None

    def register(exchange: Any, stage: str) -> None:
        exchange.on_teardown(lambda: log(name, "callback", stage, seen_context()))

    def wait(exchange: Any, kind: str, stage: str) -> None:
        def on_response(root: Any) -> None:
            log(name, "on response", stage, seen_context(), root.status, list(root.headers), root.is_replacement)
            root.headers.add("X-Last", name)

        def before_commit(root: Any) -> None:
            log(name, "before commit", stage, seen_context(), root.status)

        if kind == "on response":
            exchange.on_response(on_response)
        elif kind == "on complete":
            exchange.on_complete(lambda root: log(name, "on complete", stage, seen_context(), root.status))
        elif kind == "before commit":
            exchange.before_commit(before_commit)

    def wrap(inner: Any) -> Any:
        for chunk in inner:
            if quiet:
                log(name, "wraps", seen_context())
            yield chunk.upper()

    if before:

        def before_request(self: Any, exchange: Any) -> Any:
            log(name, "before", seen_context(), exchange.status)
            if before == "register":
                register(exchange, "before")
            wait(exchange, before, "before")
            return act(before, "before")

        namespace["before_request"] = before_request
    if view:

        def before_view(self: Any, exchange: Any) -> Any:
            log(name, "view", seen_context(), exchange.status, exchange.route)
            if view == "register":
                register(exchange, "view")
            wait(exchange, view, "view")
            return act(view, "view")

        namespace["before_view"] = before_view
    if after:

        def after_request(self: Any, exchange: Any) -> Any:
            seen = exchange.status, list(exchange.headers), exchange.body is None, exchange.is_replacement
            log(name, "after", seen_context(), *seen)
            wait(exchange, after, "after")
            if after == "register":
                register(exchange, "after")
            elif after == "header":
                exchange.headers.add("X-Layer", name)
            elif after == "status":
                exchange.status = "202 Changed"
            elif after == "list":
                exchange.body = [b"replaced by ", name.encode()]
            elif after == "lazy" and exchange.body is not None:
                exchange.body = wrap(exchange.body)
            elif after == "tuple once" and name not in exchange.environ:
                exchange.environ[name] = True
                exchange.body = (b"once",)
            elif after == "raise once":
                if name not in exchange.environ:
                    exchange.environ[name] = True
                    raise Boom(f"{name} once")
            elif after == "filter":
                exchange.filter_body(Bracket(log, name))
                # A list that takes the place of a stream is a list for fused layers, and a stream for nested ones.
                exchange.headers.discard("Content-Length")
            elif after == "reply once":
                if name not in exchange.environ:
                    exchange.environ[name] = True
                    return act("reply", "after")
            else:
                return act(after, "after")
            return None

        namespace["after_request"] = after_request
    if handle:

        def handle_exception(self: Any, exchange: Any, error: Exception) -> Any:
            status = None if exchange.is_head_sent else exchange.status  # a layer outside may have changed it since
            log(name, "handle", seen_context(), type(error).__name__, str(error), status, exchange.error is error)
            return act(handle, "handle")

        namespace["handle_exception"] = handle_exception
    if teardown:

        def teardown_request(self: Any, exchange: Any) -> None:
            ending = exchange.is_complete, exchange.outcome, exchange.bytes_sent if counts else None
            log(name, "teardown", seen_context(), repr(exchange.error), *ending)
            act(teardown, "teardown")

        counts = name[-1] in "02468"  # the others leave streams uncounted
        namespace["counts_bytes"] = counts
        namespace["teardown_request"] = teardown_request
    return type(name, (Middleware,), namespace)


class Shim:
    """Middleware of others that does nothing: it splits the fusion. It leaves `before_view` to what is inside."""

    __wsgikit_runs_before_view__ = True

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


def build(spec: Spec, log: Log, fused: bool) -> Any:
    app = make_app(spec.app, log)
    count = len(spec.layers)
    # A wrapper that a layer put around a stream gets as far as it does when the stream fails: that isn't compared.
    quiet = spec.app in ("generator", "closing", "empty chunks") and not any(
        word and word.endswith(("breaks", "raise", "once")) for layer in spec.layers for word in layer[:3]
    )
    for index in reversed(range(count)):
        own = spec.context is not None and spec.context % count == index
        app = make_layer(index, spec.layers[index], log, own, quiet)(app)
        if fused:
            assert len(app._onion.layers) == count - index
        elif index:
            app = Shim(app)
    return app


def serve(app: Any, spec: Spec, log: Log) -> None:
    if spec.server != "interleaves two":
        for _ in handle(app, spec, log):
            pass
        return
    waiting = [(1, handle(app, spec, log)), (2, handle(app, spec, log))]
    while waiting:
        number, steps = waiting.pop(0)
        log.request = number
        if next(steps, None) is not None:
            waiting.append((number, steps))


def handle(app: Any, spec: Spec, log: Log) -> Iterator[str]:  # noqa: C901
    state: dict[str, Any] = {"sent": False, "headed": False}

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        assert type(headers) is list
        if exc_info is not None and state["sent"]:
            raise exc_info[1].with_traceback(exc_info[2])
        # Whether a first head came with exc_info says nothing: PEP 3333 gives it a meaning from the second on.
        log("server", "head", status, list(headers), state["headed"] and exc_info and str(exc_info[1]))
        state["headed"] = True

        def write(data: bytes) -> None:
            state["sent"] = True
            log("server", "write", data)

        return write

    def on_thread(function: Any) -> Any:
        result: list[Any] = []

        def run() -> None:
            try:
                result.append((True, function()))
            except BaseException as error:
                result.append((False, error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        ok, value = result[0]
        if not ok:
            raise value
        return value

    call = on_thread if spec.server == "threads" else lambda function: function()
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": "", "wsgi.file_wrapper": FileWrapper}
    body = None
    try:
        try:
            body = app(environ, start_response)
            log("server", "body at rest", type(body) in (list, tuple, FileWrapper))
            yield "called"
            if not spec.server.startswith("never starts"):
                iterator = iter(body)
                count = 0
                while True:
                    try:
                        chunk = call(iterator.__next__)
                    except StopIteration:
                        break
                    state["sent"] = state["sent"] or bool(chunk)
                    log("server", "chunk", chunk)
                    count += 1
                    yield "stepped"
                    if spec.server == "closes after 1":
                        break
                iterator = None
        finally:
            if body is not None and not spec.server.endswith(("never closes", "or closes")):
                close = getattr(body, "close", None)
                if close is not None:
                    call(close)
                    if spec.server == "closes twice":
                        close()
    except (Boom, Down) as error:
        log("server", "raised", type(error).__name__, str(error))
    except Exception as error:
        log("server", "raised", type(error).__name__)
    body = iterator = None
    if not spec.server.endswith(("never closes", "or closes")):
        log("environ", EXCHANGE in environ)
    elif EXCHANGE in environ:
        del environ
        gc.collect()  # an error's traceback may hold the body


def observe(spec: Spec, fused: bool) -> list[Any]:
    log = Log()
    records: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(str(record.exc_info[1]) if record.exc_info else record.getMessage())

    logger = logging.getLogger("wsgikit")
    handler = Handler()
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        app = build(spec, log, fused)
        from contextvars import copy_context

        copy_context().run(serve, app, spec, log)
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
    log("logged", sorted(set(records)))
    # When a filter is finished or abandoned isn't compared: nested layers close their bodies before those outside act.
    ends = [event for event in log.events if event[1] in ("finished", "abandoned")]
    return [*(event for event in log.events if event not in ends), *sorted(ends)]


@pytest.fixture(scope="module", autouse=True)
def _cheap_collections() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # what was made before the test need not be looked at by each collection in it
    yield
    gc.unfreeze()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(specs())
def test_fused_layers_behave_as_nested_ones(spec: Spec) -> None:
    # Where a layer drops what is written, an onion inside can't know, and takes its head for sent; a fused one knows.
    drops = any(after and after.startswith(("list", "tuple", "reply")) for _, after, *_ in spec.layers)
    assume(not (drops and spec.app == "write, raise"))
    nested = observe(spec, fused=False)
    fused = observe(spec, fused=True)
    event(f"app {spec.app}")
    assert fused == nested
    teardowns = [(e[0], e[-1]) for e in fused if e[1] == "teardown"]
    assert len(teardowns) == len(set(teardowns)), "a teardown ran twice"
