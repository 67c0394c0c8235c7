"""Our sessions and Flask's: its cookie read and written, one session inside and outside, our stores inside Flask."""

import datetime as dates
import uuid

import flask
import pytest
from flask.sessions import SecureCookieSessionInterface
from markupsafe import Markup
from webtest import TestApp

from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.middleware import Middleware
from wsgikit.sessions.errors import SessionCommitted, SessionValueError, StoreUnavailable
from wsgikit.sessions.flask import SessionInterface
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.memory import MemoryStore

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"
OLD = "an-old-secret-0123456789abcdef"

VALUES = {
    "int": 1,
    "str": "Zoë",
    "none": None,
    "list": [1, {"a": []}],
    "tuple": (1, (2,)),
    "bytes": b"\0\xff",
    "uuid": uuid.UUID(int=7),
    "markup": Markup("<b>&amp;</b>"),
    "datetime": dates.datetime(2026, 11, 22, 12, 0, 5, tzinfo=dates.UTC),
    "like a tag": {" t": [1]},
    "like the escape": {" di": {" t": 1}},
    "like an escaped tag": {" t__": 1},
    "two keys": {" t": 1, " b": 2},
    "long": "x" * 2000,
}


def make_app(**config):
    app = flask.Flask(__name__)
    app.config.update(SECRET_KEY=SECRET, **config)

    @app.get("/get")
    def get():
        return {key: repr(value) for key, value in flask.session.items()}

    @app.get("/set")
    def set_values():
        flask.session.update(flask.request.args)
        return "set"

    @app.get("/values")
    def values():
        flask.session.update(VALUES)
        return "set"

    @app.get("/nested")
    def nested():
        flask.session.setdefault("l", []).append(1)
        return "appended"

    @app.get("/flash")
    def flash():
        flask.flash("hello", "info")
        return "flashed"

    @app.get("/flashes")
    def flashes():
        return repr(flask.get_flashed_messages(with_categories=True))

    @app.get("/stay")
    def stay():
        flask.session.permanent = True
        return "stay"

    @app.get("/clear")
    def clear():
        flask.session.clear()
        return "cleared"

    @app.get("/nothing")
    def nothing():
        return "nothing"

    @app.get("/lock")
    def lock():
        flask.session.get("user")
        app.extensions["lock"]()
        with flask.session.lock():
            flask.session["n"] = 1
        return "locked"

    @app.get("/fail")
    def fail():
        flask.session["failed"] = 1
        return "failed", 500

    return app


def layer_for(app, **options):
    return SessionMiddleware(app, **{"secret_key": SECRET, "cookie_format": "flask", **options})


def cookie_of(app, values):
    """What Flask itself writes."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    return "session=" + serializer.dumps(values)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_we_read_what_flask_writes_and_flask_reads_what_we_write(value):
    app = make_app()
    layer = layer_for(app)
    session = layer.open_session(cookie_of(app, {"key": value}))
    assert session["key"] == value
    assert type(session["key"]) is type(value)

    session = layer.open_session(None)
    session["key"] = value
    written = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    read = SecureCookieSessionInterface().get_signing_serializer(app).loads(written)
    assert read == {"key": value}
    assert type(read["key"]) is type(value)


def test_keys_are_rotated_as_in_flask():
    before = flask.Flask(__name__)
    before.config["SECRET_KEY"] = OLD
    after = make_app(SECRET_KEY_FALLBACKS=[OLD])
    layer = layer_for(after, secret_key=[SECRET, OLD])
    session = layer.open_session(cookie_of(before, {"user": 1}))
    assert session["user"] == 1
    session["n"] = 1
    written = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    assert SecureCookieSessionInterface().get_signing_serializer(make_app()).loads(written) == {"user": 1, "n": 1}


def test_a_cookie_that_is_too_old_is_no_session(monkeypatch):
    import time

    app = make_app()
    cookie = cookie_of(app, {"user": 1})
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    assert layer_for(app, idle_timeout_seconds=99).open_session(cookie).copy() == {}


def test_what_flask_cannot_hold_is_an_error_with_its_path():
    layer = layer_for(make_app())
    session = layer.open_session(None)
    session["a"] = [{1, 2}]
    with pytest.raises(SessionValueError, match=r"session: a\[0\]: expected what Flask's session can hold, got a set"):
        layer.save_session(session)


def test_a_login_in_the_app_is_seen_by_the_layer_outside_and_the_other_way_round():
    app = make_app()
    seen = []

    class Outside(Middleware):
        def before_request(self, exchange):
            seen.append(dict(exchange.environ["wsgikit.session"]))

    client = TestApp(layer_for(Outside(app)))
    client.get("/set?user=ada")
    client.get("/get")
    assert seen == [{}, {"user": "ada"}]

    class Router(Middleware):
        def before_request(self, exchange):
            if exchange.environ["PATH_INFO"] == "/ours":
                exchange.environ["wsgikit.session"]["theme"] = "dark"
                return exchange.reply(200, "ours")
            return None

    client = TestApp(layer_for(Router(app)))
    client.get("/set?user=ada")
    client.get("/ours")
    assert client.get("/get").json == {"user": "'ada'", "theme": "'dark'"}


def test_changes_of_the_app_and_of_the_layer_in_one_request_are_merged_into_one_cookie():
    class After(Middleware):
        def before_request(self, exchange):
            if exchange.environ["QUERY_STRING"]:
                exchange.environ["wsgikit.session"]["outside"] = 1

    client = TestApp(layer_for(After(make_app())))
    response = client.get("/set?user=ada")
    assert len(response.headers.getall("Set-Cookie")) == 1
    assert client.get("/get").json == {"outside": "1", "user": "'ada'"}


def test_an_app_that_clears_its_session_leaves_only_what_the_layer_changed():
    class After(Middleware):
        def before_request(self, exchange):
            if exchange.environ["PATH_INFO"] == "/clear":
                exchange.environ["wsgikit.session"]["outside"] = 1

    client = TestApp(layer_for(After(make_app())))
    client.get("/set?user=ada")
    response = client.get("/clear")
    assert len(response.headers.getall("Set-Cookie")) == 1
    assert client.get("/get").json == {"outside": "1"}


def test_a_login_of_the_app_takes_the_place_of_a_broken_cookie():
    class Outside(Middleware):
        def before_request(self, exchange):
            exchange.environ["wsgikit.session"].get("user")

    client = TestApp(layer_for(Outside(make_app())))
    response = client.get("/set?user=ada", headers={"Cookie": "session=broken"})
    assert len(response.headers.getall("Set-Cookie")) == 1
    assert client.get("/get").json == {"user": "'ada'"}
    assert "Set-Cookie" not in client.get("/nothing", headers={"Cookie": "session=broken"}).headers


def test_flash_messages_and_permanence_are_shared():
    class Outside(Middleware):
        def before_request(self, exchange):
            session = exchange.environ["wsgikit.session"]
            if exchange.environ["PATH_INFO"] == "/ours":
                session.flash("from outside", "error")
                session.permanent = True
                return exchange.reply(200, "")
            if exchange.environ["PATH_INFO"] == "/look":
                return exchange.reply(200, repr((session.pop_flashes(), session.permanent)))
            return None

    client = TestApp(layer_for(Outside(make_app())))
    assert "Max-Age" in client.get("/ours").headers["Set-Cookie"]
    assert client.get("/flashes").text == "[('error', 'from outside')]"
    client.get("/flash")
    assert client.get("/look").text == "([('info', 'hello')], True)"


def test_a_session_that_is_permanent_by_option_is_so_in_the_app_inside():
    class Outside(Middleware):
        def before_request(self, exchange):
            if exchange.environ["PATH_INFO"] == "/ours":
                exchange.environ["wsgikit.session"]["a"] = 1
                return exchange.reply(200, "ours")
            return None

    client = TestApp(layer_for(Outside(make_app()), cookie_permanent=True))
    assert "Max-Age" in client.get("/ours").headers["Set-Cookie"]
    assert "Expires" in client.get("/set?user=ada").headers["Set-Cookie"]


STORE = [
    pytest.param({}, id="the layer's session"),
    pytest.param({"store": "memory"}, id="a store of its own"),
    pytest.param({"store": "cookie"}, id="a cookie of its own"),
]


@pytest.fixture(params=STORE)
def client(request):
    app = make_app(SESSION_COOKIE_NAME="flasksession", SESSION_COOKIE_SAMESITE="Strict")
    options = dict(request.param)
    if options.get("store") == "memory":
        options["store"] = MemoryStore()
    app.session_interface = SessionInterface(**options)
    if not options:
        app = SessionMiddleware(app, secret_key=SECRET, store="memory://", cookie_name="flasksession")
    return TestApp(app)


def test_flask_session_is_ours_in_all_its_uses(client):
    assert "Set-Cookie" not in client.get("/nothing").headers
    assert "Vary" not in client.get("/nothing").headers
    response = client.get("/set?user=ada")
    assert response.headers["Set-Cookie"].startswith("flasksession=")
    assert response.headers["Vary"] == "Cookie"
    assert client.get("/get").json == {"user": "'ada'"}
    client.get("/nested")
    client.get("/nested")
    assert client.get("/get").json == {"user": "'ada'", "l": "[1, 1]"}, "a change in a list is noticed"
    client.get("/flash")
    assert client.get("/flashes").text == "[('info', 'hello')]"
    assert client.get("/flashes").text == "[]"
    assert "Max-Age=" in client.get("/stay").headers["Set-Cookie"]
    client.get("/fail", status=500)
    assert "failed" not in client.get("/get").json
    client.get("/clear")
    assert client.get("/get").json == {}


def test_all_of_flasks_values_and_more_survive(client):
    client.get("/values")
    assert client.get("/get").json == {key: repr(value) for key, value in VALUES.items()}


def test_options_come_from_flasks_configuration():
    app = make_app(SESSION_COOKIE_NAME="x", SESSION_COOKIE_SAMESITE="Strict", SECRET_KEY_FALLBACKS=[OLD])
    app.session_interface = SessionInterface(store="cookie")
    line = TestApp(app).get("/set?a=1").headers["Set-Cookie"]
    assert line.startswith("x=")
    assert line.endswith("; Path=/; HttpOnly; SameSite=Strict")


def test_without_a_layer_and_without_options_the_error_says_what_to_do():
    app = make_app()
    app.testing = True
    app.session_interface = SessionInterface()
    with pytest.raises(ConfigurationError, match=r"Put use\(SessionMiddleware, …\) around the app"):
        app.test_client().get("/get")


def test_s11_a_str_in_place_of_the_list_of_old_secrets_is_refused_by_its_name():
    """Flask takes each of its characters for a secret: a cookie that is signed with "o" is then accepted."""
    app = make_app(SECRET_KEY_FALLBACKS=OLD)
    app.testing = True
    app.session_interface = SessionInterface(store="memory://")
    with pytest.raises(
        ConfigurationError, match=r"SessionInterface: SECRET_KEY_FALLBACKS: expected a list of secrets, got a str\. "
    ) as caught:
        app.test_client().get("/get")
    assert OLD not in str(caught.value)


def test_a_weak_secret_in_flasks_configuration_is_refused():
    app = make_app()
    app.testing = True
    app.config["SECRET_KEY"] = "dev"
    app.session_interface = SessionInterface(store="memory://")
    with pytest.raises(ConfigurationError, match="SessionInterface: secret_key"):
        app.test_client().get("/get")


@pytest.mark.parametrize("store", ["cookie", "memory://"])
@pytest.mark.parametrize("is_read", [False, True])
def test_s3_a_change_in_a_stream_that_nothing_would_save_is_an_error(store, is_read):
    app = flask.Flask("streaming")
    app.secret_key = SECRET
    app.session_interface = SessionInterface(store=store)

    @app.get("/")
    def stream():
        if is_read:
            flask.session.get("a")

        def chunks():
            yield "first"
            with pytest.raises(SessionCommitted, match="session: key 'late': expected a change before the head"):
                flask.session["late"] = 1
            yield "last"

        return flask.Response(flask.stream_with_context(chunks()))

    assert TestApp(app).get("/").text == "firstlast"


@pytest.fixture
def streaming():
    """A Flask app whose stream does a step of the test's, and a client of it that has a session already."""

    def build(store, step, **response):
        app = flask.Flask("streaming")
        app.secret_key = SECRET
        app.session_interface = SessionInterface(store=store)

        @app.get("/begin")
        def begin():
            flask.session.update(a=1, l=[])
            return "begun"

        @app.get("/look")
        def look():
            return repr(flask.session.copy())

        @app.get("/")
        def stream():
            flask.session["l"].append("before")

            def chunks():
                yield "first"
                step(flask.session)
                yield "last"

            return flask.Response(flask.stream_with_context(chunks()), **response)

        client = TestApp(app)
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
    assert client.get("/").text == "firstlast"
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


def test_s3_a_change_after_the_end_of_a_stream_is_a_named_error(streaming):
    held = []
    client = streaming(MemoryStore(), lambda session: held.append(session._get_current_object()))
    client.get("/")
    with pytest.raises(SessionCommitted, match="session: key 'late'"):
        held[0]["late"] = 1


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
    """A Flask app whose store can be told to be down, and a client of it that has a session."""

    def build(page=None, **options):
        app = make_app()
        if page is not None:
            app.register_error_handler(StoreUnavailable, page)
        app.testing = True
        store = DownStore()
        app.session_interface = SessionInterface(store=store, **options)
        client = TestApp(app)
        client.get("/set?user=ada")
        return store, client

    return build


@pytest.mark.parametrize("path", ["/get", "/set?user=bob"])
@pytest.mark.parametrize("cookied", [True, False])
def test_s19_a_store_that_is_down_gives_a_503_to_who_needs_it_and_nothing_is_lost(fragile, caplog, path, cookied):
    store, client = fragile()
    store.is_down = True
    assert client.get("/nothing").text == "nothing"
    if not cookied:
        client.reset()
    response = client.get(path, expect_errors=True)
    if not cookied and path == "/get":
        assert response.json == {}, "who has no cookie and doesn't write needs no store"
        return
    assert response.status_int == 503
    assert "Please try again" in response.text
    assert "DownStore" not in response.text
    assert (response.headers["Retry-After"], response.headers["Cache-Control"]) == ("5", "no-store")
    assert "Set-Cookie" not in response.headers, "never a new, empty session"
    text = f"GET {path.partition('?')[0]}: SessionInterface: DownStore: expected an answer, got none. Is it up?"
    assert [record.getMessage() for record in caplog.records] == [text]
    store.is_down = False
    if cookied:
        assert client.get("/get").json == {"user": "'ada'"}


def test_s19_a_store_that_goes_down_before_a_lock_gives_a_503_too(fragile):
    store, client = fragile()
    client.app.extensions["lock"] = lambda: None
    assert client.get("/lock").text == "locked"
    client.app.extensions["lock"] = lambda: setattr(store, "is_down", True)
    response = client.get("/lock", status=503)
    assert "Please try again" in response.text
    store.is_down = False
    assert client.get("/get").json == {"user": "'ada'", "n": "1"}


@pytest.mark.parametrize("path", ["/get", "/set?user=bob"])
@pytest.mark.parametrize("cookied", [True, False])
def test_s19_an_error_handler_of_the_app_makes_the_page_reading_and_writing(fragile, path, cookied):
    store, client = fragile(lambda error: ("ours", 503))
    store.is_down = True
    if not cookied:
        client.reset()
        path = "/set?user=bob"
    response = client.get(path, status=503)
    assert response.text == "ours"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("path", ["/get", "/set?user=bob"])
def test_s19_with_raise_the_error_is_an_exception_like_any_other(fragile, path):
    store, client = fragile(on_store_error="raise")
    store.is_down = True
    with pytest.raises(StoreUnavailable, match="DownStore"):
        client.get(path)
    client.reset()
    if path != "/get":
        with pytest.raises(StoreUnavailable, match="DownStore"):
            client.get(path)
