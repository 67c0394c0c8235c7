"""The presets in Python: which layers, in which order, and what a request through them meets."""

from __future__ import annotations

import pytest

import wsgikit
from wsgikit import Middleware, Router, build_stack, presets, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.order import ORDER, ini_name, order_notes
from wsgikit.testing import TestClient, assert_conforms

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
REQUIRED = {"secret_key": SECRET, "hosts": ["example.com"]}
HTTPS = {"wsgi.url_scheme": "https", "HTTP_HOST": "example.com", "REMOTE_ADDR": "192.0.2.1"}
USUAL = [
    *("health", "proxy_headers", "context", "error_pages", "security_headers", "trusted_hosts", "https"),
    *("cookie_policy", "body_limit", "session", "csrf"),
]


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html"), ("Set-Cookie", "session=theirs; Path=/")])
    environ["wsgikit.session"]["seen"] = True
    return [b"<p>Hello</p>"]


def names_of(layers):
    return [ini_name(layer.factory.__name__) for layer in layers]


def options_of(layers, name):
    return next(layer.options for layer in layers if ini_name(layer.factory.__name__) == name)


def test_the_layers_stand_in_the_usual_order():
    assert names_of(presets.production(**REQUIRED)) == USUAL
    stack = build_stack(app, *presets.production(**REQUIRED))
    assert order_notes(stack.named_layers) == []


@pytest.mark.parametrize(
    ("option", "added"),
    [({"database_url": "sqlite://"}, ["database"]), ({"router": Router("presets")}, ["router"])],
    ids=["database", "router"],
)
def test_a_database_and_a_router_are_added_if_given(option, added):
    layers = presets.production(**REQUIRED, **option)
    assert names_of(layers) == [*USUAL, *added]
    build_stack(app, *layers).close()


def test_an_access_log_comes_with_ids_of_requests():
    layers = presets.production(**REQUIRED, access_log=True)
    assert names_of(layers) == ["health", "request_id", "access_log", *USUAL[1:]]
    build_stack(app, *layers)


def test_a_check_of_the_health_is_answered_on_plain_http_and_for_any_host():
    stack = build_stack(app, *presets.production(**REQUIRED))
    client = TestClient(stack, extra_environ={"HTTP_HOST": "10.0.0.3", "REMOTE_ADDR": "10.0.0.1"})
    assert client.get("/livez").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ok"}


def test_a_rate_limit_refuses_an_address_that_asks_too_often():
    layers = presets.production(**REQUIRED, rate_limit="2/minute")
    assert names_of(layers) == [*USUAL[:7], "rate_limit", *USUAL[7:]]
    client = TestClient(build_stack(app, *layers), extra_environ=HTTPS)
    assert [client.get("/", expect_errors=True).status_int for _ in range(3)] == [200, 200, 429]


def test_a_body_over_the_limit_is_refused():
    stack = build_stack(app, *presets.production(**REQUIRED, overrides={"body_limit": {"max_body_bytes": 10}}))
    TestClient(stack, extra_environ=HTTPS).post("/", b"x" * 11, status=413)


def test_an_override_changes_only_the_options_that_it_names():
    layers = presets.production(**REQUIRED, overrides={"session": {"cookie_name": "__Host-shop"}})
    assert options_of(layers, "session") == {
        "secret_key": SECRET,
        "cookie_name": "__Host-shop",
        "cookie_secure": True,
    }


def test_an_override_of_none_removes_the_layer():
    layers = presets.production(**REQUIRED, overrides={"csrf": None})
    assert names_of(layers) == [name for name in USUAL if name != "csrf"]


def test_an_override_adds_another_layer_at_its_usual_place():
    layers = presets.production(**REQUIRED, overrides={"cors": {"origins": ["https://app.example"]}})
    assert names_of(layers) == [*USUAL[:5], "cors", *USUAL[5:]]
    build_stack(app, *layers)


def test_an_override_may_limit_a_layer_to_some_requests():
    stack = build_stack(app, *presets.production(**REQUIRED, overrides={"csrf": {"unless": "/hooks/*"}}))
    client = TestClient(stack, extra_environ=HTTPS)
    client.post("/hooks/a", {}, headers={"Origin": "https://evil.example"}, status=200)
    client.post("/other", {}, headers={"Origin": "https://evil.example"}, status=403)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"overrides": {"sesion": {}}},
            "presets.production: overrides: expected the name of a layer, got 'sesion'. Did you mean 'session'?",
        ),
        (
            {"overrides": {"csrf": False}},
            (
                "presets.production: overrides: csrf: expected a mapping of options, or None, which removes the layer, "
                "got 'bool'."
            ),
        ),
        (
            {"overrides": ["csrf"]},
            "presets.production: overrides: expected a mapping from names of layers to their options, got 'list'.",
        ),
        ({"access_log": 1}, "presets.production: access_log: expected True or False, got 1."),
    ],
    ids=["unknown layer", "options", "no mapping", "switch"],
)
def test_an_option_that_cannot_work_is_refused(options, text):
    with pytest.raises(ConfigurationError) as caught:
        presets.production(**REQUIRED, **options)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hosts": ["a b"]}, "TrustedHostsMiddleware: hosts"),
        ({"hosts": []}, "TrustedHostsMiddleware: hosts"),
        ({"secret_key": "short"}, "SessionMiddleware: secret_key"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "ProxyHeadersMiddleware: trusted_proxies"),
        ({"overrides": {"csrf": {"feld": "x"}}}, "CsrfMiddleware: unknown option: .*Did you mean 'field'"),
        ({"overrides": {"session": None}}, "CsrfMiddleware: needs environ"),
    ],
    ids=["host", "no host", "secret", "proxies", "option", "csrf without a session"],
)
def test_what_a_layer_refuses_is_an_error_of_the_stack(options, text):
    with pytest.raises(ConfigurationError, match=text):
        build_stack(app, *presets.production(**{**REQUIRED, **options}))


def test_a_page_over_https_gets_every_protection():
    client = TestClient(build_stack(app, *presets.production(**REQUIRED)), extra_environ=HTTPS)
    response = client.get("/")
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert "upgrade-insecure-requests" in response.headers["Content-Security-Policy"]
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"
    theirs, ours = response.headers.getall("Set-Cookie")
    assert theirs == "session=theirs; Path=/; SameSite=Lax; Secure"
    assert ours.startswith("__Host-wsgikit=")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= {part.strip() for part in ours.split(";")}


def test_plain_http_does_not_upgrade_requests_and_is_redirected():
    stack = build_stack(app, *presets.production(**{**REQUIRED, "hosts": ["example.com", "localhost"]}))
    client = TestClient(stack, extra_environ={**HTTPS, "wsgi.url_scheme": "http", "HTTP_HOST": "localhost"})
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "upgrade-insecure-requests" not in policy
    assert client.get("/x?y=1", headers={"Host": "example.com"}, status=308).location == "https://example.com/x?y=1"


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"Host": "evil.example"}, 400),
        ({"Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
    ids=["host", "origin", "site"],
)
def test_a_request_that_is_refused_has_the_security_headers(header, status):
    client = TestClient(build_stack(app, *presets.production(**REQUIRED)), extra_environ=HTTPS)
    response = client.post("/", {}, headers=header, status=status)
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert response.headers["Content-Security-Policy"]


def test_forwarded_headers_are_believed_from_a_trusted_proxy_only():
    seen = []

    def noting(environ, start_response):
        seen.append((environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]))
        return app(environ, start_response)

    stack = build_stack(noting, *presets.production(**REQUIRED, trusted_proxies=["10.0.0.1"]))
    forwarded = {"HTTP_X_FORWARDED_FOR": "198.51.100.7", "HTTP_X_FORWARDED_PROTO": "https", "HTTP_HOST": "example.com"}
    TestClient(stack, extra_environ={**forwarded, "REMOTE_ADDR": "10.0.0.1"}).get("/", status=200)
    TestClient(stack, extra_environ={**forwarded, "REMOTE_ADDR": "10.0.0.2"}).get("/", status=308)
    assert seen == [("198.51.100.7", "https")]


def test_the_whole_preset_conforms():
    def make(inner):
        return build_stack(inner, *presets.production(secret_key=SECRET, hosts=[".example.com", "localhost"]))

    # CookiePolicyMiddleware adds attributes to the cookies of that scenario.
    expected = {"repeated_headers_are_kept"}
    assert_conforms(make, expect=expected, environ={"wsgi.url_scheme": "https", "HTTP_HOST": "localhost"})


def test_a_page_may_use_the_nonce():
    def page(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [f"<script nonce='{environ['wsgikit.csp_nonce']}'></script>".encode()]

    client = TestClient(build_stack(page, *presets.production(**REQUIRED)), extra_environ=HTTPS)
    response = client.get("/")
    nonce = response.text.split("'")[1]
    assert f"script-src 'self' 'nonce-{nonce}'" in response.headers["Content-Security-Policy"]


def test_an_error_page_of_the_preset_logs_no_warning(caplog):
    def broken(environ, start_response):
        raise ValueError("broken")

    client = TestClient(build_stack(broken, *presets.production(**REQUIRED)), extra_environ=HTTPS)
    client.get("/", headers={"Accept": "text/html"}, status=500)
    assert [record.name for record in caplog.records] == ["wsgikit.errors"]


def test_delivery_compresses_and_answers_304():
    text = b"All work and no play makes Jack a dull boy. " * 50

    def page(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/html")])
        return [text]

    client = TestClient(build_stack(page, *presets.delivery()))
    response = client.get("/", headers={"Accept-Encoding": "gzip"})  # WebTest decodes it and drops Content-Encoding
    tag = response.headers["ETag"]
    assert tag.startswith("W/")
    assert response.headers["Vary"] == "Accept-Encoding"
    client.get("/", headers={"If-None-Match": tag, "Accept-Encoding": "gzip"}, status=304)


def test_delivery_serves_files_if_a_folder_is_given(tmp_path):
    (tmp_path / "a.css").write_text("p {}")
    layers = presets.delivery(root=tmp_path, prefix="/assets/")
    assert names_of(layers) == ["static", "compression", "conditional"]
    assert TestClient(build_stack(app, *layers)).get("/assets/a.css").text == "p {}"


def test_merged_presets_stand_in_the_usual_order(tmp_path):
    class Mine(Middleware):
        pass

    secure = [*presets.production(**REQUIRED, overrides={"csrf": None}), use(Mine)]
    merged = presets.merge(secure, presets.delivery(root=tmp_path))
    classes = [layer.factory.__name__ for layer in merged]
    assert classes[-2:] == ["SessionMiddleware", "Mine"]
    known = [ORDER.index(name) for name in classes if name != "Mine"]
    assert known == sorted(known)
    assert len(merged) == len(secure) + 3
    assert order_notes(build_stack(app, *merged).named_layers) == []


def test_the_module_is_an_attribute_of_the_package():
    assert wsgikit.presets is presets
    assert "presets" in wsgikit.__all__
