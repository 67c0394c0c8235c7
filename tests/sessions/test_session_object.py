"""Flash messages, CSRF tokens, Pyramid's interface, what the layer says of its surroundings. Points S21, S22, B44."""

import logging
import sys

import pytest
from markupsafe import Markup

from wsgikit.crypto.masking import mask_token
from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.session import Session


@pytest.fixture
def session(secret):
    return SessionMiddleware(lambda e, s: [], secret_key=secret).open_session(None)


def test_flash_messages_are_kept_by_queue_until_they_are_popped(session):
    session.flash("one")
    session.flash("two", "error")
    session.flash("one")
    session.flash("one", allow_duplicate=False)
    assert session.peek_flash() == ["one", "one"]
    assert session.pop_flash() == ["one", "one"]
    assert session.pop_flash() == []
    assert session.pop_flash("error") == ["two"]
    assert dict(session) == {}


def test_flash_messages_of_all_queues_can_be_popped_in_their_order(session):
    session.flash("a", "info")
    session.flash("b", "error")
    session.flash("c", "info")
    assert session.pop_flashes(["error"]) == [("error", "b")]
    assert session.pop_flashes() == [("info", "a"), ("info", "c")]
    assert session.pop_flashes() == []


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_flash_messages_survive_a_redirect_and_keep_their_markup(browse, store):
    def view(session, environ):
        if environ["PATH_INFO"] == "/do":
            session.flash(Markup("<b>done</b>"), "info")
            return None
        return repr(session.pop_flashes())

    browser = browse(view, store=store)
    browser.send("/do")
    assert browser.send("/").text == "[('info', Markup('<b>done</b>'))]"
    assert browser.send("/").text == "[]"


def test_a_csrf_token_is_made_once_and_compared_safely(session):
    token = session.get_csrf_token()
    assert len(token) == 43
    assert session.get_csrf_token() == token
    assert session.check_csrf_token(token)
    for wrong in ("", token[:-1], None, b"x", token + "\xe4"):
        assert not session.check_csrf_token(wrong)
    assert session.new_csrf_token() != token
    assert not session.check_csrf_token(token)


def test_a_masked_csrf_token_is_accepted(session):
    assert session.check_csrf_token(mask_token(session.get_csrf_token()))
    assert not session.check_csrf_token(mask_token(session.get_csrf_token() + "x"))


def test_an_empty_csrf_token_in_the_session_matches_nothing(session):
    session["_csrf_token"] = ""
    assert not session.check_csrf_token("")
    assert not session.check_csrf_token(mask_token(""))


def test_rotate_renews_the_csrf_token(session):
    before = session.get_csrf_token()
    session.rotate()
    assert not session.check_csrf_token(before)
    assert session.check_csrf_token(session.get_csrf_token())


def test_rotate_makes_no_csrf_token_if_there_was_none(session):
    session["user"] = 1
    session.rotate()
    assert dict(session) == {"user": 1}


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_created_of_a_new_session_is_fixed_when_it_is_first_asked(secret, clock, store):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=store)
    session = layer.open_session()
    created = session.created
    clock.move(2)
    assert session.created == created
    session["a"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    clock.move(2)
    assert layer.open_session(cookie).created == session.created == created


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_created_of_a_new_session_is_when_it_was_saved_if_nobody_asked(secret, clock, store):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=store)
    session = layer.open_session()
    session["a"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    saved = int(clock.now)
    clock.move(2)
    assert layer.open_session(cookie).created == session.created == saved


def test_without_a_token_none_is_right(session):
    assert not session.check_csrf_token("")
    assert not session.check_csrf_token(None)


def test_the_session_has_all_of_pyramids_interface(session):
    from pyramid.interfaces import ISession
    from zope.interface.interface import Method

    for name in ISession:
        assert hasattr(session, name), name
        if isinstance(ISession[name], Method):
            assert callable(getattr(session, name)), name


def test_the_session_is_equal_to_what_is_in_it(session):
    session["a"] = 1
    assert session == {"a": 1}
    assert session != {"a": 2}
    assert session | {"b": 2} == {"a": 1, "b": 2}
    assert {"b": 2} | session == {"a": 1, "b": 2}
    assert session != 1
    assert isinstance(hash(session), int)
    assert isinstance(session, Session)
    assert session.has_key("a")


def test_s21_the_memory_store_warns_once_where_there_are_several_processes(browse, caplog):
    with caplog.at_level(logging.WARNING):
        alone = browse(lambda s, e: None, store="memory://", environ={"wsgi.multiprocess": False})
        alone.send()
        assert caplog.records == []
        several = browse(lambda s, e: None, store="memory://", environ={"wsgi.multiprocess": True})
        several.send()
        several.send()
    assert len(caplog.records) == 1
    assert "Visitors will lose their session from request to request. Use store='redis://…'" in caplog.text


def test_s22_encryption_without_its_package_is_an_error_while_building(secret, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgikit\[encryption\]'"):
        SessionMiddleware(lambda e, s: [], secret_key=secret, encrypt=True)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("redis://x", "redis", "redis"),
        ("memcached://x", "pymemcache", "memcached"),
        ("sqlite://", "sqlalchemy", "database"),
    ],
)
def test_a_store_without_its_package_is_an_error_while_building(secret, monkeypatch, url, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'wsgikit\[{extra}\]'"):
        SessionMiddleware(lambda e, s: [], secret_key=secret, store=url)


def test_s22_an_encrypted_cookie_hides_what_is_in_it_and_about_how_long_it_is(secret):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, encrypt=True)
    values = set()
    for text in ("", "a", "ab"):
        session = layer.open_session(None)
        session["word"] = text
        values.add(layer.save_session(session)[0].partition(";")[0])
    assert len(values) == 3
    assert len({len(value) for value in values}) == 1
    again = layer.open_session(max(values))
    assert set(again) == {"word"}


@pytest.mark.parametrize("debug", [False, True])
def test_b44_an_error_page_does_not_read_the_session(secret, spy, new_browser, debug):
    from wsgikit import ContextMiddleware, ErrorPagesMiddleware, build_stack, use

    def app(environ, start_response):
        raise ValueError("broken")

    options = {"secret_key": secret, "store": spy}
    context = ContextMiddleware(ErrorPagesMiddleware(app, debug=debug))  # build_stack refuses these inside
    inside = SessionMiddleware(context, **options)
    pages = use(ErrorPagesMiddleware, debug=debug)
    outside = build_stack(app, pages, use(ContextMiddleware), use(SessionMiddleware, **options))
    session = inside.open_session()
    session["user"] = "ada"
    cookie = inside.save_session(session)[0].partition(";")[0]
    spy.calls.clear()
    for stack in (inside, outside):
        browser = new_browser(stack, environ={"REMOTE_ADDR": "127.0.0.1", "HTTP_ACCEPT": "text/html"})
        response = browser.send(headers={"Cookie": cookie})
        assert response.status_int == 500
        assert ("ValueError" in response.text) is debug, "the page of a developer, or of a visitor"
        assert "Cookie" not in response.headers.get("Vary", "")
        assert "Set-Cookie" not in response.headers
    assert spy.calls == []


def test_closing_the_layer_closes_its_store(secret, spy, monkeypatch):
    closed = []
    monkeypatch.setattr(spy, "close", lambda: closed.append(1), raising=False)
    SessionMiddleware(lambda e, s: [], secret_key=secret, store=spy).close()
    SessionMiddleware(lambda e, s: [], secret_key=secret).close()
    assert closed == [1]


@pytest.mark.parametrize("options", [{}, {"store": "memory://"}], ids=["cookie", "store"])
def test_the_layer_conforms_wherever_a_layer_that_does_nothing_does(secret, options):
    from wsgikit.onion.middleware import Middleware
    from wsgikit.testing import assert_conforms
    from wsgikit.testing.conformance import ConformanceError

    skip = set()
    try:
        assert_conforms(Middleware)
    except ConformanceError as error:
        skip = {failure.name for failure in error.failures}
    assert_conforms(lambda app: SessionMiddleware(app, secret_key=secret, **options), skip=skip)
