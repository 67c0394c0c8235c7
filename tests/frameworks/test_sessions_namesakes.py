"""An application inside that sets a cookie of the layer's name: its line is its own, unless it is our session."""

import logging

import flask
import pytest
from webtest import TestApp

from wsgikit.sessions.middleware import SessionMiddleware

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"


@pytest.fixture
def shop():
    app = flask.Flask("shop")
    app.secret_key = SECRET

    @app.get("/both")
    def both():
        flask.session["cart"] = [1]
        flask.request.environ["wsgikit.session"]["visits"] = 1
        return "both"

    @app.get("/flask")
    def flask_alone():
        flask.session["cart"] = [1]
        return "flask alone"

    @app.get("/read")
    def read():
        flask.session["cart"] = [1]
        return str(flask.request.environ["wsgikit.session"].get("visits"))

    @app.get("/ours")
    def ours():
        flask.request.environ["wsgikit.session"]["visits"] = 1
        return "ours alone"

    @app.get("/logout")
    def logout():
        flask.session.clear()
        flask.request.environ["wsgikit.session"]["visits"] = 1
        return "logout"

    return app


def lines_of(response):
    return [line for line in response.headers.getall("Set-Cookie") if line.startswith("session=")]


def warnings_of(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_b48_a_line_of_the_application_that_is_not_ours_is_left_as_it_is_and_warned_of_once(shop, caplog, store):
    layer = SessionMiddleware(shop, secret_key=SECRET, store=store)
    for _ in range(2):
        client = TestApp(layer)
        lines = lines_of(client.get("/both"))
        assert len(lines) == 2, "both are sent, ours last"
        assert shop.session_interface.get_signing_serializer(shop).loads(lines[0][8:].partition(";")[0]) == {
            "cart": [1]
        }
        assert layer.open_session(lines[1]) == {"visits": 1}
    (warning,) = warnings_of(caplog)
    assert "SessionMiddleware: cookie_name: the application inside sets a cookie named 'session'" in warning
    assert 'cookie_name="…"' in warning
    assert 'cookie_format="flask"' in warning


@pytest.mark.parametrize("path", ["/flask", "/ours"])
def test_where_only_one_of_them_sets_the_cookie_nothing_is_said(shop, caplog, path):
    client = TestApp(SessionMiddleware(shop, secret_key=SECRET))
    assert len(lines_of(client.get(path))) == 1
    assert warnings_of(caplog) == []


def test_a_cookie_of_our_name_that_came_in_and_is_the_applications_is_warned_of_once(shop, caplog):
    layer = SessionMiddleware(shop, secret_key=SECRET)
    client = TestApp(layer)
    client.get("/flask")
    for _ in range(2):
        assert len(lines_of(client.get("/read"))) == 1, "the application's, which the layer doesn't delete"
    assert len(warnings_of(caplog)) == 1


def test_a_deletion_by_an_application_whose_cookie_is_not_ours_is_left_as_it_is(shop):
    client = TestApp(SessionMiddleware(shop, secret_key=SECRET))
    client.get("/flask")
    lines = lines_of(client.get("/logout"))
    assert [line.startswith("session=;") for line in lines] == [True, False]


def test_b49_a_session_that_both_write_stays_one_line(shop, caplog):
    layer = SessionMiddleware(shop, secret_key=SECRET, cookie_format="flask")
    (line,) = lines_of(TestApp(layer).get("/both"))
    assert layer.open_session(line.partition(";")[0]) == {"cart": [1], "visits": 1}
    assert warnings_of(caplog) == []


def test_a_deletion_of_a_session_that_both_share_is_part_of_ours(shop):
    layer = SessionMiddleware(shop, secret_key=SECRET, cookie_format="flask")
    client = TestApp(layer)
    client.get("/flask")
    (line,) = lines_of(client.get("/logout"))
    assert layer.open_session(line.partition(";")[0]) == {"visits": 1}


def test_the_warning_of_a_shared_format_asks_for_the_same_secret(shop, caplog):
    layer = SessionMiddleware(shop, secret_key=SECRET[::-1], cookie_format="flask")
    assert len(lines_of(TestApp(layer).get("/both"))) == 2
    (warning,) = warnings_of(caplog)
    assert "the application's secret_key" in warning


def test_b46_a_line_that_begins_with_a_space_as_beakers_and_djangos_do_is_seen(caplog):
    from beaker.middleware import SessionMiddleware as Beaker

    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        environ["beaker.session"]["b"] = 1
        environ["beaker.session"].save()
        start_response("200 OK", [])
        return []

    beaker = Beaker(app, {"session.type": "memory", "session.key": "session", "session.data_serializer": "json"})
    response = TestApp(SessionMiddleware(beaker, secret_key=SECRET)).get("/")
    assert [line.lstrip().partition("=")[0] for line in response.headers.getall("Set-Cookie")] == ["session", "session"]
    (warning,) = warnings_of(caplog)
    assert "the application inside sets a cookie named 'session' too" in warning


def test_another_cookie_of_a_longer_name_is_nobodys_business(caplog):
    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        start_response("200 OK", [("Set-Cookie", "session_id=1; Path=/"), ("Set-Cookie", "sessio=n; Path=/")])
        return []

    response = TestApp(SessionMiddleware(app, secret_key=SECRET)).get("/")
    assert len(response.headers.getall("Set-Cookie")) == 3
    assert warnings_of(caplog) == []


def test_removing_an_old_cookie_of_another_path_does_not_end_the_session(caplog):
    def app(environ, start_response):
        environ["wsgikit.session"]["b"] = 2
        start_response("200 OK", [("Set-Cookie", "session=; Max-Age=0; Path=/old")])
        return []

    layer = SessionMiddleware(app, secret_key=SECRET)
    session = layer.open_session()
    session["a"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    lines = TestApp(layer).get("/", headers={"Cookie": cookie}).headers.getall("Set-Cookie")
    assert lines[0] == "session=; Max-Age=0; Path=/old"
    assert layer.open_session(lines[1].partition(";")[0]) == {"a": 1, "b": 2}
