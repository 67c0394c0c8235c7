"""The delivery group around the frameworks that people have."""

from __future__ import annotations

import gzip
import types

import bottle
import falcon
import flask
import pytest
from pyramid.config import Configurator
from pyramid.response import Response as PyramidResponse
from werkzeug.test import Client as WerkzeugClient

from wsgikit import (
    CacheMiddleware,
    CompressionMiddleware,
    ConditionalMiddleware,
    MethodOverrideMiddleware,
    StaticMiddleware,
    build_stack,
    use,
)

TEXT = "All work and no play makes Jack a dull boy. " * 50


class Client(WerkzeugClient):
    """Reads and closes each response at once."""

    def open(self, *args, **kwargs):
        return super().open(*args, buffered=True, **kwargs)


def bare():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(TEXT)))])
        body = [] if environ["REQUEST_METHOD"] == "HEAD" else [TEXT.encode()]
        return [b"deleted"] if environ["REQUEST_METHOD"] == "DELETE" else body

    return app


def of_flask():
    app = flask.Flask("site", static_folder=None)
    app.add_url_rule("/", "page", lambda: TEXT)
    app.add_url_rule("/", "delete", lambda: "deleted", methods=["DELETE"])
    return app


def of_bottle():
    app = bottle.Bottle()
    app.route("/", "GET", lambda: TEXT)
    app.route("/", "DELETE", lambda: "deleted")
    return app


def of_falcon():
    class Resource:
        def on_get(self, request, response):
            response.text = TEXT

        def on_delete(self, request, response):
            response.text = "deleted"

    app = falcon.App(media_type="text/plain")
    app.add_route("/", Resource())
    return app


def of_pyramid():
    with Configurator() as config:
        config.add_route("page", "/")
        config.add_view(lambda request: PyramidResponse(TEXT), route_name="page", request_method="GET")
        config.add_view(lambda request: PyramidResponse("deleted"), route_name="page", request_method="DELETE")
        return config.make_wsgi_app()


def of_django():
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse
    from django.test.utils import override_settings
    from django.urls import path

    def view(request):
        return HttpResponse("deleted" if request.method == "DELETE" else TEXT)

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(), SECRET_KEY="x" * 50)
        django.setup()
    urls = types.ModuleType("delivery_urls")
    urls.urlpatterns = [path("", view)]

    def app(environ, start_response):
        with override_settings(
            ROOT_URLCONF=urls, ALLOWED_HOSTS=["*"], MIDDLEWARE=["django.middleware.common.CommonMiddleware"]
        ):
            return WSGIHandler()(environ, start_response)

    return app


FRAMEWORKS = [bare, of_flask, of_django, of_pyramid, of_bottle, of_falcon]


@pytest.fixture(params=FRAMEWORKS, ids=lambda make: make.__name__.removeprefix("of_"))
def client(request, tmp_path):
    (tmp_path / "app.css").write_text("a{}")
    return Client(
        build_stack(
            request.param(),
            use(StaticMiddleware, root=tmp_path),
            use(CacheMiddleware, default_seconds=60),
            use(CompressionMiddleware),
            use(ConditionalMiddleware),
            use(MethodOverrideMiddleware),
        )
    )


def test_a_page_is_compressed_whole_tagged_and_not_sent_again(client):
    response = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(response.data).decode() == TEXT
    assert response.headers["Content-Length"] == str(len(response.data))
    assert response.headers["Vary"] == "Accept-Encoding"
    etag = response.headers["ETag"]
    assert etag.startswith("W/")
    again = client.get("/", headers={"Accept-Encoding": "gzip", "If-None-Match": etag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)


def test_ranges_are_of_the_plain_page(client):
    response = client.get("/", headers={"Accept-Encoding": "gzip", "Range": "bytes=4-7"})
    assert (response.status_code, response.text) == (206, "work")


def test_head_names_the_coding_of_get(client):
    response = client.head("/", headers={"Accept-Encoding": "gzip"})
    assert response.status_code in (200, 404, 405)
    if response.status_code == 200:
        assert response.headers["Content-Encoding"] == "gzip"
        assert "Content-Length" not in response.headers


def test_a_form_sends_delete(client):
    assert client.post("/", data={"_method": "DELETE"}).text == "deleted"


def test_static_files_go_before_the_application(client):
    assert client.get("/static/app.css").text == "a{}"


def test_a_page_comes_from_the_cache_per_coding_until_it_is_changed(client):
    first = [client.get("/", headers={"Accept-Encoding": coding}) for coding in ("gzip", "identity")]
    again = [client.get("/", headers={"Accept-Encoding": coding}) for coding in ("gzip", "identity")]
    assert [response.headers["Cache-Status"] for response in again] == ["wsgikit; hit"] * 2
    assert [response.data for response in again] == [response.data for response in first]
    client.delete("/")
    assert "fwd=uri-miss" in client.get("/").headers["Cache-Status"]
