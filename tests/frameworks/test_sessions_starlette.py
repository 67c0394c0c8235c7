"""Starlette's session cookie, read and written: the real SessionMiddleware of Starlette on the other side."""

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from wsgikit.sessions.errors import SessionValueError
from wsgikit.sessions.middleware import SessionMiddleware

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"
VALUES = {"int": 1, "str": "Zoë ☃", "none": None, "list": [1, {"a": []}], "float": 0.5, "long": "x" * 2000}


async def get(request):
    return JSONResponse(dict(request.session))


async def put(request):
    request.session.update(VALUES)
    return JSONResponse({})


APP = Starlette(
    routes=[Route("/get", get), Route("/put", put)],
    middleware=[Middleware(StarletteSessionMiddleware, secret_key=SECRET)],
)


def request(path, cookie=""):
    """Send a request to the ASGI app; return the session it answers with, and the cookie it sets."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [(b"cookie", cookie.encode())] if cookie else []
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers, "app": APP}
    asyncio.run(APP(scope, receive, send))
    lines = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return json.loads(body), lines[0].partition(";")[0] if lines else None


@pytest.fixture
def layer():
    return SessionMiddleware(lambda e, s: [], secret_key=SECRET, cookie_format="starlette")


def test_we_read_what_starlette_writes(layer):
    _, cookie = request("/put")
    session = layer.open_session(cookie)
    assert session == VALUES
    assert not session.new


def test_starlette_reads_what_we_write(layer):
    session = layer.open_session(None)
    session.update(VALUES)
    assert request("/get", layer.save_session(session)[0].partition(";")[0])[0] == VALUES


def test_a_change_here_is_seen_there(layer):
    session = layer.open_session(request("/put")[1])
    session["list"].append(2)
    cookie = layer.save_session(session)[0].partition(";")[0]
    assert request("/get", cookie)[0] == {**VALUES, "list": [1, {"a": []}, 2]}


def test_what_starlette_cannot_hold_is_an_error_with_its_path(layer):
    session = layer.open_session(None)
    session["a"] = [{"b": b"bytes"}]
    with pytest.raises(
        SessionValueError, match=r"session: a\[0\].b: expected .*, got a bytes. Starlette's cookie is plain JSON"
    ):
        layer.save_session(session)
