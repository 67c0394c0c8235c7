"""The router among the other layers: locals, session, transaction and error pages around its views and streams."""

from __future__ import annotations

import io
import threading

import pytest
from sqlalchemy import text
from webtest import TestApp
from werkzeug.exceptions import Forbidden

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    abort,
    build_stack,
    db,
    g,
    request,
    session,
    use,
)
from wsgikit.testing.server import Call


@pytest.fixture
def app(tmp_path):
    router = Router("shop")

    @router.before_request
    def load():
        g.user = session.get("user", "nobody")

    @router.get("/make")
    def make():
        db.execute(text("CREATE TABLE IF NOT EXISTS item (name TEXT)"))
        return "made"

    @router.get("/add/<name>")
    def add(name):
        db.execute(text("INSERT INTO item VALUES (:name)"), {"name": name})
        session["user"] = name
        if name == "bad":
            abort(400, "That name is bad.")
        if name == "broken":
            raise ValueError(name)
        return g.user

    @router.get("/stream")
    def stream():
        for row in db.execute(text("SELECT name FROM item ORDER BY name")):
            yield f"{row.name} {g.user} {request.path};"

    @router.get("/broken-stream")
    def broken_stream():
        raise Forbidden()
        yield ""

    stack = build_stack(
        Router("nothing"),
        use(ErrorPagesMiddleware),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key="k0123456789abcde"),
        use(DatabaseMiddleware, url=f"sqlite:///{tmp_path}/shop.db"),
        use(RouterMiddleware, router=router),
    )
    with stack:
        yield stack


@pytest.fixture
def client(app):
    client = TestApp(app, lint=True)
    client.get("/make")
    return client


def test_what_a_view_writes_is_committed_and_its_session_saved(client):
    assert client.get("/add/ann").text == "nobody"
    assert client.get("/add/ben").text == "ann"
    assert client.get("/stream").text == "ann ben /stream;ben ben /stream;"


@pytest.mark.parametrize(("name", "status"), [("bad", 400), ("broken", 500)])
def test_what_a_failing_view_wrote_is_rolled_back_and_the_visitor_gets_a_page(client, name, status):
    response = client.get(f"/add/{name}", headers={"Accept": "text/html"}, expect_errors=True)
    assert response.status_int == status
    assert response.content_type == "text/html"
    assert client.get("/stream").text == ""


def test_the_description_of_an_abort_reaches_the_page(client):
    response = client.get("/add/bad", headers={"Accept": "application/json"}, expect_errors=True)
    assert response.content_type == "application/problem+json"
    assert response.json["detail"] == "That name is bad."


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("POST", "/make", 405)])
def test_errors_of_routing_get_a_page_and_keep_their_headers(client, method, path, status):
    response = client.request(path, method=method, headers={"Accept": "text/html"}, expect_errors=True)
    assert (response.status_int, response.content_type) == (status, "text/html")
    if status == 405:
        assert "GET" in response.headers["Allow"]


def test_an_error_before_the_first_chunk_of_a_stream_is_a_page(app):
    call = Call(app, environ_of("/broken-stream", HTTP_ACCEPT="text/html"))
    call.start()
    call.finish()
    call.close()
    assert call.status == "403 Forbidden"
    assert call.get_all("Content-Type") == ["text/html; charset=utf-8"]


def environ_of(path, **more):
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        **more,
    }


def test_two_streams_on_one_thread_do_not_see_each_other(app, client):
    client.get("/add/ann")
    client.get("/add/ben")
    heads = []

    def start(path, cookie):
        environ = environ_of(path, HTTP_COOKIE=cookie)
        return app(environ, lambda *head: heads.append(head))

    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    one, two = start("/stream", cookie), start("/stream", "")
    steps = [next(one), next(two), next(one), next(two)]
    assert steps == [
        b"ann ben /stream;",
        b"ann nobody /stream;",
        b"ben ben /stream;",
        b"ben nobody /stream;",
    ]
    thread = threading.Thread(target=two.close)  # a server may close on another thread
    thread.start()
    thread.join()
    one.close()


def test_the_onion_says_what_is_wrong_with_the_order():
    from wsgikit.exceptions import ConfigurationError

    with pytest.raises(ConfigurationError, match="RouterMiddleware"):
        build_stack(
            Router("nothing"),
            use(RouterMiddleware, router=Router("x")),
            use(SessionMiddleware, secret_key="k0123456789abcde"),
        )
