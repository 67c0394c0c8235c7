"""`SecurityHeadersMiddleware`: Helmet's headers, the nonce, and what the application set itself."""

from __future__ import annotations

import base64

import pytest

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.middleware.access_list import AccessListMiddleware
from wsgikit.middleware.security_headers import NONCE, SecurityHeadersMiddleware, make_private
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import assert_conforms
from wsgikit.testing.probes import TEXT, answering

# helmetjs/helmet 8, README; Strict-Transport-Security is sent by HttpsMiddleware.
HELMET = {
    "Content-Security-Policy": "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';"
    "frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';"
    "style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Download-Options": "noopen",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}
CSP = "Content-Security-Policy"
BOTH = {"csp": {"script-src": ["'self'", NONCE]}}


def layer(**options):
    return lambda app: SecurityHeadersMiddleware(app, **options)


def using_nonce(times=1, headers=TEXT):
    """An application that writes the nonce into its page."""

    def app(environ, start_response):
        nonces = {environ["wsgikit.csp_nonce"]() for _ in range(times)}
        start_response("200 OK", list(headers))
        return [nonce.encode() for nonce in nonces]

    return app


def test_the_defaults_are_helmets_byte_for_byte(ask):
    answer = ask(layer())
    assert dict(answer.headers) == {"Content-Type": "text/plain", **HELMET}
    assert len(answer.headers) == 1 + len(HELMET)


def test_powered_by_is_removed_unless_it_may_stay(ask):
    app = answering([b""], headers=[*TEXT, ("x-powered-by", "PHP"), ("X-Powered-By", "more")])
    assert ask(lambda inner: SecurityHeadersMiddleware(app))["X-Powered-By"] is None
    kept = ask(lambda inner: SecurityHeadersMiddleware(app, hide_powered_by=False))
    assert kept.headers.get_all("X-Powered-By") == ["PHP", "more"]


@pytest.mark.parametrize("name", sorted(HELMET))
def test_a_header_that_the_application_set_is_kept(ask, name):
    app = answering([b""], headers=[*TEXT, (name.lower(), "own")])
    answer = ask(lambda inner: SecurityHeadersMiddleware(app))
    assert answer.headers.get_all(name) == ["own"]
    assert {key.lower() for key, _ in answer.headers} == {"content-type", *(key.lower() for key in HELMET)}


@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("csp", None, CSP),
        ("opener_policy", "unsafe-none", "Cross-Origin-Opener-Policy"),
        ("resource_policy", "cross-origin", "Cross-Origin-Resource-Policy"),
        ("embedder_policy", "require-corp", "Cross-Origin-Embedder-Policy"),
        ("origin_agent_cluster", "?0", "Origin-Agent-Cluster"),
        ("referrer_policy", "no-referrer, strict-origin-when-cross-origin", "Referrer-Policy"),
        ("content_type_options", "nosniff", "X-Content-Type-Options"),
        ("dns_prefetch_control", "on", "X-DNS-Prefetch-Control"),
        ("download_options", "noopen", "X-Download-Options"),
        ("frame_options", "DENY", "X-Frame-Options"),
        ("permitted_cross_domain_policies", "by-content-type", "X-Permitted-Cross-Domain-Policies"),
        ("xss_protection", "0", "X-XSS-Protection"),
    ],
)
def test_each_header_can_be_set_and_left_out(ask, option, value, name):
    assert ask(layer(**{option: value}))[name] == value
    assert ask(layer(**{option: None}))[name] is None


def test_two_policies_can_be_sent_one_only_to_report(ask):
    answer = ask(layer(csp={"img-src": None}, csp_report_only={"default-src": "'none'"}, csp_defaults=True))
    assert "img-src" not in answer[CSP]
    assert answer["Content-Security-Policy-Report-Only"].startswith("default-src 'none';base-uri 'self';")
    bare = ask(layer(csp=None, csp_report_only={"default-src": "'none'"}, csp_defaults=False))
    assert bare[CSP] is None
    assert bare["Content-Security-Policy-Report-Only"] == "default-src 'none'"


def test_the_upgrade_is_left_out_over_http_if_asked_for(ask):
    assert "upgrade" not in ask(layer(csp_upgrade="https"))[CSP]
    assert "upgrade" in ask(layer(csp_upgrade="https"), **{"wsgi.url_scheme": "https"})[CSP]


def test_features_are_named(ask):
    answer = ask(layer(permissions_policy={"camera": [], "geolocation": ["self"]}))
    assert answer["Permissions-Policy"] == "camera=(), geolocation=(self)"


def test_nothing_is_added_to_a_304(ask):
    answer = ask(lambda inner: SecurityHeadersMiddleware(answering([], "304 Not Modified", [("ETag", '"a"')])))
    assert list(answer.headers) == [("ETag", '"a"')]


@pytest.mark.parametrize("is_outside", [True, False])
def test_error_pages_and_refusals_carry_the_headers(ask, is_outside):
    def failing(environ, start_response):
        raise ValueError

    layers = [use(ErrorPagesMiddleware), use(SecurityHeadersMiddleware)]
    if not is_outside:
        layers.reverse()
    answer = ask(lambda app: build_stack(failing, *layers))
    assert (answer.code, answer["X-Frame-Options"]) == (500, "SAMEORIGIN")
    answer = ask(lambda app: build_stack(app, *layers, use(AccessListMiddleware, allow=["10.0.0.1"])))
    assert (answer.code, answer["X-Frame-Options"]) == (403, "SAMEORIGIN")


# ---------------------------------------------------------------------- the nonce


def test_a_nonce_is_one_a_response_and_in_the_header(ask):
    make = lambda inner: SecurityHeadersMiddleware(using_nonce(times=3), **BOTH)  # noqa: E731
    answer, other = ask(make), ask(make)
    nonce = answer.body.decode()
    assert len(base64.urlsafe_b64decode(nonce)) >= 16
    assert f"script-src 'self' 'nonce-{nonce}';" in answer[CSP]
    assert other.body != answer.body


def test_a_nonce_that_is_not_used_is_not_in_the_header(ask):
    answer = ask(layer(**BOTH))
    assert answer[CSP] == HELMET[CSP]
    assert answer["Cache-Control"] is None


def test_a_nonce_is_text_too_and_says_whether_it_was_used(ask):
    def app(environ, start_response):
        nonce = environ["wsgikit.csp_nonce"]
        used = [nonce.is_used]
        repr(nonce)
        used.append(nonce.is_used)
        text = f"{nonce}"
        used.append(nonce.is_used)
        assert text == str(nonce) == nonce()
        start_response("200 OK", list(TEXT))
        return [repr(used).encode()]

    assert ask(lambda inner: SecurityHeadersMiddleware(app, **BOTH)).body == b"[False, False, True]"


def test_a_text_that_a_layer_further_out_put_there_is_the_nonce(ask):
    answer = ask(layer(**BOTH), **{"wsgikit.csp_nonce": "ours"})
    assert "'nonce-ours'" in answer[CSP]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "private"),
        ("", "private"),
        ("public, max-age=60", "max-age=60, private"),
        ("max-age=60, s-maxage=600", "max-age=60, private"),
        ("private", "private"),
        ("no-store", "no-store"),
        ("no-cache", "no-cache, private"),
        ('private="X-A", max-age=1', "max-age=1, private"),
        ("PUBLIC", "private"),
    ],
)
def test_a_page_with_a_nonce_is_private(ask, given, expected):
    headers = [*TEXT, *([("Cache-Control", given)] if given is not None else [])]
    answer = ask(lambda inner: SecurityHeadersMiddleware(using_nonce(headers=headers), **BOTH))
    assert answer.headers.get_all("Cache-Control") == [expected]
    assert make_private(given) == expected


def test_a_nonce_without_a_directive_for_it_is_logged_once(ask, caplog):
    stack = SecurityHeadersMiddleware(using_nonce())
    for _ in range(2):
        ask(lambda inner: stack)
    (record,) = caplog.records
    assert record.name == "wsgikit.security_headers"
    assert "has no NONCE" in record.getMessage()


def test_a_nonce_asked_for_after_the_head_has_left_is_an_error(ask):
    errors = []

    def app(environ, start_response):
        start_response("200 OK", list(TEXT))

        def body():
            yield b"first"
            try:
                environ["wsgikit.csp_nonce"]()
            except ApplicationError as error:
                errors.append(str(error))
            yield b"second"

        return body()

    assert ask(lambda inner: SecurityHeadersMiddleware(app, **BOTH)).body == b"firstsecond"
    assert errors == ["csp_nonce: the head of the response has left without it. Ask for it before the first chunk."]


def test_a_nonce_that_was_used_before_can_be_used_in_a_stream(ask):
    def app(environ, start_response):
        nonce = environ["wsgikit.csp_nonce"]
        first = nonce()
        start_response("200 OK", list(TEXT))
        return (text.encode() for text in (first, nonce()))

    body = ask(lambda inner: SecurityHeadersMiddleware(app, **BOTH)).body
    assert body[: len(body) // 2] * 2 == body


def view_with(policy):
    from wsgikit import Router

    router = Router(None)

    def view():
        return "x"

    view.__wsgikit_policy__ = policy
    router.add_url_rule("/", "view", view)
    return router


def test_a_view_changes_the_policy_of_its_responses(ask):
    changes = {"script-src": ["'self'", "https://cdn.example"], "img-src": None}
    stacks = [build_stack(view_with({"csp": changes}), use(SecurityHeadersMiddleware, csp_report_only={}))]
    for _ in range(2):
        answer = ask(lambda app: stacks[0])
        for name in (CSP, "Content-Security-Policy-Report-Only"):
            assert "script-src 'self' https://cdn.example;" in answer[name]
            assert "img-src" not in answer[name]
            assert "object-src 'none'" in answer[name]
    assert ask(lambda app: build_stack(view_with({"csp": False}), use(SecurityHeadersMiddleware)))[CSP] is None


def test_a_view_with_a_policy_that_cannot_work_is_an_error_of_the_application(ask):
    with pytest.raises(ApplicationError, match=r"policy: csp\['script-src'\]: expected sources of CSP"):
        ask(lambda app: build_stack(view_with({"csp": {"script-src": "self"}}), use(SecurityHeadersMiddleware)))


def test_our_error_page_under_a_nonce_keeps_its_own_policy(ask):
    def failing(environ, start_response):
        raise ValueError

    def make(app):
        return build_stack(failing, use(ErrorPagesMiddleware), use(SecurityHeadersMiddleware, **BOTH))

    answer = ask(make, HTTP_ACCEPT="text/html")
    nonce = answer.body.partition(b'nonce="')[2].partition(b'"')[0].decode()
    (policy,) = answer.headers.get_all(CSP)
    assert policy.startswith("default-src 'none'")
    assert f"'nonce-{nonce}'" in policy
    assert "private" in answer["Cache-Control"] or "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"csp": {"script-src": ["self"]}}, "Quote it: \"'self'\""),
        ({"csp": {"script-src": "'self'; img-src *"}}, "A comma, a semicolon"),
        ({"csp": {"scriptsrc": "'self'"}}, "csp: expected directives of CSP"),
        ({"csp_report_only": {"x": ""}}, "csp_report_only: expected directives of CSP"),
        ({"csp": {}, "csp_defaults": False}, "csp: expected at least one directive"),
        ({"csp_defaults": 1}, "csp_defaults: expected True or False"),
        ({"csp_upgrade": True}, "csp_upgrade: expected 'always' or 'https'"),
        ({"frame_options": "ALLOW-FROM x"}, "frame_options: expected None or one of SAMEORIGIN, DENY"),
        ({"opener_policy": ""}, "opener_policy: expected None or one of"),
        ({"referrer_policy": "none"}, "referrer_policy: expected a referrer policy"),
        ({"referrer_policy": ""}, "referrer_policy: expected a referrer policy"),
        ({"permissions_policy": {"Camera": []}}, "permissions_policy: expected names such as 'camera'"),
        ({"permissions_policy": {}}, "permissions_policy: expected a mapping"),
        ({"hide_powered_by": None}, "hide_powered_by: expected True or False"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^SecurityHeadersMiddleware: ") as caught:
        SecurityHeadersMiddleware(print, **options)
    assert text in str(caught.value)


def test_the_layer_conforms():
    assert_conforms(SecurityHeadersMiddleware)
