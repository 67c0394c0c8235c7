"""`CsrfMiddleware` as a layer: refusals, tokens in sessions and cookies, exempt views, templates, the test client."""

from __future__ import annotations

import re

import pytest

from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    Middleware,
    Router,
    SessionMiddleware,
    build_stack,
    csrf_field,
    csrf_token,
    policy,
    render_template_string,
    use,
)
from wsgikit.crypto.masking import unmask_token
from wsgikit.exceptions import ApplicationError, ConfigurationError
from wsgikit.middleware.csrf import CsrfMiddleware
from wsgikit.testing import TestClient, assert_conforms

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
CROSS = {"HTTP_SEC_FETCH_SITE": "cross-site"}
SAME = {"HTTP_SEC_FETCH_SITE": "same-origin"}


def bare(**options):
    return lambda app: CsrfMiddleware(app, tokens="never", **options)


def test_a_request_of_another_site_is_a_403_and_does_not_reach_the_application(ask):
    answer = ask(bare(), method="POST", **CROSS)
    assert answer.code == 403
    assert answer.seen is None
    assert {"Origin", "Sec-Fetch-Site", "Cookie"} <= {name.strip() for name in answer["Vary"].split(",")}
    assert b"Another site sent this request. (cross-site)" in answer.body
    assert b"trusted_origins" in answer.body


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("text/html", "text/html; charset=utf-8"), ("application/json", "application/problem+json")],
)
def test_the_refusal_follows_accept(ask, accept, content_type):
    answer = ask(bare(), method="POST", HTTP_ACCEPT=accept, **CROSS)
    assert (answer.code, answer["Content-Type"]) == (403, content_type)
    assert b"policy(csrf=False)" in answer.body


@pytest.mark.parametrize("request_", [{}, {"method": "POST", **SAME}, {"method": "HEAD", **CROSS}])
def test_other_requests_pass_untouched(ask, request_):
    answer = ask(bare(), **request_)
    assert (answer.code, list(answer.headers)) == (200, [("Content-Type", "text/plain")])


def test_the_verdict_is_in_environ(ask):
    seen = ask(bare(), method="POST", HTTP_ORIGIN="https://example.com").seen["wsgikit.csrf"]
    assert (seen.allowed, seen.reason) == (True, "same-origin")
    seen = ask(bare()).seen["wsgikit.csrf"]
    assert (seen.allowed, seen.reason) == (True, "safe-method")
    seen = ask(bare(trusted_origins="https://b.example"), method="POST", HTTP_ORIGIN="https://b.example").seen
    assert seen["wsgikit.csrf"].reason == "trusted-origin"


def test_a_refusal_is_logged_with_its_reason_and_without_secrets(ask, caplog):
    headers = {"HTTP_ORIGIN": "https://evil.example\n", "HTTP_COOKIE": "sid=hunter2", "HTTP_AUTHORIZATION": "hunter2"}
    ask(bare(), method="POST", path="/pay?token=hunter2", **headers)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("wsgikit.csrf", "WARNING")
    text = record.getMessage()
    assert text.startswith(
        "POST /pay refused: origin-mismatch (Origin 'https://evil.example\\n', Host 'example.com'). "
    )
    assert "hunter2" not in text
    assert "\n" not in text


def test_report_only_lets_requests_pass_and_logs_them(ask, caplog):
    answer = ask(bare(report_only=True), method="POST", **CROSS)
    assert answer.code == 200
    assert answer.seen["wsgikit.csrf"].allowed is False
    assert "POST / would be refused: cross-site" in caplog.records[0].getMessage()


# ---------------------------------------------------------------------- tokens


def make_router():
    router = Router("csrf")

    @router.get("/form")
    def form():
        return str(csrf_field())

    @router.get("/token")
    def token():
        return csrf_token()

    @router.post("/save")
    def save():
        from wsgikit import request

        return f"saved {request.form.get('name', '')}"

    @router.post("/hook")
    @policy(csrf=False)
    def hook():
        return "hooked"

    return router


def stack_of(**options):
    layers = [ContextMiddleware, ErrorPagesMiddleware]
    if "cookie" not in options:
        layers.append(use(SessionMiddleware, secret_key=SECRET))
    return build_stack(make_router(), *layers, use(CsrfMiddleware, **options))


KINDS = pytest.mark.parametrize(
    "options", [{}, {"cookie": "csrf", "secret_key": SECRET}], ids=["session", "signed cookie"]
)


@KINDS
def test_a_form_with_its_token_passes_and_one_without_does_not(options):
    client = TestClient(stack_of(**options))
    page = client.get("/form").text
    name, token = re.fullmatch(r'<input type="hidden" name="(.*)" value="(.*)">', page).groups()
    assert name == "csrf_token"
    assert client.post("/save", {name: token, "name": "Ann"}).text == "saved Ann"
    assert client.post("/save", {"name": "Ann"}, upload_files=[("f", "x.txt", b"x" * 99)], status=403)
    missing = client.post("/save", {"name": "Ann"}, status=403, headers={"Accept": "application/json"})
    assert "token-missing" in missing.json["detail"]
    wrong = client.post("/save", {name: token[:-4] + "AAAA"}, status=403, headers={"Accept": "application/json"})
    assert "token-wrong" in wrong.json["detail"]


@KINDS
def test_a_multipart_form_with_its_token_passes(options):
    client = TestClient(stack_of(**options))
    token = client.get("/token").text
    fields = {"csrf_token": token, "name": "Ann"}
    assert client.post("/save", fields, upload_files=[("f", "x.txt", b"x" * 100_000)]).text == "saved Ann"


@KINDS
def test_a_script_sends_the_token_in_a_header(options):
    client = TestClient(stack_of(header="X-My-Token", **options))
    token = client.get("/token").text
    assert client.post("/save", {"name": "Ann"}, headers={"X-My-Token": token}).text == "saved Ann"


@KINDS
def test_the_token_is_another_text_at_each_call_and_the_same_inside(options):
    client = TestClient(stack_of(**options))
    first, second = client.get("/token").text, client.get("/token").text
    assert first != second
    assert unmask_token(first) == unmask_token(second)


def test_the_token_of_another_session_is_wrong():
    stack = stack_of()
    other = TestClient(stack).get("/token").text
    client = TestClient(stack)
    client.get("/token")
    client.post("/save", {"csrf_token": other}, status=403)


def test_the_token_ends_with_the_session_it_belongs_to():
    client = TestClient(stack_of())
    token = client.get("/token").text
    with client.session() as session:
        session.rotate()
    client.post("/save", {"csrf_token": token}, status=403)


def test_a_method_that_a_layer_further_in_changes_is_judged():
    class MethodFromQuery(Middleware):
        def before_request(self, exchange):
            exchange.environ["REQUEST_METHOD"] = exchange.environ["QUERY_STRING"]

    router = Router(name="site")

    @router.route("/", methods=["GET", "DELETE"])
    def view():
        return "ran"

    client = TestClient(build_stack(router, use(CsrfMiddleware, tokens="never"), use(MethodFromQuery)))
    assert "cross-site" in client.get("/?DELETE", extra_environ=CROSS, status=403).text
    assert client.get("/?DELETE", extra_environ=SAME).text == "ran"
    assert client.get("/?GET", extra_environ=CROSS).text == "ran"


def test_a_token_in_the_query_does_not_count():
    client = TestClient(stack_of())
    token = client.get("/token").text
    client.post(f"/save?csrf_token={token}", {"name": "Ann"}, status=403)


def test_a_cookie_that_we_did_not_sign_is_no_token():
    client = TestClient(stack_of(cookie="csrf", secret_key=SECRET))
    client.set_cookie("csrf", "chosen")
    client.post("/save", {"csrf_token": "chosen"}, status=403)


def test_the_cookie_of_the_token_can_be_sent_as_it_is():
    client = TestClient(stack_of(cookie="csrf", secret_key=SECRET))
    response = client.get("/token")
    assert "Path=/; SameSite=Lax" in response.headers["Set-Cookie"]
    assert response.headers["Vary"] == "Cookie"
    value = client.cookies["csrf"]
    assert client.post("/save", {"name": "Ann"}, headers={"X-CSRF-Token": value}).text == "saved Ann"


def test_origin_null_is_rescued_by_a_token_only():
    """The plain http network: under ``Referrer-Policy: no-referrer`` our own form has ``Origin: null``."""
    client = TestClient(stack_of())
    token = client.get("/token").text
    null = {"Origin": "null", "Accept": "application/json"}
    assert client.post("/save", {"csrf_token": token, "name": "Ann"}, headers=null).text == "saved Ann"
    assert "origin-null" in client.post("/save", {}, headers=null, status=403).json["detail"]
    assert "origin-null" in client.post("/save", {"csrf_token": "x"}, headers=null, status=403).json["detail"]
    evil = {"Origin": "https://evil.example"}
    client.post("/save", {"csrf_token": token}, headers=evil, status=403)
    never = TestClient(stack_of(tokens="never"))
    never.post("/save", {"csrf_token": token}, headers=null, status=403)


def test_tokens_can_be_asked_for_always():
    client = TestClient(stack_of(tokens="always", trusted_origins=["https://b.example"]))
    token = client.get("/token").text
    same = {"Sec-Fetch-Site": "same-origin"}
    client.post("/save", {}, headers=same, status=403)
    client.post("/save", {"csrf_token": token}, headers=same)
    client.post("/save", {}, headers={"Origin": "https://b.example"})


def test_a_request_without_credentials_needs_no_token():
    client = TestClient(stack_of())
    assert client.post("/save", {"name": "Ann"}).text == "saved Ann"
    client.post("/save", {"name": "Ann"}, headers={"Authorization": "Basic YTpi"}, status=403)


def test_a_session_without_a_token_accepts_none():
    client = TestClient(stack_of())
    with client.session() as session:
        session["a"] = 1
    client.post("/save", {"csrf_token": ""}, status=403)
    client.post("/save", {"csrf_token": "x"}, status=403)


def test_an_exempt_view_is_reached_and_its_body_not_read():
    client = TestClient(stack_of())
    assert client.post("/hook", {}, headers={"Sec-Fetch-Site": "cross-site", "Cookie": "a=b"}).text == "hooked"


def test_a_404_is_not_a_403():
    client = TestClient(stack_of())
    client.post("/nowhere", {}, headers={"Sec-Fetch-Site": "cross-site"}, status=404)


def test_a_scope_exempts_paths(ask):
    def make(app):
        return build_stack(app, use(CsrfMiddleware, tokens="never", unless="/hooks/*"))

    assert ask(make, method="POST", path="/hooks/a", **CROSS).code == 200
    assert ask(make, method="POST", path="/a", **CROSS).code == 403


def test_the_functions_work_in_a_template():
    router = Router("page")
    template = '<meta name="csrf-token" content="{{ csrf_token() }}">{{ csrf_field() }}'
    router.add_url_rule("/", "page", lambda: render_template_string(template))
    stack = build_stack(
        router, ContextMiddleware, use(SessionMiddleware, secret_key=SECRET), use(CsrfMiddleware, field="t")
    )
    text = TestClient(stack).get("/").text
    assert re.fullmatch(r'<meta name="csrf-token" content="[\w-]+"><input type="hidden" name="t" value="[\w-]+">', text)


def test_a_session_without_the_layer_still_gives_a_token():
    router = Router("page")
    router.add_url_rule("/", "page", csrf_token)
    client = TestClient(build_stack(router, ContextMiddleware, use(SessionMiddleware, secret_key=SECRET)))
    token = client.get("/").text
    with client.session() as session:
        assert session.check_csrf_token(token)


def test_the_layer_alone_says_that_a_session_is_missing(ask):
    def app(environ, start_response):
        with pytest.raises(ApplicationError, match="Add SessionMiddleware outside of CsrfMiddleware"):
            environ["wsgikit.csrf"].get_token()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    assert ask(lambda inner: CsrfMiddleware(app)).code == 200
    assert ask(CsrfMiddleware, method="POST", HTTP_COOKIE="a=b", HTTP_X_CSRF_TOKEN="x").code == 403


def test_a_stack_without_a_session_is_refused_while_building():
    with pytest.raises(ConfigurationError, match=r"CsrfMiddleware: needs environ\['wsgikit.session'\]"):
        build_stack(print, use(CsrfMiddleware))
    build_stack(print, use(CsrfMiddleware, tokens="never"))
    build_stack(print, use(CsrfMiddleware, cookie="csrf", secret_key=SECRET))


# ---------------------------------------------------------------------- the test client


@pytest.mark.parametrize(
    "options", [{}, {"tokens": "always"}, {"cookie": "csrf", "secret_key": SECRET}, {"tokens": "never"}]
)
def test_the_test_client_sends_the_token_by_itself(options):
    with TestClient(stack_of(**options), csrf=True) as client:
        client.get("/token")
        client.set_cookie("other", "1")
        assert client.post("/save", {"name": "Ann"}).text == "saved Ann"
        assert client.post("/save", {"name": "Bob"}).text == "saved Bob"


def test_the_test_client_leaves_a_token_of_the_test_alone():
    client = TestClient(stack_of(), csrf=True)
    client.get("/token")
    client.post("/save", {"name": "Ann"}, headers={"X-CSRF-Token": "wrong"}, status=403)


def test_the_test_client_says_that_there_is_no_such_layer():
    with pytest.raises(ConfigurationError, match="TestClient: csrf: expected a CsrfMiddleware in the app"):
        TestClient(make_router(), csrf=True)


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "origin",
    [
        # golang/go, src/net/http/csrf_test.go: TestCrossOriginProtectionAddTrustedOriginErrors.
        *(
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com/path",
            "https://example.com?query=value",
        ),
        *("https://example.com#fragment", "https://ex ample.com", "", "null"),
        # Ours.
        *("https://*.example.com", "https://user@example.com", "https://example.com:0x1", "//example.com", None),
    ],
)
def test_a_trusted_origin_that_is_none_is_refused_while_building(origin):
    with pytest.raises(ConfigurationError, match="^CsrfMiddleware: trusted_origins: expected an origin"):
        CsrfMiddleware(print, trusted_origins=[origin])


@pytest.mark.parametrize("origin", ["https://example.com", "https://example.com:8080", "http://example.com"])
def test_go_valid_trusted_origins(origin):
    assert CsrfMiddleware(print, trusted_origins=origin).trusted_origins


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tokens": "sometimes"}, "tokens: expected 'fallback', 'never' or 'always'"),
        ({"field": ""}, "field: expected the name of a form's field"),
        ({"header": "X CSRF"}, "header: expected the name of a header"),
        ({"cookie": "csrf"}, "secret_key: expected a secret, got none"),
        ({"cookie": "a b", "secret_key": SECRET}, "cookie_name: expected letters"),
        ({"secret_key": SECRET}, "secret_key: expected cookie= beside it"),
        ({"report_only": "yes"}, "report_only: expected True or False"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^CsrfMiddleware: ") as caught:
        CsrfMiddleware(print, **options)
    assert text in str(caught.value)


def test_the_layer_conforms():
    assert_conforms(bare())
    assert_conforms(CsrfMiddleware)
