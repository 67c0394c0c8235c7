"""Public advisories of peers from 2024 to 2026 that could have an equivalent here: each is a test.

docs/explanation/peers-advisories.md is the table of them; a test compares the ids. What is known of an advisory is
taken from its text at GitHub, Rubysec or the project's release notes.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import logging
import re
from pathlib import Path

import pytest
from werkzeug.exceptions import BadRequest

from wsgikit import (
    AccessLogMiddleware,
    BodyLimitMiddleware,
    CacheMiddleware,
    ContextMiddleware,
    CsrfMiddleware,
    ErrorPagesMiddleware,
    MethodOverrideMiddleware,
    ProxyHeadersMiddleware,
    Request,
    Router,
    SendfileMiddleware,
    SessionMiddleware,
    StaticMiddleware,
    TrustedHostsMiddleware,
    build_stack,
    redirect,
    request,
    session,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.http.accept import choose_encoding, choose_form, choose_language
from wsgikit.http.cookies import parse_cookies
from wsgikit.http.ranges import parse_ranges
from wsgikit.routing.method_view import MethodView
from wsgikit.testing import TestClient

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "peers-advisories.md"
SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
OTHER_SECRET = "11aa7f9e6a0d1c2b3e4f5a9f2c1c5e3a99"
TESTED: set[str] = set()


def advisory(*ids: str):
    """Mark a test with the ids of the advisories that it stands for."""

    def mark(test):
        TESTED.update(ids)
        return test

    return mark


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello"]


def environ_of(path="/", **keys):
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "example.com",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com",
        "REMOTE_ADDR": "192.0.2.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **keys,
    }


def ask(app, path="/", **keys):
    """Make one request as raw as a server would; return the status code, the headers and the body."""
    seen = []
    body = app(environ_of(path, **keys), lambda status, headers, exc_info=None: seen.append((status, headers)))
    try:
        content = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    status, headers = seen[-1]
    return int(status[:3]), dict(headers), content


# ---------------------------------------------------------------------- ranges, and headers that take long to read


@pytest.fixture
def folder(tmp_path):
    """A folder with files, and beside it others that no request may reach."""
    root = tmp_path / "public"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("x" * 1000)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public-secret").mkdir()
    (tmp_path / "public-secret" / "a.txt").write_text("secret")
    for name in ("NUL", "con.txt", "sub/nul", "sub/COM1.tar.gz", "aux."):
        (root / name).write_text("device")
    return root


@advisory("CVE-2024-26141", "CVE-2026-34826", "CVE-2025-62727")
@pytest.mark.parametrize("count", [101, 20_000], ids=["one over the limit", "many"])
def test_many_ranges_are_answered_with_the_whole_file(count, folder):
    app = StaticMiddleware(hello, root=folder)
    ranges = "bytes=" + ",".join(f"{number}-{number}" for number in range(count))
    status, _, body = ask(app, "/static/a.txt", HTTP_RANGE=ranges)
    assert (status, len(body)) == (200, 1000)


@advisory("CVE-2024-26141")
def test_ranges_that_overlap_do_not_multiply_the_file(folder):
    app = StaticMiddleware(hello, root=folder)
    _, _, body = ask(app, "/static/a.txt", HTTP_RANGE="bytes=" + ",".join(["0-"] * 100))
    assert len(body) <= 2000


# A parser that takes quadratic time for one of these runs into the time limit of the test.
@advisory("CVE-2024-25126", "CVE-2024-26146", "CVE-2024-39316", "CVE-2026-34230", "CVE-2024-39614")
@pytest.mark.parametrize(
    "read",
    [
        lambda: choose_form("a/b;" + " " * 300_000 + "x"),
        lambda: choose_form(",".join(["text/html;q=0.1"] * 30_000)),
        lambda: choose_encoding(",".join(["gzip;q=0.1"] * 30_000), ("br", "gzip")),
        lambda: choose_language("a" * 300_000 + "-" * 300_000, ["en"], "en"),
        lambda: choose_language(",".join(["x-" * 100] * 2_000), ["en"], "en"),
        lambda: Request(environ_of(CONTENT_TYPE="text/html;" + " " * 300_000 + "x")).mimetype,
        lambda: parse_ranges("bytes=" + "0" * 300_000 + "x", 1000),
        lambda: parse_ranges("bytes=" + "-," * 100_000, 1000),
        lambda: parse_cookies("a=" + '"\\' * 100_000),
    ],
    ids=["Accept", "many Accept", "Accept-Encoding", "language", "languages", "type", "range", "ranges", "cookie"],
)
@pytest.mark.timeout(20)
def test_a_long_header_is_read_in_linear_time(read):
    read()


# ---------------------------------------------------------------------- files


@advisory("CVE-2025-27610", "CVE-2026-22860", "CVE-2024-49766", "CVE-2026-48818")
@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "sub/../../secret.txt",
        "../public-secret/a.txt",
        "/../secret.txt",
        "..\\secret.txt",
        "\\\\host\\share\\a.txt",
        "//host/share/a.txt",
        "%2e%2e/secret.txt",
        "a.txt\0.html",
    ],
)
def test_no_path_leads_out_of_the_folder_of_static_files(path, folder):
    app = StaticMiddleware(hello, root=folder)
    assert ask(app, f"/static/{path}")[2] == b"Hello"


@advisory("CVE-2025-66221", "CVE-2026-21860", "CVE-2026-27199")
@pytest.mark.parametrize("name", ["NUL", "con.txt", "sub/nul", "sub/COM1.tar.gz", "aux."])
def test_the_name_of_a_windows_device_is_never_served(name, folder):
    app = StaticMiddleware(hello, root=folder)
    assert ask(app, f"/static/{name}")[2] == b"Hello"


@advisory("CVE-2026-25500", "CVE-2026-34763")
@pytest.mark.parametrize("path", ["/static/", "/static/sub", "/static/sub/"])
def test_a_folder_is_never_listed(path, folder):
    assert ask(StaticMiddleware(hello, root=folder), path)[2] == b"Hello"


@advisory("CVE-2025-61780", "CVE-2025-27111", "CVE-2026-34830")
def test_a_client_cannot_choose_what_the_proxy_sends(tmp_path, caplog):
    file = tmp_path / "a.txt"
    file.write_text("content")

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](file.open("rb"))

    class Wrapper:
        def __init__(self, file, size=8192):
            self.filelike = file
            self.close = file.close

        def __iter__(self):
            return iter([self.filelike.read()])

    sendfile = SendfileMiddleware(app, kind="x-sendfile", mappings={"/srv/other": "/other/"})
    keys = {
        "HTTP_X_SENDFILE_TYPE": "X-Accel-Redirect\r\nevil",
        "HTTP_X_ACCEL_MAPPING": f"{tmp_path}=/private/",
        "wsgi.file_wrapper": Wrapper,
    }
    status, headers, body = ask(sendfile, **keys)
    assert (status, body) == (200, b"content")
    assert {name.lower() for name in headers}.isdisjoint({"x-sendfile", "x-accel-redirect"})
    assert "evil" not in caplog.text


# ---------------------------------------------------------------------- logs


@advisory("CVE-2025-25184", "CVE-2025-48432")
def test_a_line_break_in_a_request_makes_no_line_in_the_log(caplog):
    def broken(environ, start_response):
        raise ValueError("broken")

    stack = build_stack(broken, use(AccessLogMiddleware), use(ErrorPagesMiddleware))
    evil = "\r\n1.2.3.4 - admin \x1b[31m"
    with caplog.at_level(logging.INFO):
        ask(stack, f"/{evil}", REMOTE_USER=f"ann{evil}", HTTP_USER_AGENT=evil, HTTP_REFERER=evil)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) >= 2
    for message in messages:
        assert "\x1b" not in message
        assert not any(line.startswith("1.2.3.4") for line in re.split(r"[\r\n]", message))


# ---------------------------------------------------------------------- hosts and proxies


@advisory("CVE-2026-32762")
@pytest.mark.parametrize(
    "forwarded",
    ['for="127.0.0.1;proto=https;host=evil.example"', 'for="\\";host=evil.example;x=\\""', "for=1.2.3.4;host=a;host=b"],
)
def test_a_semicolon_in_quotes_adds_nothing_to_forwarded(forwarded):
    seen = []

    def app(environ, start_response):
        seen.append((environ["HTTP_HOST"], environ["wsgi.url_scheme"]))
        return hello(environ, start_response)

    layer = ProxyHeadersMiddleware(app, trusted_proxies=["192.0.2.1"], headers=["forwarded"])
    status, _, _ = ask(layer, HTTP_FORWARDED=forwarded)
    assert status == 400 or seen == [("example.com", "http")]


@advisory("CVE-2026-34835", "CVE-2026-48710")
@pytest.mark.parametrize(
    "host", ["example.com/x", "example.com?x", "example.com#", "a@example.com", "example.com\\x", "ex ample.com"]
)
def test_a_host_with_other_characters_is_refused_and_never_part_of_a_url(host):
    assert ask(TrustedHostsMiddleware(hello, hosts=["example.com"]), HTTP_HOST=host)[0] == 400
    with pytest.raises(BadRequest):
        _ = Request(environ_of("/admin", HTTP_HOST=host)).host
    assert Request(environ_of("/admin", HTTP_HOST=host)).path == "/admin"


@advisory("CVE-2026-54282")
def test_a_path_without_a_slash_does_not_change_the_host_of_the_url():
    url = Request(environ_of("@evil.example/x")).url
    assert re.match(r"http://example\.com[/%]", url), url


@advisory("CVE-2026-53878")
@pytest.mark.parametrize("host", ["example.com\n", "exam\r\nple.com", "example.com\r\nX-A: b"])
def test_a_line_break_in_a_domain_is_refused_while_building(host):
    with pytest.raises(ConfigurationError):
        TrustedHostsMiddleware(hello, hosts=[host])
    with pytest.raises(ConfigurationError):
        SessionMiddleware(hello, secret_key=SECRET, cookie_domain=host)


# ---------------------------------------------------------------------- redirects


@advisory("CVE-2024-42353", "CVE-2026-44889", "CVE-2025-64458")
@pytest.mark.parametrize(
    "location",
    ["//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "\t//evil.example",
     "https:evil.example", "https:/evil.example", " //evil.example", "/\n/evil.example"],
)  # fmt: skip
def test_a_redirect_never_leaves_the_site_by_an_odd_spelling(location):
    router = Router("redirects")
    router.add_url_rule("/", "index", lambda: redirect(location))
    stack = build_stack(router, ContextMiddleware)
    status, headers, _ = ask(stack)
    if status == 302:  # then it is a path of this site
        assert re.match(r"(http://example\.com)?/(?![/\\])", headers["Location"]), headers
    else:
        assert status == 400
        assert "Location" not in headers


# ---------------------------------------------------------------------- forms


def form_stack():
    router = Router("forms")

    @router.post("/")
    def form():
        return {"fields": len(request.form), "names": sorted(request.form)[:3]}

    return build_stack(router, ContextMiddleware, use(BodyLimitMiddleware, max_body_bytes="10MiB"))


def multipart(*parts, boundary="b", preamble=b""):
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return preamble + body + b"--" + boundary.encode() + b"--\r\n"


FIELD = b'Content-Disposition: form-data; name="a"\r\n\r\n'
OVERSIZED = {
    "one field of 1 MiB": multipart(FIELD + b"x" * 1_048_576),
    "1,001 parts": multipart(*[FIELD + b"x"] * 1_001),
    "headers without an end": b"--b\r\n" + b"X: y\r\n" * 200_000,
    "one header without an end": b"--b\r\nX: " + b"y" * 1_200_000,
    "more than the body limit": multipart(FIELD.replace(b"name", b'filename="f"; name') + b"x" * 11_000_000),
}


@advisory("CVE-2024-47874", "CVE-2024-49767", "CVE-2025-61771", "CVE-2025-61772", "CVE-2026-34827", "CVE-2026-34829")
@pytest.mark.parametrize("body", OVERSIZED.values(), ids=OVERSIZED)
def test_a_multipart_form_is_refused_beyond_its_limits(body):
    status, _, _ = post(form_stack(), body, "multipart/form-data; boundary=b")
    assert status in (400, 413)


@advisory("CVE-2025-61770", "CVE-2026-33033", "CVE-2025-54121", "CVE-2025-49007")
@pytest.mark.parametrize(
    "body",
    [
        multipart(FIELD + b"x", preamble=b"p" * 5_000_000 + b"\r\n"),
        multipart(b'Content-Disposition: form-data; name="a"; ' + b";" * 50_000 + b"\r\n\r\nx"),
        multipart(b'Content-Disposition: form-data; name="' + b'\\"' * 50_000 + b'"\r\n\r\nx'),
        multipart(FIELD[:-2] + b"Content-Transfer-Encoding: base64\r\n\r\n" + b" " * 400_000),
    ],
    ids=["preamble", "parameters", "quotes", "blanks in base64"],
)
@pytest.mark.timeout(20)
def test_an_odd_multipart_form_is_read_or_refused_in_linear_time(body):
    status, _, _ = post(form_stack(), body, "multipart/form-data; boundary=b")
    assert status in (200, 400, 413)


@advisory("CVE-2025-61919", "CVE-2026-54283", "CVE-2025-46727")
@pytest.mark.parametrize(
    "body", [b"a=" + b"x" * 600_000, b"&".join([b"a=1"] * 200_000)], ids=["one field", "many fields"]
)
def test_an_urlencoded_form_is_refused_beyond_its_limit(body):
    assert post(form_stack(), body, "application/x-www-form-urlencoded")[0] == 413


@advisory("CVE-2025-59830")
def test_a_semicolon_separates_no_fields():
    query = Request(environ_of(QUERY_STRING="a=1;b=2&c=3")).args
    assert dict(query) == {"a": "1;b=2", "c": "3"}


@advisory("CVE-2026-26961", "CVE-2026-26962")
@pytest.mark.parametrize(
    ("content_type", "part"),
    [
        ("multipart/form-data; boundary=b; boundary=c", FIELD),
        ("multipart/form-data; boundary =b", FIELD),
        ("multipart/form-data; boundary=b", b'Content-Disposition: form-data;\r\n name="csrf_token"\r\n\r\n'),
    ],
    ids=["two boundaries", "a blank before the sign", "a folded header"],
)
def test_a_multipart_form_that_parsers_read_in_two_ways_passes_no_csrf_check(content_type, part):
    router = Router("csrf")
    router.add_url_rule("/", "index", lambda: "changed", methods=["POST"])
    stack = build_stack(router, use(SessionMiddleware, secret_key=SECRET), use(CsrfMiddleware, tokens="always"))
    status, _, _ = post(stack, multipart(part + b"guessed"), content_type, HTTP_COOKIE="session=x")
    assert status in (400, 403)


@advisory("CVE-2026-5766", "CVE-2026-33034")
def test_a_body_without_a_length_is_counted_while_it_is_read():
    def app(environ, start_response):
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(size).encode()]

    layer = build_stack(app, use(BodyLimitMiddleware, max_body_bytes=1000))
    keys = {"wsgi.input": io.BytesIO(b"x" * 5000), "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert ask(layer, REQUEST_METHOD="POST", **keys)[0] == 413


def post(app, body, content_type, **keys):
    return ask(
        app,
        REQUEST_METHOD="POST",
        CONTENT_TYPE=content_type,
        CONTENT_LENGTH=str(len(body)),
        **{"wsgi.input": io.BytesIO(body), **keys},
    )


# ---------------------------------------------------------------------- sessions


@advisory("CVE-2025-32441", "CVE-2025-46336")
def test_a_session_that_was_destroyed_meanwhile_is_not_written_again():
    router = Router("sessions")
    router.add_url_rule("/login", "login", lambda: session.update(user="ann") or "in")
    router.add_url_rule("/logout", "logout", lambda: session.destroy() or "out")
    router.add_url_rule("/read", "read", lambda: {"user": session.get("user")})

    @router.get("/slow")
    def slow():
        assert session["user"] == "ann"
        other.get("/logout")  # another request of the same visitor, while this one runs
        session["seen"] = True
        return "slow"

    stack = build_stack(router, ContextMiddleware, use(SessionMiddleware, secret_key=SECRET, store="memory://"))
    client, other, thief = (TestClient(stack) for _ in range(3))
    client.get("/login")
    cookie = client.cookies["session"]
    other.set_cookie("session", cookie)
    thief.set_cookie("session", cookie)
    client.get("/slow", expect_errors=True)
    assert thief.get("/read").json == {"user": None}


def reading_stack(**options):
    router = Router("reading")
    router.add_url_rule("/set", "set", lambda: session.update(user="ann") or "set")
    router.add_url_rule("/read", "read", lambda: {"user": session.get("user")})
    router.add_url_rule("/has", "has", lambda: {"has": "user" in session})
    return build_stack(router, ContextMiddleware, use(SessionMiddleware, **{"secret_key": SECRET, **options}))


@advisory("CVE-2026-39324")
def test_an_encrypted_session_is_never_read_from_a_cookie_that_is_only_signed():
    signed = TestClient(reading_stack())
    signed.get("/set")
    encrypted = TestClient(reading_stack(encrypt=True))
    for forged in (signed.cookies["session"], "eyJ1c2VyIjoiYW5uIn0", "e30.x.y", json.dumps({"user": "ann"})):
        assert ask(encrypted.app, "/read", HTTP_COOKIE=f"session={forged}")[2] == b'{"user":null}\n'


@advisory("CVE-2025-47278")
def test_the_first_of_several_secrets_signs():
    client = TestClient(reading_stack(secret_key=[SECRET, OTHER_SECRET]))
    client.get("/set")
    cookie = f"session={client.cookies['session']}"
    assert b"ann" in ask(reading_stack(secret_key=SECRET), "/read", HTTP_COOKIE=cookie)[2]
    assert b"ann" not in ask(reading_stack(secret_key=OTHER_SECRET), "/read", HTTP_COOKIE=cookie)[2]


@advisory("CVE-2026-27205")
@pytest.mark.parametrize("path", ["/read", "/has"])
def test_any_look_at_the_session_makes_the_response_vary_by_cookie(path):
    assert "Cookie" in ask(reading_stack(), path)[1]["Vary"]


@advisory("GHSA-h7pc-vwp9-298g")
def test_a_signed_value_of_one_purpose_is_none_of_another():
    client = TestClient(reading_stack(cookie_name="ab"))
    client.get("/set")
    other = reading_stack(cookie_name="a")
    assert b"ann" not in ask(other, "/read", HTTP_COOKIE=f"a={client.cookies['ab']}")[2]
    assert b"ann" not in ask(other, "/read", HTTP_COOKIE=f"a=b{client.cookies['ab']}")[2]


# ---------------------------------------------------------------------- shared caches


def cached(*headers, count=None, **options):
    calls = [] if count is None else count

    def app(environ, start_response):
        calls.append(environ.get("HTTP_AUTHORIZATION") or environ.get("HTTP_COOKIE"))
        start_response("200 OK", [("Content-Type", "text/plain"), *headers])
        return [f"for {calls[-1]}".encode()]

    return build_stack(app, use(CacheMiddleware, **options))


PRIVATE = {
    "Set-Cookie": [("Cache-Control", "max-age=60"), ("Set-Cookie", "sid=ann")],
    "private in capitals": [("Cache-Control", "PRIVATE, max-age=60")],
    "no-store in capitals": [("Cache-Control", "No-Store, max-age=60")],
    "Vary with blanks": [("Cache-Control", "max-age=60"), ("Vary", "  Cookie  ,\tAccept")],
    "Vary is any": [("Cache-Control", "max-age=60"), ("Vary", " * ")],
}


@advisory("CVE-2026-48588", "CVE-2026-35192", "CVE-2026-6907", "GHSA-8cjm-8mp7-r2xf", "GHSA-923m-gv2p-w5qp")
@pytest.mark.parametrize("headers", PRIVATE.values(), ids=PRIVATE)
def test_a_response_for_one_visitor_is_sent_to_no_other(headers):
    stack = cached(*headers)
    assert ask(stack, HTTP_COOKIE="sid=ann")[2] == b"for sid=ann"
    assert ask(stack, HTTP_COOKIE="sid=eve")[2] == b"for sid=eve"


@advisory("CVE-2026-35193")
def test_a_response_to_a_request_with_credentials_is_sent_to_nobody_else():
    stack = cached(("Cache-Control", "max-age=60"))
    assert ask(stack, HTTP_AUTHORIZATION="Basic ann")[2] == b"for Basic ann"
    assert ask(stack)[2] == b"for None"


@advisory("CVE-2026-35192")
def test_a_page_that_sets_the_session_is_never_kept_by_a_shared_cache():
    router = Router("fixation")
    router.add_url_rule("/", "index", lambda: (session.update(user="ann") or "page", {"Cache-Control": "public"}))
    stack = build_stack(
        router, ContextMiddleware, use(CacheMiddleware, default_seconds=60), use(SessionMiddleware, secret_key=SECRET)
    )
    first, second = (ask(stack)[1]["Set-Cookie"] for _ in range(2))
    assert first
    assert second


# ---------------------------------------------------------------------- methods, debug pages


@advisory("CVE-2026-48817")
@pytest.mark.parametrize("method", ["DISPATCH_REQUEST", "AS_VIEW", "__INIT__", "SECRET", "dispatch_request"])
def test_a_method_of_a_request_names_no_other_attribute_of_a_view(method):
    called = []

    class View(MethodView):
        def get(self):
            return "get"

        def secret(self):
            called.append("secret")
            return "secret"

    router = Router("methods")
    router.add_url_rule("/", view_func=View.as_view("view"))
    for app in (router, build_stack(router, use(MethodOverrideMiddleware))):
        keys = {"HTTP_X_HTTP_METHOD_OVERRIDE": method}
        assert ask(app, REQUEST_METHOD=method)[0] == 405
        assert ask(app, REQUEST_METHOD="POST", **keys)[0] == 405
    assert called == []


@advisory("CVE-2024-34069")
@pytest.mark.parametrize(
    "keys", [{"HTTP_HOST": "evil.example"}, {"REMOTE_ADDR": "203.0.113.7"}, {"HTTP_X_FORWARDED_FOR": "203.0.113.7"}]
)
def test_a_page_of_another_host_gets_no_traceback(keys):
    def broken(environ, start_response):
        raise ValueError("a secret of the source")

    stack = build_stack(broken, use(ErrorPagesMiddleware, debug=True))
    local = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost", "HTTP_ACCEPT": "text/html"}
    logging.disable()
    try:
        assert b"a secret of the source" in ask(stack, **local)[2]
        assert b"a secret of the source" not in ask(stack, **{**local, **keys})[2]
    finally:
        logging.disable(logging.NOTSET)


# ---------------------------------------------------------------------- what our dependencies have to be

# The first version without the advisory. Where the fault is in a server or in a template engine, this is our part.
FLOORS = {
    "werkzeug": ((3, 1, 6), "CVE-2024-34069 CVE-2024-49766 CVE-2024-49767 CVE-2025-66221 CVE-2026-27199"),
    "webob": ((1, 8, 10), "CVE-2024-42353 CVE-2026-44889"),
    "Jinja2": ((3, 1, 6), "CVE-2024-22195 CVE-2024-34064 CVE-2024-56201 CVE-2024-56326 CVE-2025-27516"),
    "waitress": ((3, 0, 1), "CVE-2024-49768 CVE-2024-49769"),
    "gunicorn": ((23, 0, 0), "CVE-2024-1135 CVE-2024-6827"),
}
for _, ids in FLOORS.values():
    TESTED.update(ids.split())


@pytest.mark.parametrize("name", FLOORS)
def test_a_dependency_with_a_known_advisory_is_not_accepted(name):
    required = [text for text in importlib.metadata.requires("wsgikit") or () if text.lower().startswith(name.lower())]
    floors = [re.search(r">=\s*([\d.]+)", text) for text in required]
    assert floors
    for floor in floors:
        numbers = tuple(map(int, floor[1].split(".")))
        assert numbers + (0,) * (3 - len(numbers)) >= FLOORS[name][0], required


def test_the_page_lists_the_advisories_that_are_tested():
    text = PAGE.read_text(encoding="utf-8").partition("## Without an equivalent")[0]
    assert set(re.findall(r"CVE-\d{4}-\d+|GHSA(?:-\w{4}){3}", text)) == TESTED
