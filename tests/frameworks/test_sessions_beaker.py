"""Applications written for Beaker run unchanged: each is run under Beaker and under us, and must answer the same."""

import time

import pytest
from webtest import TestApp

from wsgikit.exceptions import ApplicationError
from wsgikit.sessions.beaker import BeakerSession
from wsgikit.sessions.middleware import SessionMiddleware

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"


def counter(environ):
    session = environ["beaker.session"]
    session["n"] = session.get("n", 0) + 1
    session.save()
    return session["n"]


def nested(environ):
    session = environ["beaker.session"]
    if "cart" not in session:
        session["cart"] = {"items": []}
    session["cart"]["items"].append("x")
    session.save()
    return len(session["cart"]["items"])


def read_only(environ):
    session = environ["beaker.session"]
    return session.get("n"), "n" in session, session.has_key("n")


def deleting(environ):
    session = environ["beaker.session"]
    session["n"] = 1
    session.save()
    session.delete()
    return "n" in session


def invalidating(environ):
    session = environ["beaker.session"]
    before = session.id
    session["n"] = 1
    session.invalidate()
    session["m"] = 2
    session.save()
    return session.id != before, "n" in session, session["m"]


def times(environ):
    session = environ["beaker.session"]
    session["n"] = 1
    session.save()
    now = time.time()
    return (
        abs(session["_creation_time"] - now) < 100,
        abs(session.created - now) < 100,
        session.last_accessed is None or abs(session.last_accessed - now) < 100,
        isinstance(session.id, str) and len(session.id) >= 32,
    )


def flags(environ):
    session = environ["beaker.session"]
    before = session.accessed()
    session.get("x")
    return before, session.accessed(), session.is_new


def reverting(environ):
    session = environ["beaker.session"]
    session["n"] = 1
    session.save()
    session.revert()
    return session.get("n")


def by_get_session(environ):
    session = environ["beaker.get_session"]()
    return session.get("n") is None


def dict_methods(environ):
    session = environ["beaker.session"]
    session.update({"a": 1, "b": 2})
    session.setdefault("c", []).append(3)
    session.pop("a")
    del session["b"]
    session.save()
    return sorted(key for key in session if not key.startswith("_")), session["c"]


def persisting(environ):
    session = environ["beaker.session"]
    session["n"] = session.get("n", 0) + 1
    session.save()
    session.persist()
    return session["n"]


APPS = [
    counter,
    nested,
    read_only,
    deleting,
    invalidating,
    times,
    flags,
    reverting,
    dict_methods,
    by_get_session,
    persisting,
]


def make_app(view):
    def app(environ, start_response):
        body = repr(view(environ)).encode()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    return app


def beaker(app):
    from beaker.middleware import SessionMiddleware as Beaker

    return Beaker(app, {"session.type": "memory", "session.key": "session", "session.data_serializer": "json"})


def ours(app, **options):
    return SessionMiddleware(
        app, **{"secret_key": SECRET, "environ_key": "beaker.session", "store": "memory://", **options}
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("store", ["memory://", "cookie"])
@pytest.mark.parametrize("view", APPS, ids=lambda view: view.__name__)
def test_an_app_written_for_beaker_answers_the_same(view, store):
    theirs, mine = TestApp(beaker(make_app(view))), TestApp(ours(make_app(view), store=store))
    for _ in range(3):
        assert mine.get("/").text == theirs.get("/").text


def test_the_session_has_beakers_methods_and_ours():
    seen = {}

    def view(environ):
        seen["session"] = session = environ["beaker.session"]
        assert isinstance(session, BeakerSession)
        assert session.accessed is not None
        assert not session.accessed
        session.load()
        assert session.accessed
        assert session.accessed()
        session["n"] = 1
        assert session.dirty()
        with pytest.raises(KeyError):
            session["missing"]
        assert session["_accessed_time"] is None or session["_accessed_time"] > 0
        assert session["_id"] == session.id
        assert list(session) == ["n"]
        session.flash("x")
        session.regenerate_id()

    TestApp(ours(make_app(view))).get("/")


def test_get_by_id_finds_another_session_and_none_where_there_is_none():
    ids = []

    def view(environ):
        session = environ["beaker.session"]
        if not ids:
            session["n"] = 1
            session.save()
            ids.append(session.id)
        found = session.get_by_id(ids[0])
        return found.id == ids[0], found.copy(), session.get_by_id("unknown")

    app = ours(make_app(view))
    TestApp(app).get("/")
    assert TestApp(app).get("/").text == "(True, {'n': 1}, None)"


def changing_another(environ):
    session = environ["beaker.session"]
    if environ["PATH_INFO"] == "/":
        session["value"] = 1
        session.save()
        return str(session.id)
    other = session.get_by_id(environ["QUERY_STRING"])
    if other is None:
        return None
    if environ["PATH_INFO"] == "/change":
        other["value"] += 1
        other.save()
    elif environ["PATH_INFO"] == "/delete":
        other.delete()
    elif environ["PATH_INFO"] == "/forget":
        other["value"] = 99
    return other.get("value")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [ours, beaker], ids=["wsgikit", "Beaker"])
def test_a_session_of_get_by_id_can_be_saved_and_deleted(make):
    app = make(make_app(changing_another))
    owner = TestApp(app)
    session_id = owner.get("/").text.strip("'")

    def ask(path):
        return TestApp(app).get(f"{path}?{session_id}").text

    assert ask("/change") == "2"
    assert ask("/forget") == "99"
    assert ask("/look") == "2", "what isn't saved is lost"
    if make is ours:  # Beaker's stays until persist()
        ask("/delete")
        assert ask("/look") == "None"


def falling_back(environ):
    session = environ.get("beaker.session") or {}
    session["n"] = session.get("n", 0) + 1
    if hasattr(session, "save"):
        session.save()
    return session["n"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("make", [ours, beaker], ids=["wsgikit", "Beaker"])
def test_an_empty_session_is_true(make):
    client = TestApp(make(make_app(falling_back)))
    assert [client.get("/").text for _ in range(3)] == ["1", "2", "3"]


def test_an_empty_session_that_is_saved_sends_no_cookie():
    def view(environ):
        environ["beaker.session"].save()

    assert "Set-Cookie" not in TestApp(ours(make_app(view))).get("/").headers


def test_lock_and_unlock_are_pairs_as_in_beaker():
    def view(environ):
        session = environ["beaker.session"]
        session.lock()
        session["n"] = session.get("n", 0) + 1
        session.save()
        session.unlock()
        session.unlock()
        with session.lock():
            session["n"] += 1
        return session["n"]

    client = TestApp(ours(make_app(view)))
    assert client.get("/").text == "2"
    assert client.get("/").text == "4"


def test_the_session_has_all_public_names_of_beakers():
    from beaker.session import CookieSession, Session, SessionObject

    # Of class methods of dict, and of what writes the cookie, no application's session has any use.
    left_out = {"fromkeys", "serialize_cookie_date"}
    for theirs in (Session, CookieSession, SessionObject):
        names = {name for name in dir(theirs) if not name.startswith("_")}
        assert {name for name in names if not hasattr(BeakerSession, name)} <= left_out


def test_a_cookie_path_or_domain_of_one_session_is_refused_where_beaker_would_send_it():
    def view(environ):
        session = environ["beaker.session"]
        session.path, session.domain = "/", None
        with pytest.raises(ApplicationError, match=r"session: path: expected '/', got '/shop'. Give the layer"):
            session.path = "/shop"
        with pytest.raises(ApplicationError, match=r"session: domain: expected None, got 'a.org'. Give .* cookie_d"):
            session.domain = "a.org"
        return session.path, session.domain

    assert TestApp(ours(make_app(view))).get("/").text == "('/', None)"
    assert (
        TestApp(ours(make_app(lambda e: e["beaker.session"].domain), cookie_domain="b.org")).get("/").text == "'b.org'"
    )


def test_unlike_beaker_a_reader_gets_no_cookie_and_an_invented_id_is_not_adopted():
    def view(environ):
        session = environ["beaker.session"]
        if environ["PATH_INFO"] == "/w":
            session["n"] = 1
            session.save()
        return session.get("n") and session.id

    client = TestApp(ours(make_app(view)))
    assert "Set-Cookie" not in client.get("/").headers
    invented = "a" * 32
    assert invented not in client.get("/w", headers={"Cookie": f"session={invented}"}).text
