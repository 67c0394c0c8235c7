"""The whole table: wsgikit beside its peers on the same work. Run with ``python tests/benchmarks/run.py [words]``.

A word picks the benchmarks whose name has it. The table goes to the terminal; nothing is asserted.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, requester
from operations_bench import operations

KEY = secrets.token_hex(32)
HELLO = b"Hello"
Benchmark = Callable[[], object]


def bare(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [HELLO]


def five_layers(app: Any, router: Any = None, url: str = "sqlite://", **options: Any) -> Any:
    from wsgikit import (
        ContextMiddleware,
        DatabaseMiddleware,
        ErrorPagesMiddleware,
        Router,
        RouterMiddleware,
        SessionMiddleware,
        build_stack,
        use,
    )

    return build_stack(
        app,
        use(ErrorPagesMiddleware),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key=KEY),
        use(DatabaseMiddleware, url=url, **options),
        use(RouterMiddleware, router=router or Router(__name__)),
    )


# ---------------------------------------------------------------------------------- hello


def hello() -> None:
    """DESIGN's first row: what the five layers cost if nothing of them is used."""
    import bottle
    import falcon
    import flask
    from beaker.middleware import SessionMiddleware as Beaker
    from pyramid.config import Configurator
    from pyramid.response import Response as PyramidResponse

    from wsgikit import Router

    class Resource:
        def on_get(self, request: Any, response: Any) -> None:
            response.content_type = "text/plain"
            response.data = HELLO

    falcon_app = falcon.App()
    falcon_app.add_route("/", Resource())

    bottle_app = bottle.Bottle()
    bottle_app.route("/", "GET", lambda: "Hello")

    config = Configurator()
    config.add_route("hello", "/")
    config.add_view(lambda request: PyramidResponse("Hello"), route_name="hello")

    flask_app = flask.Flask("benchmark")
    flask_app.add_url_rule("/", view_func=lambda: "Hello")

    router = Router(__name__)
    router.add_url_rule("/", "hello", lambda: "Hello")

    compare(
        '"Hello" through five layers',
        {
            "a callable by hand": requester(bare, HELLO),
            "wsgikit: five layers around it": requester(five_layers(bare), HELLO),
            "wsgikit: five layers, a view of ours": requester(five_layers(bare, router), HELLO),
            "Falcon, no layers": requester(falcon_app, HELLO),
            "Bottle, no layers": requester(bottle_app, HELLO),
            "Bottle + Beaker": requester(
                Beaker(bottle_app, {"session.type": "cookie", "session.validate_key": KEY}), HELLO
            ),
            "Pyramid": requester(config.make_wsgi_app(), HELLO),
            "Flask": requester(flask_app, HELLO),
        },
        reference="Falcon, no layers",
        seconds=6,
    )


# ---------------------------------------------------------------------------------- the everyday request


def everyday() -> None:
    """Route, session read, `g`, one SELECT by SQLAlchemy."""
    import falcon
    import flask
    import sqlalchemy as sa
    from itsdangerous import URLSafeTimedSerializer
    from sqlalchemy.orm import Session

    import wsgikit
    from wsgikit import Router

    folder = tempfile.mkdtemp()
    url = f"sqlite:///{folder}/benchmark.db"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE post (id INTEGER PRIMARY KEY, title TEXT)"))
        connection.execute(sa.text("INSERT INTO post VALUES (7, 'seven')"))
    query = sa.text("SELECT title FROM post WHERE id = :id")

    router = Router(__name__)

    @router.get("/post/<int:number>")
    def show(number: int) -> str:
        wsgikit.g.user = wsgikit.session.get("user")
        return f"{wsgikit.g.user} {wsgikit.db.execute(query, {'id': number}).scalar()}"

    stack = five_layers(bare, router, url)
    signer = stack.find(wsgikit.SessionMiddleware)
    cookie = _session_cookie(stack)
    assert signer is not None

    serializer = URLSafeTimedSerializer(KEY, salt="benchmark")
    token = serializer.dumps({"user": "ann"})

    class Resource:
        def on_get(self, request: Any, response: Any, number: int) -> None:
            session = serializer.loads(request.cookies["session"], max_age=86400)
            request.context.user = session.get("user")
            with Session(engine) as db:
                title = db.execute(query, {"id": number}).scalar()
                db.commit()
            response.content_type = "text/plain"
            response.text = f"{request.context.user} {title}"

    falcon_app = falcon.App()
    falcon_app.add_route("/post/{number:int}", Resource())

    flask_app = flask.Flask("benchmark")
    flask_app.secret_key = KEY

    @flask_app.before_request
    def open_session() -> None:
        flask.g.db = Session(engine)

    @flask_app.teardown_request
    def close_session(error: Any) -> None:
        flask.g.db.commit()
        flask.g.db.close()

    @flask_app.get("/post/<int:number>")
    def flask_show(number: int) -> str:
        flask.g.user = flask.session.get("user")
        return f"{flask.g.user} {flask.g.db.execute(query, {'id': number}).scalar()}"

    flask_token = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(flask_app).dumps({"user": "ann"})

    pattern = re.compile(r"/post/(\d+)")
    key = KEY.encode()
    payload = urlsafe_b64encode(json.dumps({"user": "ann"}).encode())
    hand_cookie = f"session={payload.decode()}.{urlsafe_b64encode(hmac.digest(key, payload, 'sha256')).decode()}"

    def by_hand(environ: Any, start_response: Any) -> list[bytes]:
        match = pattern.fullmatch(environ["PATH_INFO"])
        assert match is not None
        payload, _, signature = environ["HTTP_COOKIE"].partition("=")[2].partition(".")
        if not hmac.compare_digest(urlsafe_b64decode(signature), hmac.digest(key, payload.encode(), "sha256")):
            raise ValueError
        user = json.loads(urlsafe_b64decode(payload)).get("user")
        with Session(engine) as db:
            title = db.execute(query, {"id": int(match[1])}).scalar()
            db.commit()
        body = f"{user} {title}".encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    expected = b"ann seven"
    path = "/post/7"
    compare(
        "route + session read + g + one SELECT by SQLAlchemy",
        {
            "by hand: re, hmac, SQLAlchemy": requester(by_hand, expected, path, HTTP_COOKIE=hand_cookie),
            "wsgikit": requester(stack, expected, path, HTTP_COOKIE=cookie),
            "Falcon by hand": requester(falcon_app, expected, path, HTTP_COOKIE=f"session={token}"),
            "Flask": requester(flask_app, expected, path, HTTP_COOKIE=f"session={flask_token}"),
        },
        reference="by hand: re, hmac, SQLAlchemy",
        seconds=6,
    )
    stack.close()


def _session_cookie(stack: Any, data: tuple[str, Any] = ("user", "ann")) -> str:
    """Have a stack's own session layer sign a session."""
    import wsgikit
    from wsgikit import ContextMiddleware, build_stack

    layer = stack.find(wsgikit.SessionMiddleware)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgikit.session"][data[0]] = data[1]
        start_response("200 OK", [])
        return [b""]

    head: list[Any] = []
    signing = build_stack(app, ContextMiddleware, lambda app: type(layer)(app, secret_key=KEY))
    from harness import environ

    for _ in signing(environ(), lambda status, headers, exc_info=None: head.extend(headers)):
        pass
    return str(dict(head)["Set-Cookie"].partition(";")[0])


def session_change() -> None:
    """Read, change and re-sign a cookie session."""
    import falcon
    import flask
    from itsdangerous import URLSafeTimedSerializer

    from wsgikit import SessionMiddleware, build_stack, use

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["wsgikit.session"]
        session["count"] = session.get("count", 0) + 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [HELLO]

    stack = build_stack(app, use(SessionMiddleware, secret_key=KEY))
    key = KEY.encode()

    def by_hand(environ: Any, start_response: Any) -> list[bytes]:
        payload, _, signature = environ["HTTP_COOKIE"].partition("=")[2].partition(".")
        good = hmac.digest(key, payload.encode(), "sha256")
        if not hmac.compare_digest(urlsafe_b64decode(signature), good):
            raise ValueError
        session = json.loads(urlsafe_b64decode(payload))
        session["count"] = session.get("count", 0) + 1
        data = urlsafe_b64encode(json.dumps(session).encode())
        signed = urlsafe_b64encode(hmac.digest(key, data, "sha256")).decode()
        cookie = f"session={data.decode()}.{signed}; HttpOnly; Path=/; SameSite=Lax"
        start_response("200 OK", [("Content-Type", "text/plain"), ("Set-Cookie", cookie), ("Vary", "Cookie")])
        return [HELLO]

    data = urlsafe_b64encode(json.dumps({"count": 1}).encode())
    hand_cookie = f"session={data.decode()}.{urlsafe_b64encode(hmac.digest(key, data, 'sha256')).decode()}"

    serializer = URLSafeTimedSerializer(KEY, salt="benchmark")

    class Resource:
        def on_get(self, request: Any, response: Any) -> None:
            session = serializer.loads(request.cookies["session"], max_age=86400)
            session["count"] = session.get("count", 0) + 1
            response.set_cookie("session", serializer.dumps(session), same_site="Lax", path="/")
            response.content_type = "text/plain"
            response.data = HELLO

    falcon_app = falcon.App()
    falcon_app.add_route("/", Resource())

    flask_app = flask.Flask("benchmark")
    flask_app.secret_key = KEY

    @flask_app.get("/")
    def view() -> str:
        flask.session["count"] = flask.session.get("count", 0) + 1
        return "Hello"

    flask_token = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(flask_app).dumps({"count": 1})
    compare(
        "read, change and re-sign a cookie session",
        {
            "by hand: json, hmac, base64": requester(by_hand, HELLO, HTTP_COOKIE=hand_cookie),
            "wsgikit": requester(stack, HELLO, HTTP_COOKIE=_session_cookie(stack, ("count", 1))),
            "Falcon + itsdangerous": requester(
                falcon_app, HELLO, HTTP_COOKIE=f"session={serializer.dumps({'count': 1})}"
            ),
            "Flask": requester(flask_app, HELLO, HTTP_COOKIE=f"session={flask_token}"),
        },
        reference="by hand: json, hmac, base64",
        seconds=4,
    )


# ---------------------------------------------------------------------------------- the engine


def layers() -> None:
    """Ten layers of three hooks that do nothing: per request, and per chunk of a stream."""
    from wsgikit import ContextMiddleware, Middleware

    class Nothing(Middleware):
        def before_request(self, exchange: Any) -> None:
            pass

        def after_request(self, exchange: Any) -> None:
            pass

        def teardown_request(self, exchange: Any) -> None:
            pass

    def ten(app: Any, split: bool = False) -> Any:
        for _ in range(10):
            app = Nothing(app)
            if split:
                app = (lambda inner: lambda environ, start_response: inner(environ, start_response))(app)
        return app

    compare(
        "ten no-op layers of three hooks each, per request",
        {
            "bare app": requester(bare, HELLO),
            "one layer": requester(Nothing(bare), HELLO),
            "ten layers, fused": requester(ten(bare), HELLO),
            "ten layers and a context, fused": requester(ContextMiddleware(ten(bare)), HELLO),
            "ten layers, nested": requester(ten(bare, split=True), HELLO),
        },
        reference="bare app",
        seconds=4,
    )

    chunks = 1000

    def stream(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return (b"x" for _ in range(chunks))

    expected = b"x" * chunks
    compare(
        f"the same around a stream, per chunk of {chunks}",
        {
            "bare app": requester(stream, expected),
            "one layer": requester(Nothing(stream), expected),
            "ten layers, fused": requester(ten(stream), expected),
            "ten layers and a context, fused": requester(ContextMiddleware(ten(stream)), expected),
            "ten layers, nested": requester(ten(stream, split=True), expected),
        },
        reference="bare app",
        seconds=4,
        per=chunks,
    )


def proxies() -> None:
    """A local's attribute, a thousand times."""
    from contextvars import ContextVar

    from werkzeug.local import LocalProxy

    import wsgikit
    from wsgikit import ContextMiddleware, build_stack

    variable: ContextVar[Any] = ContextVar("benchmark")
    theirs = LocalProxy(variable)
    loop = range(1000)

    def measure(environ: Any, start_response: Any) -> list[bytes]:
        real = wsgikit.request._get_current_object()  # type: ignore[attr-defined]
        variable.set(real)
        proxy = wsgikit.request
        wsgikit.g.user = 1

        def read(target: Any) -> Callable[[], None]:
            def attributes() -> None:
                for _ in loop:
                    target.method

            return attributes

        def get() -> None:
            for _ in loop:
                variable.get().method

        compare(
            "a local's attribute (request.method)",
            {
                "direct": read(real),
                "ContextVar.get().method": get,
                "wsgikit.request": read(proxy),
                "Werkzeug's LocalProxy": read(theirs),
            },
            reference="direct",
            per=1000,
        )
        start_response("200 OK", [])
        return [HELLO]

    requester(build_stack(measure, ContextMiddleware), HELLO)


def import_time() -> None:
    """A fresh process: the import and one onion built."""
    programs = {
        "nothing": "pass",
        "wsgikit, build_stack used": (
            "from wsgikit import build_stack, use, Middleware\nbuild_stack(lambda e, s: [], use(Middleware))"
        ),
        "Bottle": "import bottle",
        "Falcon": "import falcon",
        "Flask": "import flask",
    }

    def start(program: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", program], check=True)

    medians = compare(
        "a fresh process that imports it",
        {name: start(program) for name, program in programs.items()},
        reference="Bottle",
        seconds=12,
    )
    for name, median in medians.items():
        print(f"  {name:<44} {(median - medians['nothing']) / 1000:9.1f} ms over an empty process")


BENCHMARKS: dict[str, Callable[[], None]] = {
    "hello": hello,
    "everyday": everyday,
    "session": session_change,
    "layers": layers,
    "proxies": proxies,
    "import": import_time,
    "operations": operations,
}


if __name__ == "__main__":
    words = sys.argv[1:]
    print(f"Python {sys.version.split()[0]}")
    for name, benchmark in BENCHMARKS.items():
        if not words or any(word in name for word in words):
            benchmark()
