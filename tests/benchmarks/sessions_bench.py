"""What sessions cost, beside itsdangerous, Beaker, Flask and a hand-written callable. Run it; nothing is asserted.

``python tests/benchmarks/sessions_bench.py [words]``; a word picks the tables whose name has it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from harness import compare, requester
from itsdangerous import URLSafeTimedSerializer

from wsgikit.sessions.formats.base import Envelope
from wsgikit.sessions.formats.encrypted import EncryptedFormat
from wsgikit.sessions.formats.signed import SignedFormat
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.session import new_id

KEY = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"
SMALL = {"user": 42, "name": "ada", "theme": "dark"}


class Namesake:
    """Has of an exchange what the hooks of an untouched session look at."""

    environ: dict[str, Any]


def theirs() -> URLSafeTimedSerializer:
    options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeTimedSerializer(KEY, salt="wsgikit.session:session", signer_kwargs=options)


def signing() -> None:
    """Verify-and-load and sign-and-dump of a small session."""
    serializer = theirs()
    ours = SignedFormat([KEY.encode()], "session")
    encrypted = EncryptedFormat("bench", [KEY.encode()], "session")
    envelope = Envelope(SMALL, time.time(), time.time(), new_id())
    token, sealed, their_token = ours.dump(envelope), encrypted.dump(envelope), serializer.dumps(SMALL)
    message = token.encode()
    key = KEY.encode()
    compare(
        "verify and load a small session",
        {
            "itsdangerous": lambda: serializer.loads(their_token, max_age=86400),
            "wsgikit, signed": lambda: ours.load(token),
            "wsgikit, encrypted": lambda: encrypted.load(sealed),
            "HMAC alone": lambda: hmac.digest(key, message, "sha256"),
        },
        reference="itsdangerous",
    )
    compare(
        "sign and dump a small session",
        {
            "itsdangerous": lambda: serializer.dumps(SMALL),
            "wsgikit, signed": lambda: ours.dump(envelope),
            "wsgikit, encrypted": lambda: encrypted.dump(envelope),
            "HMAC alone": lambda: hmac.digest(key, message, "sha256"),
        },
        reference="itsdangerous",
    )


def untouched() -> None:
    """What a session costs that nobody touches: its two hooks, without the engine."""
    layer = SessionMiddleware(lambda e, s: [], secret_key=KEY)
    environ: dict[str, Any] = {"HTTP_COOKIE": f"session={theirs().dumps(SMALL)}"}
    exchange = Namesake()
    exchange.environ = environ
    before: Any = layer.before_request
    after: Any = layer.after_request

    def both() -> None:
        before(exchange)
        after(exchange)
        del environ["wsgikit.session"]

    def nothing(exchange: Any) -> None:
        environ["wsgikit.session"] = None

    def neither() -> None:
        nothing(exchange)
        del environ["wsgikit.session"]

    medians = compare("an untouched session", {"two hooks": both, "none": neither}, reference="none", seconds=3)
    print(f"  untouched, in total: {medians['two hooks'] - medians['none']:.3f} µs")


def change() -> None:
    """DESIGN's third row: read, change and sign a session again, as one request."""
    import falcon
    import flask
    from beaker.middleware import SessionMiddleware as Beaker

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["wsgikit.session"]
        session["n"] = session.get("n", 0) + 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"changed"]

    layer = SessionMiddleware(app, secret_key=KEY)
    ours = layer.save_session(_started(layer))[0].partition(";")[0]
    serializer = theirs()
    key = KEY.encode()

    def encode(data: Any) -> str:
        payload = urlsafe_b64encode(json.dumps(data).encode())
        return f"{payload.decode()}.{urlsafe_b64encode(hmac.digest(key, payload, 'sha256')).decode()}"

    def by_hand(environ: Any, start_response: Any) -> list[bytes]:
        payload, _, signature = environ["HTTP_COOKIE"].partition("=")[2].partition(".")
        if not hmac.compare_digest(urlsafe_b64decode(signature), hmac.digest(key, payload.encode(), "sha256")):
            raise ValueError
        data = json.loads(urlsafe_b64decode(payload))
        data["n"] = data.get("n", 0) + 1
        cookie = f"session={encode(data)}; Path=/; HttpOnly; SameSite=Lax"
        start_response("200 OK", [("Content-Type", "text/plain"), ("Vary", "Cookie"), ("Set-Cookie", cookie)])
        return [b"changed"]

    class Resource:
        def on_get(self, request: Any, response: Any) -> None:
            data = serializer.loads(request.cookies["session"], max_age=86400)
            data["n"] = data.get("n", 0) + 1
            response.set_cookie("session", serializer.dumps(data), same_site="Lax", path="/")
            response.data = b"changed"

    falcon_app = falcon.App()
    falcon_app.add_route("/", Resource())

    def beaker_app(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["beaker.session"]
        session["n"] = session.get("n", 0) + 1
        session.save()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"changed"]

    beaker = Beaker(
        beaker_app, {"session.type": "cookie", "session.validate_key": KEY, "session.data_serializer": "json"}
    )
    flask_app = flask.Flask("bench")
    flask_app.secret_key = KEY

    @flask_app.get("/")
    def flask_view() -> str:
        flask.session["n"] = flask.session.get("n", 0) + 1
        return "changed"

    flask_token = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(flask_app)
    assert flask_token is not None
    compare(
        "read, change and re-sign a cookie session",
        {
            "a callable by hand": requester(by_hand, b"changed", HTTP_COOKIE=f"session={encode(SMALL)}"),
            "wsgikit": requester(layer, b"changed", HTTP_COOKIE=ours),
            "Falcon + itsdangerous": requester(
                falcon_app, b"changed", HTTP_COOKIE=f"session={serializer.dumps(SMALL)}"
            ),
            "Beaker, cookie": requester(beaker, b"changed"),
            "Flask": requester(flask_app, b"changed", HTTP_COOKIE=f"session={flask_token.dumps(SMALL)}"),
        },
        reference="a callable by hand",
        seconds=4,
    )


def stores() -> None:
    """A read, and a read with a write, by store."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        session = environ["wsgikit.session"]
        if environ["PATH_INFO"] == "/w":
            session["n"] = session.get("n", 0) + 1
        else:
            session.get("n")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    urls = {"memory": "memory://", "SQLite in memory": "sqlite://"}
    if _answers(6379):
        urls["Redis"] = "redis://127.0.0.1:6379/9"
    if _answers(5432):
        urls["PostgreSQL"] = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
    for path, title in (("/", "read a session"), ("/w", "read and change a session")):
        candidates = {}
        for name, url in urls.items():
            layer = SessionMiddleware(app, secret_key=KEY, store=url)
            cookie = layer.save_session(_started(layer))[0].partition(";")[0]
            candidates[name] = requester(layer, b"x", path, HTTP_COOKIE=cookie)
        if "Redis" in urls:
            import redis

            client = redis.Redis(host="127.0.0.1", port=6379, db=9)
            client.set("bench", b"x" * 200)
            candidates["one GET of Redis, for comparison"] = lambda client=client: client.get("bench")
        compare(f"{title}, by store", candidates, reference="memory", seconds=3)


def _started(layer: SessionMiddleware) -> Any:
    session = layer.open_session(None)
    session.update(SMALL)
    return session


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    words = sys.argv[1:]
    for table in (signing, untouched, change, stores):
        if not words or any(word in table.__name__ for word in words):
            table()
