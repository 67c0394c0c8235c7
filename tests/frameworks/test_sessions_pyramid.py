"""Our sessions as Pyramid's: a real application with them, alone and with the layer around it."""

import pytest
from pyramid.config import Configurator
from pyramid.csrf import check_csrf_token, get_csrf_token, new_csrf_token
from pyramid.interfaces import ISession
from pyramid.response import Response
from webtest import TestApp
from zope.interface.verify import verifyObject

from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.errors import SessionCommitted, StoreUnavailable
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.pyramid import session_factory
from wsgikit.sessions.stores.memory import MemoryStore

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"


def view(request):
    session = request.session
    what = request.matchdict["what"]
    if what == "set":
        session["user"] = "ada"
    elif what == "nested":
        session.setdefault("l", []).append(1)
    elif what == "flash":
        session.flash("hello")
        session.flash("hello", allow_duplicate=False)
        session.flash("bad", "error")
    elif what == "flashes":
        return Response(repr((session.pop_flash(), session.peek_flash("error"))))
    elif what == "csrf":
        token = get_csrf_token(request)
        assert check_csrf_token(request, raises=False) is False
        request.headers["X-CSRF-Token"] = token
        assert check_csrf_token(request)
        assert new_csrf_token(request) != token
    elif what == "invalidate":
        session.invalidate()
        assert session.new
    elif what == "changed":
        session.changed()
    elif what == "interface":
        assert verifyObject(ISession, session)
        assert isinstance(session.created, int)
    elif what == "fail":
        session["failed"] = 1
        return Response("x", status=500)
    elif what == "nothing":
        pass
    return Response(repr(dict(session)) if what != "nothing" else "nothing")


def make_app(**options):
    with Configurator() as config:
        config.set_session_factory(session_factory(**options))
        config.add_route("any", "/{what}")
        config.add_view(view, route_name="any")
        return config.make_wsgi_app()


@pytest.fixture(params=["layer", "store", "cookie"])
def client(request):
    if request.param == "layer":
        return TestApp(SessionMiddleware(make_app(), secret_key=SECRET))
    return TestApp(make_app(secret_key=SECRET, store=MemoryStore() if request.param == "store" else "cookie"))


def test_request_session_is_ours_in_all_its_uses(client):
    client.get("/interface")
    response = client.get("/nothing")
    assert "Set-Cookie" not in response.headers
    assert "Vary" not in response.headers
    response = client.get("/set")
    assert response.headers["Set-Cookie"].startswith("session=")
    assert response.headers["Vary"] == "Cookie"
    client.get("/nested")
    client.get("/nested")
    assert client.get("/get").text == "{'user': 'ada', 'l': [1, 1]}"
    client.get("/flash")
    assert client.get("/flashes").text == "(['hello'], ['bad'])"
    assert client.get("/flashes").text == "([], ['bad'])"
    client.get("/csrf")
    client.get("/changed")
    client.get("/fail", status=500)
    assert "failed" not in client.get("/get").text
    client.get("/invalidate")
    assert client.get("/get").text == "{}"


def test_without_a_layer_and_without_options_the_error_says_what_to_do():
    with pytest.raises(ConfigurationError, match=r"Put use\(SessionMiddleware, …\) around the app"):
        TestApp(make_app()).get("/get")


def test_options_are_checked_when_the_factory_is_made():
    with pytest.raises(ConfigurationError, match="session_factory: secret_key: expected at least 16 bytes"):
        session_factory(secret_key="short")


@pytest.mark.parametrize("store", ["cookie", "memory://"])
@pytest.mark.parametrize("is_read", [False, True])
def test_s3_a_change_in_a_stream_that_nothing_would_save_is_an_error(store, is_read):
    def stream(request):
        session = request.session
        if is_read:
            session.get("a")

        def chunks():
            yield b"first"
            with pytest.raises(SessionCommitted, match="session: key 'late': expected a change before the head"):
                session["late"] = 1
            yield b"last"

        return Response(app_iter=chunks())

    with Configurator() as config:
        config.set_session_factory(session_factory(secret_key=SECRET, store=store))
        config.add_route("stream", "/")
        config.add_view(stream, route_name="stream")
        app = config.make_wsgi_app()
    assert TestApp(app).get("/").text == "firstlast"


@pytest.fixture
def streaming():
    """A Pyramid app whose stream does a step of the test's, and a client of it that has a session already."""

    def build(store, step, **response):
        def begin(request):
            request.session.update(a=1, l=[])
            return Response("begun")

        def look(request):
            return Response(repr(request.session.copy()))

        def stream(request):
            session = request.session
            session["l"].append("before")

            def chunks():
                yield b"first"
                step(session)
                yield b"last"

            return Response(app_iter=chunks(), content_length=9, **response)

        with Configurator() as config:
            config.set_session_factory(session_factory(secret_key=SECRET, store=store))
            for name, each in (("begin", begin), ("look", look), ("", stream)):
                config.add_route(name or "stream", f"/{name}")
                config.add_view(each, route_name=name or "stream")
            client = TestApp(config.make_wsgi_app())
        client.get("/begin")
        return client

    return build


CHANGES = {
    "set": (lambda s: s.__setitem__("b", 2), {"a": 1, "l": ["before"], "b": 2}),
    "nested": (lambda s: s["l"].append("late"), {"a": 1, "l": ["before", "late"]}),
    "destroy": (lambda s: s.destroy(), {}),
}


@pytest.mark.parametrize(("step", "expected"), CHANGES.values(), ids=CHANGES)
def test_s3_a_store_saves_what_a_stream_changes(streaming, step, expected):
    client = streaming(MemoryStore(), step)
    response = client.get("/")
    assert (response.text, response.content_length) == ("firstlast", 9)
    assert client.get("/look").text == repr(expected)


def test_s3_with_cookies_a_value_changed_inside_in_a_stream_is_logged(streaming, caplog):
    client = streaming("cookie", lambda session: session["l"].append("late"))
    client.get("/")
    assert "session: 'l' changed after the head of the response left, and can't be saved any more" in caplog.text
    assert client.get("/look").text == "{'a': 1, 'l': ['before']}"


def test_s20_a_stream_that_breaks_off_with_an_error_drops_its_changes(streaming):
    def fail(session):
        session["b"] = 2
        raise ValueError("broken")

    client = streaming(MemoryStore(), fail)
    with pytest.raises(ValueError, match="broken"):
        client.get("/")
    assert client.get("/look").text == "{'a': 1, 'l': ['before']}"


def test_s20_a_streamed_500_drops_what_came_before_and_after_its_head(streaming):
    client = streaming(MemoryStore(), lambda session: session.update(b=2), status=500)
    client.get("/", status=500)
    assert client.get("/look").text == "{'a': 1, 'l': []}"


class DownStore(MemoryStore):
    """A store that doesn't answer while it is told so."""

    is_down = False

    def load(self, key):
        if self.is_down:
            raise StoreUnavailable("DownStore: expected an answer, got none. Is it up?")
        return super().load(key)

    def save(self, key, record, expected=None):
        if self.is_down:
            raise StoreUnavailable("DownStore: expected an answer, got none. Is it up?")
        return super().save(key, record, expected)


@pytest.fixture
def fragile():
    """A Pyramid app whose store can be told to be down, and a client of it that has a session."""

    def build(page=None, **options):
        store = DownStore()
        with Configurator() as config:
            config.set_session_factory(session_factory(secret_key=SECRET, store=store, **options))
            config.add_route("any", "/{what}")
            config.add_view(view, route_name="any")
            if page is not None:
                config.add_exception_view(page, context=StoreUnavailable)
            client = TestApp(config.make_wsgi_app())
        client.get("/set")
        return store, client

    return build


@pytest.mark.parametrize("path", ["/get", "/set"])
@pytest.mark.parametrize("cookied", [True, False])
def test_s19_a_store_that_is_down_gives_a_503_to_who_needs_it_and_nothing_is_lost(fragile, caplog, path, cookied):
    store, client = fragile()
    store.is_down = True
    assert client.get("/nothing").text == "nothing"
    if not cookied:
        client.reset()
    response = client.get(path, expect_errors=True)
    if not cookied and path == "/get":
        assert response.text == "{}", "who has no cookie and doesn't write needs no store"
        return
    assert response.status_int == 503
    assert "Please try again" in response.text
    assert "DownStore" not in response.text
    assert (response.headers["Retry-After"], response.headers["Cache-Control"]) == ("5", "no-store")
    assert "Set-Cookie" not in response.headers, "never a new, empty session"
    text = f"GET {path}: session_factory: DownStore: expected an answer, got none. Is it up?"
    assert caplog.messages == [text]
    store.is_down = False
    if cookied:
        assert client.get("/get").text == "{'user': 'ada'}"


@pytest.mark.parametrize("path", ["/get", "/set"])
@pytest.mark.parametrize("cookied", [True, False])
def test_s19_an_exception_view_of_the_app_makes_the_page_reading_and_writing(fragile, path, cookied):
    store, client = fragile(lambda error, request: Response("ours", status=503))
    store.is_down = True
    if not cookied:
        client.reset()
        path = "/set"
    response = client.get(path, status=503)
    assert response.text == "ours"
    assert "Set-Cookie" not in response.headers


def test_s19_with_raise_the_error_is_an_exception_like_any_other(fragile):
    store, client = fragile(on_store_error="raise")
    store.is_down = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="DownStore"):
            client.get("/set")
        client.reset()
