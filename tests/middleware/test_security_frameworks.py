"""The layers of the security group around applications of each framework, all at once and unmodified."""

from __future__ import annotations

import pytest

from wsgikit import (
    AccessListMiddleware,
    CookiePolicyMiddleware,
    CorsMiddleware,
    CsrfMiddleware,
    ErrorPagesMiddleware,
    FetchPolicyMiddleware,
    HttpsMiddleware,
    ProxyHeadersMiddleware,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    TrustedHostsMiddleware,
    build_stack,
    use,
)
from wsgikit.middleware.security_headers import NONCE
from wsgikit.testing import TestClient

# Each application has GET /, which sets a cookie and shows address, scheme and the two keys of the security layers,
# and POST /form, which returns the field `name` of the form that it got.


def page_of(environ):
    parts = (
        environ["REMOTE_ADDR"],
        environ["wsgi.url_scheme"],
        environ["wsgikit.csp_nonce"],
        environ["wsgikit.csrf"].get_token(),
    )
    return " ".join(map(str, parts))


def flask_app():
    from flask import Flask, request

    app = Flask("secured")

    @app.get("/")
    def page():
        return page_of(request.environ), 200, {"Set-Cookie": "seen=1; Path=/"}

    @app.post("/form")
    def form():
        return request.form["name"]

    return app


def django_app():
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
    from django.http import HttpResponse
    from django.urls import path

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="for tests", ROOT_URLCONF=(), MIDDLEWARE=[])
        django.setup()

    def page(request):
        response = HttpResponse(page_of(request.environ))
        response.set_cookie("seen", "1")
        return response

    def form(request):
        return HttpResponse(request.POST["name"])

    class Request(WSGIRequest):
        urlconf = (path("", page), path("form", form))

    class Handler(WSGIHandler):
        request_class = Request

    return Handler()


def pyramid_app():
    from pyramid.config import Configurator
    from pyramid.response import Response

    def page(request):
        response = Response(page_of(request.environ))
        response.set_cookie("seen", "1")
        return response

    def form(request):
        return Response(request.POST["name"])

    with Configurator() as config:
        config.add_route("page", "/")
        config.add_view(page, route_name="page")
        config.add_route("form", "/form")
        config.add_view(form, route_name="form", request_method="POST")
        return config.make_wsgi_app()


def bottle_app():
    import bottle

    app = bottle.Bottle()

    @app.get("/")
    def page():
        bottle.response.set_cookie("seen", "1", path="/")
        return page_of(bottle.request.environ)

    @app.post("/form")
    def form():
        return bottle.request.forms["name"]

    return app


def falcon_app():
    import falcon

    app = falcon.App()

    class Page:
        def on_get(self, request, response):
            response.text = page_of(request.env)
            response.set_cookie("seen", "1", secure=False, http_only=False)

    class Form:
        def on_post(self, request, response):
            media = request.get_media()
            is_form = isinstance(media, dict)
            response.text = media["name"] if is_form else next(part.text for part in media if part.name == "name")

    app.add_route("/", Page())
    app.add_route("/form", Form())
    return app


def bare_app():
    from werkzeug.formparser import parse_form_data

    def app(environ, start_response):
        headers = [("Content-Type", "text/plain")]
        if environ["PATH_INFO"] == "/form":
            _, form, files = parse_form_data(environ)
            text = form["name"]
            for file in files.values():
                file.close()
        else:
            text = page_of(environ)
            headers.append(("Set-Cookie", "seen=1; Path=/"))
        start_response("200 OK", headers)
        return [text.encode()]

    return app


FRAMEWORKS = {
    "Flask": flask_app,
    "Django": django_app,
    "Pyramid": pyramid_app,
    "Bottle": bottle_app,
    "Falcon": falcon_app,
    "bare": bare_app,
}
LAYERS = [
    use(ProxyHeadersMiddleware, trusted_proxies=["127.0.0.1"]),
    use(ErrorPagesMiddleware),
    use(SecurityHeadersMiddleware, csp={"script-src": ["'self'", NONCE]}),
    use(CorsMiddleware, origins=["https://app.example"]),
    use(TrustedHostsMiddleware, hosts=["example.com"]),
    use(HttpsMiddleware),
    use(AccessListMiddleware, deny=["203.0.113.0/24"]),
    use(FetchPolicyMiddleware),
    use(CookiePolicyMiddleware, httponly=True),
    use(
        SessionMiddleware,
        secret_key="bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8",
        cookie_name="__Host-wsgikit",
        cookie_secure=True,
    ),
    use(CsrfMiddleware),
]


@pytest.fixture(params=FRAMEWORKS)
def client(request):
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "example.com:443",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_FOR": "192.0.2.1",
    }
    return TestClient(build_stack(FRAMEWORKS[request.param](), *LAYERS), extra_environ=environ)


def test_a_page_passes_with_all_that_protects_it(client):
    response = client.get("/", headers={"Origin": "https://app.example"})
    address, scheme, nonce, _ = response.text.split(" ")
    assert (address, scheme) == ("192.0.2.1", "https")
    assert f"'nonce-{nonce}'" in response.headers["Content-Security-Policy"]
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    (line,) = [line for line in response.headers.getall("Set-Cookie") if line.strip().startswith("seen=1")]
    assert {"HttpOnly", "SameSite=Lax", "Secure"} <= {part.strip() for part in line.split(";")}


@pytest.mark.parametrize("is_multipart", [True, False])
def test_a_form_is_read_by_the_application_after_its_token_was(client, is_multipart):
    token = client.get("/").text.split(" ")[3]
    files = [("file", "x.txt", b"x" * 500)] if is_multipart else None
    response = client.post("/form", {"csrf_token": token, "name": "Ann"}, upload_files=files)
    assert response.text == "Ann"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"headers": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}}, 403),
        ({"headers": {"Host": "evil.example"}}, 400),
        ({"extra_environ": {"HTTP_X_FORWARDED_PROTO": "http"}}, 308),
        ({"extra_environ": {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}}, 403),
        ({"extra_environ": {"HTTP_X_FORWARDED_FOR": "junk"}}, 400),
    ],
    ids=["fetch policy", "host", "https", "address", "proxy headers"],
)
def test_a_refused_request_does_not_reach_the_application(client, request_, status):
    response = client.get("/", status=status, **request_)
    assert "seen=1" not in str(response.headers)


def test_a_form_of_another_site_is_refused(client):
    response = client.post("/form", {"name": "Ann"}, headers={"Origin": "https://evil.example"}, status=403)
    assert "origin-mismatch" in response.text
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
