"""Our sessions and Django's: its signed cookies read and written, and our stores as its session engine."""

import importlib
import subprocess
import sys
import threading
import time

import django
import pytest
from django.conf import settings
from webtest import TestApp

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"

if not settings.configured:
    settings.configure(
        SECRET_KEY=SECRET,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=(),  # other tests of the process answer by it
        INSTALLED_APPS=["django.contrib.sessions"],
        DATABASES={},
        USE_TZ=True,
    )
    django.setup()

from django.contrib.sessions.backends.base import CreateError, UpdateError  # noqa: E402
from django.contrib.sessions.backends.signed_cookies import SessionStore as SignedCookies  # noqa: E402
from django.test import override_settings  # noqa: E402

from wsgikit.exceptions import ConfigurationError  # noqa: E402
from wsgikit.onion.middleware import Middleware  # noqa: E402
from wsgikit.sessions import stores  # noqa: E402
from wsgikit.sessions.errors import SessionValueError, StoreUnavailable  # noqa: E402
from wsgikit.sessions.middleware import SessionMiddleware  # noqa: E402

VALUES = {"int": 1, "str": "Zoë ☃", "none": None, "list": [1, {"a": []}], "long": "x" * 2000, "_auth_user_id": "7"}


@pytest.fixture(autouse=True)
def _secret():
    with override_settings(SECRET_KEY=SECRET, SECRET_KEY_FALLBACKS=[]):
        yield


@pytest.fixture
def layer():
    return SessionMiddleware(lambda e, s: [], secret_key=SECRET, cookie_format="django", cookie_name="sessionid")


def test_we_read_what_django_writes(layer):
    theirs = SignedCookies()
    theirs.update(VALUES)
    theirs.save()
    assert layer.open_session(f"sessionid={theirs.session_key}") == VALUES


@pytest.mark.parametrize("values", [VALUES, {"a": 1}], ids=["compressed", "short"])
def test_django_reads_what_we_write(layer, values):
    session = layer.open_session(None)
    session.update(values)
    cookie = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    assert dict(SignedCookies(cookie).items()) == values


def test_keys_are_rotated_as_in_django():
    with override_settings(SECRET_KEY="an-old-secret-0123456789abcdef"):
        theirs = SignedCookies()
        theirs["a"] = 1
        theirs.save()
    layer = SessionMiddleware(
        lambda e, s: [],
        secret_key=[SECRET, "an-old-secret-0123456789abcdef"],
        cookie_format="django",
        cookie_name="sessionid",
    )
    assert layer.open_session(f"sessionid={theirs.session_key}") == {"a": 1}


def test_what_django_cannot_hold_is_an_error_with_its_path(layer):
    session = layer.open_session(None)
    session["a"] = {"b": (1, {2})}
    with pytest.raises(
        SessionValueError, match=r"session: a.b\[1\]: expected .*, got a set. Django's cookie is plain JSON"
    ):
        layer.save_session(session)


@pytest.fixture(params=["memory://", "sqlite", "redis"])
def engine(request, tmp_path, require_service):
    url = request.param
    if url == "sqlite":
        url = f"sqlite:///{tmp_path}/s.db"
    if url == "redis":
        require_service("redis")
        url = "redis://127.0.0.1:6379/9"
    module = importlib.import_module("wsgikit.sessions.django")
    with override_settings(WSGIKIT_SESSION_STORE=url, SESSION_ENGINE="wsgikit.sessions.django"):
        yield module.SessionStore
    store = module._opened.pop(url, None)
    if store is not None:
        store.close()


def test_a_record_that_cannot_be_read_is_logged_and_begins_a_new_session(engine, caplog):
    from wsgikit.sessions.django import _store
    from wsgikit.sessions.stores.base import Record, store_key

    session = engine()
    session["user"] = 1
    session.save()
    key = store_key(session.session_key)
    _store().delete(key)
    _store().save(key, Record(b"nonsense", time.time(), time.time() + 100))
    assert engine(session.session_key).load() == {}
    (text,) = caplog.messages
    assert text.startswith(f"settings: WSGIKIT_SESSION_STORE: record {key[:16]}…: expected a session, got something")


def test_the_engine_does_all_that_django_asks_of_one(engine):
    session = engine()
    assert session.is_empty()
    session["user"] = 1
    session.save()
    key = session.session_key
    assert len(key) == 43
    again = engine(key)
    assert again["user"] == 1
    assert engine().exists(key)
    again["cart"] = [1, (2,)]
    again.save()
    assert engine(key)["cart"] == [1, (2,)]
    again.cycle_key()
    assert again.session_key != key
    assert not engine().exists(key)
    assert engine(again.session_key)["user"] == 1
    again.set_expiry(50)
    again.save()
    assert engine(again.session_key).get_expiry_age() == 50
    again.flush()
    assert not engine().exists(again.session_key)
    engine.clear_expired()


def test_an_unknown_key_gives_an_empty_session_and_is_not_adopted(engine):
    session = engine("a" * 43)
    assert dict(session.items()) == {}
    assert session.session_key is None
    session["user"] = 1
    session.save()
    assert session.session_key != "a" * 43


def test_b36_a_session_that_was_deleted_meanwhile_is_not_brought_back(engine):
    session = engine()
    session["user"] = 1
    session.save()
    in_flight, logout = engine(session.session_key), engine(session.session_key)
    in_flight["seen"] = 1
    logout.flush()
    with pytest.raises(UpdateError):
        in_flight.save()
    again = engine()
    again._session_key = session.session_key
    again.save(must_create=True)
    with pytest.raises(CreateError):
        again.save(must_create=True)


def test_s4_two_requests_that_change_different_keys_both_survive(engine):
    session = engine()
    session["start"] = 1
    session["gone"] = 1
    session.save()
    barrier = threading.Barrier(4)

    def work(number):
        mine = engine(session.session_key)
        mine[f"key{number}"] = number
        if number == 0:
            del mine["gone"]
        barrier.wait(10)
        mine.save()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert dict(engine(session.session_key).items()) == {"start": 1, "key0": 0, "key1": 1, "key2": 2, "key3": 3}


@pytest.mark.parametrize(
    "step", [lambda s: s["user"], lambda s: s.save(), lambda s: s.cycle_key(), lambda s: s.flush()]
)
def test_s19_a_store_that_is_down_is_an_error_and_never_an_empty_session(engine, monkeypatch, step):
    session = engine()
    session["user"] = 1
    session.save()

    def fail(*args):
        raise StoreUnavailable("down")

    store = importlib.import_module("wsgikit.sessions.django")._store()
    with monkeypatch.context() as down:
        for name in ("load", "save", "delete"):
            down.setattr(store, name, fail)
        again = engine(session.session_key)
        with pytest.raises(StoreUnavailable):
            step(again)
        assert again.session_key == session.session_key
    assert engine(session.session_key)["user"] == 1


def test_s18_the_store_has_only_a_hash_of_the_key(engine):
    session = engine()
    session["a"] = 1
    session.save()
    module = importlib.import_module("wsgikit.sessions.django")
    keys = set(module._store().keys())
    assert stores.store_key(session.session_key) in keys
    assert session.session_key not in keys


def test_a_missing_setting_is_an_error_that_names_it():
    module = importlib.import_module("wsgikit.sessions.django")
    with pytest.raises(ConfigurationError, match="WSGIKIT_SESSION_STORE: expected a URL"):
        module.SessionStore("a" * 43).load()


def test_a_real_django_site_logs_in_and_out_with_the_engine(tmp_path):
    """In its own process: Django is configured once in each."""
    script = f'''
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def view(request):
    if request.GET.get("in"):
        request.session.cycle_key()
        request.session["user"] = request.GET["in"]
    if request.GET.get("out"):
        request.session.flush()
    return HttpResponse(request.session.get("user", "nobody"))

urlpatterns = [path("", view)]
settings.configure(
    SECRET_KEY="{SECRET}", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    SESSION_ENGINE="wsgikit.sessions.django", WSGIKIT_SESSION_STORE="sqlite:///{tmp_path}/site.db",
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
)
django.setup()
from django.core.wsgi import get_wsgi_application
from webtest import TestApp
client = TestApp(get_wsgi_application())
assert client.get("/").text == "nobody"
assert "Set-Cookie" not in client.get("/").headers
client.get("/?in=ada")
assert client.get("/").text == "ada"
cookie = client.cookies["sessionid"]
client.get("/?out=1")
assert client.get("/", headers={{"Cookie": "sessionid=" + cookie}}).text == "nobody"
print("fine")
'''
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "fine", result.stderr


@pytest.fixture
def site():
    """A Django site with its own signed cookies, inside of a layer that reads and writes the same ones."""
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.urls import path

    def view(request, what):
        if what == "login":
            request.session["user"] = "ada"
        elif what == "logout":
            request.session.flush()
        elif what == "append":
            request.session.setdefault("l", []).append(1)
            request.session.modified = True
        return HttpResponse(repr(sorted(request.session.items())) if what != "nothing" else "nothing")

    class Outside(Middleware):
        def before_request(self, exchange):
            session = exchange.environ["wsgikit.session"]
            if exchange.environ["QUERY_STRING"]:
                session["theme"] = exchange.environ["QUERY_STRING"]
            if exchange.environ["PATH_INFO"] == "/ours":
                return exchange.reply(200, repr(sorted(session.items())))
            return None

    options = {
        "ROOT_URLCONF": (path("<what>", view),),
        "MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"],
        "SESSION_ENGINE": "django.contrib.sessions.backends.signed_cookies",
    }
    with override_settings(**options):
        app = Outside(WSGIHandler())
        yield TestApp(SessionMiddleware(app, secret_key=SECRET, cookie_format="django", cookie_name="sessionid"))


def test_a_django_site_inside_and_the_layer_outside_see_one_session(site):
    assert "Set-Cookie" not in site.get("/nothing").headers
    site.get("/login")
    assert site.get("/ours").text == "[('user', 'ada')]"
    site.get("/ours?dark")
    assert site.get("/look").text == "[('theme', 'dark'), ('user', 'ada')]"


def test_b49_changes_of_a_django_site_and_of_the_layer_in_one_request_are_one_cookie(site):
    site.get("/login")
    response = site.get("/append?light")
    assert len(response.headers.getall("Set-Cookie")) == 1
    expected = "[('l', [1]), ('theme', 'light'), ('user', 'ada')]"
    assert (site.get("/look").text, site.get("/ours").text) == (expected, expected)


def test_a_logout_of_a_django_site_ends_the_session_outside_too(site):
    site.get("/login")
    assert "Max-Age=0" in site.get("/logout").headers["Set-Cookie"]
    assert site.get("/ours").text == "[]"
