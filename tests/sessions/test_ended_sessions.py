"""Sessions that have ended before the request came: revoked, rotated away, dead, unverifiable."""

from __future__ import annotations

import pytest

from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.memory import MemoryStore

STORES = {
    "cookie": {},
    "moved to a store": {"on_oversize": "memory://", "cookie_max_bytes": 256},
    "memory": {"store": "memory://"},
    "sqlite": {"store": "sqlite://"},
}


@pytest.fixture(params=STORES.values(), ids=STORES)
def options(request):
    return request.param


@pytest.fixture(params=["memory://", "sqlite://"])
def store(request):
    return request.param


def act(session, environ):
    """Do what the path says, and return the user."""
    path = environ["PATH_INFO"]
    if path == "/login":
        session["user"] = "ann"
        session["pad"] = "x" * 300
    elif path == "/rotate":
        session.rotate()
    elif path == "/logout":
        session.destroy()
    elif path == "/clear":
        session.clear()
    elif path == "/relogin":
        session.destroy()
        session["user"] = "bob"
    return str(session.get("user"))


def test_a_revoked_session_is_not_read(browse, options):
    revoked = []
    browser = browse(act, is_revoked=lambda session: session.id in revoked, **options)
    browser.send("/login")
    assert browser.send("/").text == "ann"
    layer = browser.app
    revoked.append(layer.open_session(f"session={browser.cookie}").id)
    cookie = browser.cookie
    assert browser.send("/").text == "None"
    assert browser.cookie is None, "the cookie of a session that was ended is removed"
    assert layer.open_session(f"session={cookie}").copy() == {}


def test_the_record_of_a_revoked_session_is_removed(secret):
    store = MemoryStore()
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=store, is_revoked=lambda session: True)
    session = layer.open_session()
    session["user"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    assert store.count() == 1
    assert layer.open_session(cookie).copy() == {}
    assert store.count() == 0


def test_is_revoked_sees_the_data_and_is_asked_once_a_request(browse, options):
    asked = []
    browser = browse(act, is_revoked=lambda session: asked.append(session.get("user")), **options)
    browser.send("/login")
    assert browser.send("/").text == "ann"
    assert asked == ["ann"]


@pytest.mark.parametrize("logout", ["/logout", "/clear", "/relogin"])
def test_logging_out_with_an_id_just_rotated_away_ends_the_session(browse, store, logout):
    first = browse(act, store=store)
    first.send("/login")
    old = first.cookie
    first.send("/rotate")
    assert first.send("/").text == "ann"
    second = browse(act, store=store)
    second.app, second.http = first.app, first.http
    second.cookie = old
    assert second.send("/").text == "None", "the old id reads nothing"
    second.cookie = old
    second.send(logout)
    assert first.send("/").text == "None"


def test_logging_out_follows_a_session_that_was_rotated_twice(browse, store):
    browser = browse(act, store=store)
    browser.send("/login")
    old = browser.cookie
    browser.send("/rotate")
    browser.send("/rotate")
    new = browser.cookie
    browser.cookie = old
    browser.send("/logout")
    browser.cookie = new
    assert browser.send("/").text == "None"


@pytest.mark.parametrize("path", ["/", "/rotate"])
def test_an_id_rotated_away_changes_nothing_unless_it_logs_out(browse, store, path):
    browser = browse(act, store=store)
    browser.send("/login")
    old = browser.cookie
    browser.send("/rotate")
    new = browser.cookie
    browser.cookie = old
    browser.send(path)
    browser.cookie = new
    assert browser.send("/").text == "ann"


def test_repeated_dead_ids_cost_one_look_up(secret, spy):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=spy)
    session = layer.open_session()
    session["user"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    session = layer.open_session(cookie)
    session.destroy()
    layer.save_session(session)
    spy.calls.clear()
    assert layer.open_session("; ".join([cookie] * 90)).copy() == {}
    assert spy.calls == ["load"]


def test_different_dead_ids_cost_five_look_ups_at_most(secret, spy):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=spy)
    cookies = []
    for _ in range(20):
        session = layer.open_session()
        session["user"] = 1
        cookies.append(layer.save_session(session)[0].partition(";")[0])
    living = cookies[4:6]
    spy._records.clear()
    session = layer.open_session()
    session["user"] = 2
    living = layer.save_session(session)[0].partition(";")[0]
    spy.calls.clear()
    assert layer.open_session("; ".join([*cookies[:5], living])).copy() == {}
    assert spy.calls == ["load"] * 5
    assert layer.open_session("; ".join([*cookies[:4], living])).copy() == {"user": 2}


@pytest.mark.parametrize("value", ["broken", "a.b.c", "", "x" * 5000, "%22"])
def test_an_unverifiable_cookie_is_left_alone_by_a_read(browse, options, value):
    """As Flask does. It may be another application's, or this one's with a secret that this process hasn't yet."""
    browser = browse(act, **options)
    response = browser.send("/", headers={"Cookie": f"session={value}"})
    assert response.text == "None"
    assert response.headers.getall("Set-Cookie") == []
    assert response.headers["Vary"] == "Cookie"


def test_an_unverifiable_cookie_is_replaced_by_a_write_and_removed_by_a_logout(browse, options):
    browser = browse(act, **options)
    assert "Max-Age=0" in browser.send("/logout", headers={"Cookie": "session=broken"}).headers["Set-Cookie"]
    browser.send("/login", headers={"Cookie": "session=broken"})
    assert browser.send("/").text == "ann"


def test_the_cookie_of_an_expired_session_is_removed(browse, options, clock):
    browser = browse(act, idle_timeout_seconds=100, **options)
    browser.send("/login")
    clock.move(101)
    browser.send("/")
    assert browser.cookie is None
