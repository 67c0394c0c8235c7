"""A response with a session's cookie isn't kept by shared caches (RFC 9111 §7.3)."""

from __future__ import annotations

import pytest
from webtest import TestApp

from wsgikit import DatabaseMiddleware, SessionMiddleware, build_stack, use
from wsgikit.sessions.privacy import make_private

CASES = {
    "public": (["public, max-age=3600"], ["private, max-age=3600"]),
    "a maximum age": (["max-age=3600"], ["private, max-age=3600"]),
    "shared caches": (["s-maxage=60, max-age=5, proxy-revalidate"], ["private, max-age=5"]),
    "two lines": (["public", "max-age=60, must-revalidate"], ["private, max-age=60, must-revalidate"]),
    "other letters": (["PUBLIC, Max-Age=60"], ["private, max-age=60"]),
    "a list of fields": (['private="x-a", max-age=60'], ["private, max-age=60"]),
    "fields not to keep": (
        ['no-cache="set-cookie, x-a", max-age=60'],
        ['private, no-cache="set-cookie, x-a", max-age=60'],
    ),
    "private": (["private, max-age=60"], ["private, max-age=60"]),
    "never stored": (["no-store"], ["no-store"]),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("values", "expected"), CASES.values(), ids=CASES)
def test_a_response_that_caches_keep_becomes_private(values, expected):
    headers = [("Content-Type", "text/plain"), *(("cache-control", value) for value in values)]
    make_private(headers)
    assert [value for name, value in headers if name.lower() == "cache-control"] == expected
    assert headers[0] == ("Content-Type", "text/plain")


def test_a_response_that_expires_becomes_private():
    headers = [("Expires", "Wed, 21 Oct 2099 07:28:00 GMT")]
    make_private(headers)
    assert headers == [("Expires", "Wed, 21 Oct 2099 07:28:00 GMT"), ("Cache-Control", "private")]


@pytest.mark.parametrize("with_database", [False, True], ids=["alone", "around a database"])
@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_only_a_response_that_sets_the_cookie_is_changed(secret, store, with_database):
    def app(environ, start_response):
        if environ["PATH_INFO"] == "/login":
            environ["wsgikit.session"]["user"] = "ann"
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "public, max-age=60")])
        return [b"page"]

    database = [use(DatabaseMiddleware, url="sqlite://")] if with_database else []
    stack = build_stack(app, use(SessionMiddleware, secret_key=secret, store=store), *database)
    client = TestApp(stack)
    assert client.get("/login").headers["Cache-Control"] == "private, max-age=60"
    assert client.get("/").headers["Cache-Control"] == "public, max-age=60"
    stack.close()


def test_the_adapter_for_flask_makes_a_response_private(secret):
    flask = pytest.importorskip("flask")
    from wsgikit.sessions.flask import SessionInterface

    app = flask.Flask("x", static_folder=None)
    app.secret_key = secret
    app.session_interface = SessionInterface(store="memory://")

    @app.get("/")
    def view():
        flask.session["user"] = "ann"
        return "page", {"Cache-Control": "public, max-age=60"}

    response = TestApp(app).get("/")
    assert response.headers.getall("Cache-Control") == ["private, max-age=60"]
    assert len(response.headers.getall("Set-Cookie")) == 1
