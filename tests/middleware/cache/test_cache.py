"""The shared cache of RFC 9111.

Cases named "cache-tests" are those of https://github.com/http-tests/cache-tests with the id that stands with them.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from email.utils import formatdate
from functools import partial

import pytest

from tests.middleware.cache.conftest import Origin, call, make_environ
from wsgikit import (
    AuthenticationMiddleware,
    CacheMiddleware,
    ContextMiddleware,
    CsrfMiddleware,
    Router,
    SessionMiddleware,
    build_stack,
    policy,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.authentication import Basic
from wsgikit.middleware.cache.stores import MemoryCache
from wsgikit.testing import assert_conforms

SECRET = "0123456789abcdef" * 4


def date(clock, seconds):
    return formatdate(clock.now + seconds, usegmt=True)


def test_a_fresh_page_is_sent_again_without_the_application(make, origin, clock):
    get = make()
    first = get()
    assert (first.body, first["Cache-Status"], first["Age"]) == (b"1", "wsgikit; fwd=uri-miss; stored", None)
    clock.pass_seconds(7)
    again = get()
    assert (again.code, again.body, again["Age"], again["Cache-Status"]) == (200, b"1", "7", "wsgikit; hit")
    assert again["Content-Length"] == "1"
    clock.pass_seconds(53)
    assert get().body == b"2"


# cache-tests: the second request is answered from the cache, or it isn't.
USED = {
    "max-age": [("Cache-Control", "max-age=3600")],
    "max-age=2147483648": [("Cache-Control", "max-age=2147483648")],
    "max-age=99999999999": [("Cache-Control", "max-age=99999999999")],
    "extension": [("Cache-Control", "foobar, max-age=3600")],
    "case": [("Cache-Control", "MaX-aGe=3600")],
    "past Expires": [("Cache-Control", "max-age=3600"), ("Expires", -7200), ("Date", 0)],
    "invalid Expires beside max-age": [("Cache-Control", "max-age=3600"), ("Expires", "0")],
    "s-maxage": [("Cache-Control", "s-maxage=3600")],
    "s-maxage over max-age": [("Cache-Control", "max-age=0, s-maxage=3600"), ("Expires", -10)],
    "Expires": [("Expires", 3600)],
    "must-revalidate": [("Cache-Control", "max-age=10000, must-revalidate")],
    "must-understand": [("Cache-Control", "max-age=3600, no-store, must-understand")],
    "quoted": [("Cache-Control", 'max-age="3600"')],
    "Set-Cookie that is not stored": [("Cache-Control", 'max-age=60, private="set-cookie"'), ("Set-Cookie", "a=b")],
}
NOT_USED = {
    "nothing": [],
    "max-age=0": [("Cache-Control", "max-age=0")],
    "negative": [("Cache-Control", "max-age=-3600")],
    "Age": [("Cache-Control", "max-age=3600"), ("Age", "7200")],
    "Date": [("Cache-Control", "max-age=3600"), ("Date", -7200)],
    "max-age=0 and Expires": [("Cache-Control", "max-age=0"), ("Expires", 3600)],
    "s-maxage=0": [("Cache-Control", "max-age=3600, s-maxage=0")],
    "s-maxage in another line": [("Cache-Control", "max-age=3600"), ("Cache-Control", "s-maxage=0")],
    "two values": [("Cache-Control", "max-age=3600, max-age=0")],
    "decimal": [("Cache-Control", "max-age=3600.5")],
    "blank before the sign": [("Cache-Control", "max-age =3600")],
    "no-store": [("Cache-Control", "max-age=3600, No-StoRe")],
    "no-cache": [("Cache-Control", "max-age=3600, no-cache"), ("Expires", 10000)],
    "private": [("Cache-Control", "max-age=3600, PrIvAtE")],
    "Vary *": [("Cache-Control", "max-age=3600"), ("Vary", "Accept"), ("Vary", "*")],
    "Set-Cookie": [("Cache-Control", "public, max-age=3600"), ("Set-Cookie", "a=b")],
    "Expires 0": [("Expires", "0")],
    "Expires in UTC": [("Expires", "Thu, 18 Aug 2050 02:01:18 UTC")],
    "Expires with a zone": [("Expires", "Thu, 18 Aug 2050 02:01:18 AEST")],
    "Expires without a comma": [("Expires", "Thu 18 Aug 2050 02:01:18 GMT")],
    "Expires with two digits": [("Expires", "Thu, 18 Aug 50 02:01:18 GMT")],
    "Expires twice": [("Expires", "Thu, 18 Aug 2050 02:01:18 GMT"), ("Expires", "Thu, 18 Aug 2050 2:01:19 GMT")],
}


def with_dates(headers, clock):
    return [(name, date(clock, value) if isinstance(value, int) else value) for name, value in headers]


@pytest.mark.parametrize("headers", USED.values(), ids=USED.keys())
def test_a_response_is_used(make, origin, clock, headers):
    origin.headers = with_dates(headers, clock)
    get = make()
    get()
    answer = get()
    assert (answer.body, origin.calls) == (b"1", 1)
    assert answer["Set-Cookie"] is None


@pytest.mark.parametrize("headers", NOT_USED.values(), ids=NOT_USED.keys())
def test_a_response_is_not_used(make, origin, clock, headers):
    origin.headers = with_dates(headers, clock)
    get = make()
    get()
    assert (get().body, origin.calls) == (b"2", 2)


@pytest.mark.parametrize("status", ["203 A", "204 No Content", "299 A", "301 A", "308 A", "404 A", "410 A", "500 A"])
def test_any_final_status_with_a_time_is_stored(make, origin, status):
    """cache-tests: status-*-fresh."""
    origin.status = status
    origin.body = list
    get = make()
    get()
    assert (get().status, origin.calls) == (status, 1)


def test_the_key_is_scheme_host_mount_path_and_query(make, origin):
    get = make()
    different = [
        {"path": "/a"},
        {"path": "/a?b"},
        {"path": "/a", "HTTP_HOST": "other.example"},
        {"path": "/a", "wsgi.url_scheme": "https"},
        {"path": "", "SCRIPT_NAME": "/a"},
        {"path": "/b"},
    ]
    bodies = [get(**keys).body for keys in different]
    assert len(set(bodies)) == len(different)
    assert [get(**keys).body for keys in different] == bodies
    assert get(path="/a", HTTP_HOST="EXAMPLE.com").body == bodies[0]
    # A question mark in the path is no query.
    assert call(get.stack, "/x", PATH_INFO="/a?b").body not in bodies


def test_head_is_answered_from_the_page_of_get(make, origin):
    get = make()
    get()
    answer = get(method="HEAD")
    assert (answer.body, answer["Content-Length"], origin.calls) == (b"", "1", 1)
    assert get("/other", method="HEAD")["Cache-Status"] is None
    assert origin.calls == 2


def test_the_headers_of_vary_select_the_page(make, origin):
    origin.headers += [("Vary", "Accept-Language, X-A")]
    get = make()
    assert get(HTTP_ACCEPT_LANGUAGE="de, en").body == b"1"
    assert get(HTTP_ACCEPT_LANGUAGE="de,EN").body == b"1"
    assert get(HTTP_ACCEPT_LANGUAGE="fr").body == b"2"
    assert get(HTTP_ACCEPT_LANGUAGE="fr", HTTP_X_A="1").body == b"3"
    assert get(HTTP_ACCEPT_LANGUAGE="de, en").body == b"1"
    assert get().body == b"4"


def test_one_variant_is_kept_per_content_coding(make, origin):
    def encoded(environ, start_response):
        accepts = environ.get("HTTP_ACCEPT_ENCODING", "").endswith(("gzip", "deflate", "=1.0"))
        start_response(
            "200 OK",
            [("Cache-Control", "max-age=60"), ("Vary", "Accept-Encoding"), ("Content-Type", "text/plain")]
            + ([("Content-Encoding", "gzip")] if accepts else []),
        )
        origin.calls += 1
        return [b"gzip" if accepts else b"plain"]

    get = make(encoded)
    for accept, body in [
        ("gzip", b"gzip"),
        ("gzip, deflate", b"gzip"),
        ("gzip;q=1.0", b"gzip"),
        ("gzip;q=0", b"plain"),
    ]:
        assert get(HTTP_ACCEPT_ENCODING=accept).body == body
    assert get().body == b"plain"
    assert origin.calls == 2
    # Both prefer br, which the application doesn't have: only one of them takes gzip.
    assert get(HTTP_ACCEPT_ENCODING="br, gzip").body == b"gzip"
    assert get(HTTP_ACCEPT_ENCODING="br").body == b"plain"


def test_key_headers_are_part_of_every_key(make, origin):
    get = make(key_headers=["X-Tenant"])
    assert [get(HTTP_X_TENANT=tenant).body for tenant in ("a", "b", "a")] == [b"1", b"2", b"1"]


CREDENTIALS = {"authorization": {"HTTP_AUTHORIZATION": "Basic x"}, "remote user": {"REMOTE_USER": "ada"}}


@pytest.mark.parametrize("keys", CREDENTIALS.values(), ids=CREDENTIALS.keys())
@pytest.mark.parametrize("control", ["max-age=60, public", "s-maxage=60", "max-age=60, must-revalidate"])
def test_a_page_for_a_user_is_shared_if_it_says_so(make, origin, keys, control):
    """cache-tests: other-authorization-*."""
    origin.headers = [("Cache-Control", control)]
    get = make()
    assert [get(**keys).body, get().body] == [b"1", b"1"]


@pytest.mark.parametrize("keys", CREDENTIALS.values(), ids=CREDENTIALS.keys())
def test_a_page_for_a_user_is_not_shared_otherwise(make, origin, keys):
    get = make()
    assert [get(**keys).body, get().body, get(**keys).body, get().body] == [b"1", b"2", b"3", b"2"]


def test_a_page_that_read_the_session_is_not_shared():
    def app(environ, start_response):
        session = environ["wsgikit.session"]
        name = session.get("name")
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
        return [(name or "nobody").encode()]

    def sign_in(environ, start_response):
        environ["wsgikit.session"]["name"] = environ["PATH_INFO"][1:]
        start_response("204 No Content", [])
        return []

    def both(environ, start_response):
        return (sign_in if environ["REQUEST_METHOD"] == "POST" else app)(environ, start_response)

    stack = build_stack(both, use(CacheMiddleware), use(SessionMiddleware, secret_key=SECRET))
    cookies = {}
    for name in ("ada", "bob"):
        cookies[name] = call(stack, f"/{name}", "POST")["Set-Cookie"].partition(";")[0]
    for _ in range(2):
        for name, cookie in cookies.items():
            assert call(stack, HTTP_COOKIE=cookie).body == name.encode()
        assert call(stack).body == b"nobody"


def test_a_session_layer_outside_is_refused():
    with pytest.raises(ConfigurationError, match=r"\[CacheMiddleware, SessionMiddleware\]"):
        build_stack(Origin(), use(SessionMiddleware, secret_key=SECRET), use(CacheMiddleware))


@pytest.mark.parametrize(("is_used", "calls"), [(True, 2), (False, 1)], ids=["used", "not used"])
def test_a_page_with_a_nonce_is_not_stored(make, origin, is_used, calls):
    class Nonce:
        pass

    Nonce.is_used = is_used
    get = make()
    for _ in range(2):
        get(**{"wsgikit.csp_nonce": Nonce()})
    assert origin.calls == calls


@pytest.mark.parametrize("place", ["cookie", "session"])
@pytest.mark.parametrize("has_cookie", [False, True], ids=["new visitor", "known visitor"])
@pytest.mark.parametrize("directives", ["max-age=60", "public, max-age=60"])
def test_a_page_with_a_csrf_token_is_not_stored(place, has_cookie, directives):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", directives)])
        return [environ["wsgikit.csrf"].get_token().encode()]

    tokens = {
        "cookie": [use(CsrfMiddleware, cookie="csrf", secret_key=SECRET)],
        "session": [use(SessionMiddleware, secret_key=SECRET), use(CsrfMiddleware)],
    }
    stack = build_stack(app, use(CacheMiddleware), *tokens[place])
    cookie = call(stack)["Set-Cookie"].partition(";")[0]
    page = call(stack, **({"HTTP_COOKIE": cookie} if has_cookie else {}))
    assert page["Vary"] == "Cookie"
    assert page["Cache-Status"] == "wsgikit; fwd=uri-miss"
    assert call(stack)["Set-Cookie"].partition("=")[0] == cookie.partition("=")[0]


def test_default_seconds_are_for_visitors_without_cookies(make, origin):
    origin.headers = []
    get = make(default_seconds="1m")
    assert [get().body, get().body] == [b"1", b"1"]
    assert get(HTTP_COOKIE="a=b").body == b"2"
    assert get(HTTP_COOKIE="a=b").body == b"3"
    assert get(HTTP_AUTHORIZATION="Basic x").body == b"4"
    assert get().body == b"1"


def test_a_request_with_a_body_passes(make, origin):
    get = make()
    get()
    assert get(body=b"x", CONTENT_LENGTH="1").body == b"2"
    assert get(HTTP_TRANSFER_ENCODING="chunked").body == b"3"
    assert get().body == b"1"


@pytest.mark.parametrize(
    ("keys", "is_used"),
    [
        ({"HTTP_CACHE_CONTROL": "max-age=0"}, False),
        ({"HTTP_CACHE_CONTROL": "no-cache"}, False),
        ({"HTTP_PRAGMA": "no-cache"}, False),
        ({"HTTP_CACHE_CONTROL": "max-age=5"}, False),
        ({"HTTP_CACHE_CONTROL": "max-age=20"}, True),
        ({"HTTP_CACHE_CONTROL": "min-fresh=55"}, False),
        ({"HTTP_CACHE_CONTROL": "min-fresh=5"}, True),
        ({"HTTP_CACHE_CONTROL": "only-if-cached"}, True),
        ({"HTTP_IF_MATCH": '"a"'}, False),
    ],
    ids=str,
)
def test_what_the_client_asks_for_is_obeyed(make, origin, clock, keys, is_used):
    get = make()
    get()
    clock.pass_seconds(10)
    assert (get(**keys).body == b"1") is is_used


def test_only_if_cached_without_a_page_is_a_504(make, origin):
    assert make()(HTTP_CACHE_CONTROL="only-if-cached").code == 504
    assert origin.calls == 0


def test_a_request_with_no_store_is_not_stored(make):
    get = make()
    assert [get(HTTP_CACHE_CONTROL="no-store").body, get().body] == [b"1", b"2"]


# ---------------------------------------------------------------------- validation


def test_a_stale_page_is_validated_and_its_headers_are_updated(make, origin, clock):
    """cache-tests: 304-etag-update-response-*, conditional-etag-strong-generate."""
    origin.headers += [("ETag", '"a"'), ("Last-Modified", date(clock, -100)), ("X-Old", "kept"), ("X-New", "1")]
    get = make()
    get()
    clock.pass_seconds(61)
    origin.status = "304 Not Modified"
    origin.headers = [("Cache-Control", "max-age=100"), ("ETag", '"a"'), ("X-New", "2"), ("Content-Encoding", "x")]
    answer = get(HTTP_IF_NONE_MATCH='"client"')
    assert origin.seen[-1]["HTTP_IF_NONE_MATCH"] == '"a"'
    assert "HTTP_IF_MODIFIED_SINCE" in origin.seen[-1]
    assert (answer.code, answer.body, answer["X-Old"], answer["X-New"]) == (200, b"1", "kept", "2")
    assert answer["Content-Encoding"] is None
    assert answer["Cache-Status"] == "wsgikit; hit; fwd=stale; fwd-status=304"
    clock.pass_seconds(90)
    assert (get().body, origin.calls) == (b"1", 2)


def test_the_condition_of_the_client_is_answered_after_a_refresh(make, origin, clock):
    origin.headers += [("ETag", '"a"')]
    get = make()
    get()
    clock.pass_seconds(61)
    answer = get(HTTP_IF_NONE_MATCH='"a"')
    assert (answer.code, answer.body, answer["Content-Type"]) == (304, b"", None)
    assert origin.calls == 2
    assert get().body == b"2"


def test_a_cookie_of_a_304_goes_to_its_client_only(make, origin, clock):
    origin.headers += [("ETag", '"a"')]
    get = make()
    get()
    clock.pass_seconds(61)
    origin.status, origin.headers = "304 Not Modified", [*origin.headers, ("Set-Cookie", "a=b")]
    assert get()["Set-Cookie"] == "a=b"
    origin.headers.pop()
    assert get()["Set-Cookie"] is None


CONDITIONS = [
    ({"HTTP_IF_NONE_MATCH": '"a"'}, 304),
    ({"HTTP_IF_NONE_MATCH": 'W/"a"'}, 304),
    ({"HTTP_IF_NONE_MATCH": '"x", "a"'}, 304),
    ({"HTTP_IF_NONE_MATCH": "*"}, 304),
    ({"HTTP_IF_NONE_MATCH": '"x"'}, 200),
    ({"HTTP_IF_MODIFIED_SINCE": "Sat, 29 Oct 1994 19:43:31 GMT"}, 304),
    ({"HTTP_IF_NONE_MATCH": '"x"', "HTTP_IF_MODIFIED_SINCE": "Sat, 29 Oct 1994 19:43:31 GMT"}, 200),
    ({"HTTP_RANGE": "bytes=0-0"}, 206),
    ({"HTTP_RANGE": "bytes=5-"}, 416),
    ({"HTTP_RANGE": "bytes=0-0", "HTTP_IF_RANGE": '"x"'}, 200),
    ({"HTTP_RANGE": "lines=0-0"}, 200),
]


@pytest.mark.parametrize(("keys", "code"), CONDITIONS, ids=str)
def test_conditions_and_ranges_are_answered_from_the_stored_page(make, origin, keys, code):
    origin.headers += [("ETag", '"a"'), ("Last-Modified", "Sat, 29 Oct 1994 19:43:31 GMT")]
    get = make()
    get()
    answer = get(**keys)
    assert (answer.code, origin.calls) == (code, 1)
    assert answer.body == {304: b"", 416: answer.body}.get(code, b"1")
    assert answer["ETag"] == (None if code == 416 else '"a"')
    assert answer["Content-Range"] == {206: "bytes 0-0/1", 416: "bytes */1"}.get(code)


def test_a_range_of_a_page_that_is_not_stored_passes(make, origin):
    get = make()
    origin.status, origin.headers = "206 Partial Content", [*origin.headers, ("Content-Range", "bytes 0-0/9")]
    assert get(HTTP_RANGE="bytes=0-0").code == 206
    origin.status, origin.headers = "200 OK", origin.headers[:1]
    assert get().body == b"2"


# ---------------------------------------------------------------------- stale pages


@pytest.mark.parametrize("from_response", [True, False], ids=["the response says it", "the option says it"])
def test_a_stale_page_is_sent_and_refreshed_afterwards(make, origin, clock, from_response):
    if from_response:
        origin.headers = [("Cache-Control", "max-age=60, stale-while-revalidate=30")]
    get = make(**({} if from_response else {"stale_while_revalidate_seconds": 30}))
    get()
    clock.pass_seconds(70)
    answer = get()
    assert (answer.body, answer["Cache-Status"], answer["Age"]) == (b"1", "wsgikit; hit; fwd=stale", "70")
    assert origin.calls == 2
    assert get().body == b"2"
    clock.pass_seconds(91)
    assert get().body == b"3"


def test_the_refresh_runs_through_the_layers_inside_with_the_policy_of_the_view(clock):
    router = Router("refreshed")
    seen = []

    @router.get("/")
    @policy(cache=60)
    def page():
        from wsgikit import g, request

        seen.append((request.method, request.path, hasattr(g, "mark")))
        g.mark = True
        return str(len(seen))

    stack = build_stack(router, use(ContextMiddleware), use(CacheMiddleware, stale_while_revalidate_seconds=30))
    environs = []

    def noting(environ, start_response):
        environs.append(environ)
        return stack(environ, start_response)

    assert call(noting).body == b"1"
    clock.pass_seconds(70)
    assert call(noting, method="HEAD", HTTP_IF_NONE_MATCH='"x"').body == b""
    assert seen == [("GET", "/", False)] * 2
    assert (environs[-1]["REQUEST_METHOD"], environs[-1]["HTTP_IF_NONE_MATCH"]) == ("HEAD", '"x"')
    assert call(stack).body == b"2"
    assert len(seen) == 2


def test_a_refresh_that_fails_is_logged_and_the_page_stays(make, origin, clock, caplog):
    origin.headers = [("Cache-Control", "max-age=60, stale-while-revalidate=30")]
    get = make()
    get()
    clock.pass_seconds(70)
    origin.error = LookupError("database")
    assert get().body == b"1"
    assert "while the cache refreshed a page" in caplog.text
    origin.error = None
    assert get().body == b"1"
    assert get().body == b"3"


@pytest.mark.parametrize("control", ["must-revalidate", "proxy-revalidate", "s-maxage=2", "no-cache"])
def test_a_strict_page_is_never_sent_stale(make, origin, clock, control):
    """cache-tests: stale-close-*."""
    origin.headers = [("Cache-Control", f"max-age=2, {control}"), ("ETag", '"a"')]
    get = make(stale_if_error_seconds=60, stale_while_revalidate_seconds=60)
    get()
    clock.pass_seconds(3)
    origin.status = "503 Service Unavailable"
    assert get().code == 503


@pytest.mark.parametrize("failure", ["503", "exception"])
@pytest.mark.parametrize("from_response", [True, False], ids=["the response says it", "the option says it"])
def test_a_stale_page_is_sent_if_the_application_fails(make, origin, clock, failure, from_response, caplog):
    if from_response:
        origin.headers = [("Cache-Control", "max-age=60, stale-if-error=30")]
    get = make(**({} if from_response else {"stale_if_error_seconds": 30}))
    get()
    clock.pass_seconds(70)
    if failure == "503":
        origin.status = "503 Service Unavailable"
    else:
        origin.error = LookupError("database")
    answer = get()
    assert (answer.code, answer.body) == (200, b"1")
    assert ("LookupError" in caplog.text) is (failure == "exception")
    clock.pass_seconds(30)
    if failure == "503":
        assert get().code == 503
    else:
        with pytest.raises(LookupError):
            get()


# ---------------------------------------------------------------------- invalidation and purging


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH"])
def test_an_unsafe_request_that_succeeds_removes_the_page(make, origin, method):
    """cache-tests: invalidate-*."""
    get = partial(make(), checked=method.isalpha())
    get()
    origin.status = "500 Internal Server Error"
    get(method=method)
    origin.status = "200 OK"
    assert get().body == b"1"
    get(method=method)
    assert get().body == b"4"


@pytest.mark.parametrize("name", ["Location", "Content-Location"])
@pytest.mark.parametrize(
    ("target", "is_removed"),
    [("/other", True), ("other?a", False), ("http://example.com/other", True), ("http://evil.example/other", False)],
)
def test_the_pages_that_its_response_names_are_removed_too(make, origin, name, target, is_removed):
    get = make()
    get("/other")
    origin.headers = [(name, target)]
    get("/", method="POST")
    assert (get("/other").body != b"1") is is_removed


def test_pages_are_purged_by_tag_and_by_path(make, origin):
    origin.headers += [("Cache-Tag", "news, front page-1")]
    get = make()
    get("/a"), get("/a", HTTP_HOST="b.example")
    origin.headers = [("Cache-Control", "max-age=60"), ("Cache-Tag", "shop")]
    get("/shop/1"), get("/b")
    assert get.layer.purge("nothing") == 0
    assert get.layer.purge("news") == 2
    assert (get("/a").body, get("/shop/1").body) == (b"5", b"3")
    assert get.layer.purge_prefix("/shop") == 1
    assert (get("/shop/1").body, get("/b").body) == (b"6", b"4")


@pytest.mark.parametrize("purge", ["tag", "prefix", "post"])
def test_a_purge_reaches_a_response_on_its_way(make, purge):
    get = None

    def app(environ, start_response):
        app.calls += 1
        body = [b"%d" % app.calls]
        if environ["REQUEST_METHOD"] == "GET" and app.calls == 1:  # the page was read, and changes now
            if purge == "tag":
                get.layer.purge("a")
            elif purge == "prefix":
                get.layer.purge_prefix("/")
            else:
                get(method="POST")
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=9"), ("Cache-Tag", "a")])
        return body

    app.calls = 0
    get = make(app)
    get()
    assert get().body != b"1"


# ---------------------------------------------------------------------- bodies


def test_a_stream_is_stored_at_its_end(make, origin):
    steps = []

    def stream():
        for number in range(3):
            steps.append(number)
            yield b"%d" % number

    origin.body = stream
    get = make()
    body = get.stack(make_environ(), lambda *given: None)
    iterator = iter(body)
    assert (next(iterator), steps) == (b"0", [0])
    assert get.layer.store.load(("http", "example.com", "", "/", ""), {}) is None
    assert b"".join(iterator) == b"12"
    body.close()
    assert (get().body, origin.calls) == (b"012", 1)


def test_a_stream_that_breaks_off_or_is_too_short_is_not_stored(make, origin):
    def short():
        yield b"a"
        yield b"b"

    origin.headers += [("Content-Length", "3")]
    origin.body = short
    get = make()
    call(get.stack, checked=False)
    call(get.stack, checked=False)
    assert origin.calls == 2

    def broken():
        yield b"a"
        yield b"b"
        raise LookupError

    origin.headers.pop()
    origin.body = broken
    for _ in range(2):
        with pytest.raises(LookupError):
            get("/broken")
    assert origin.calls == 4


def test_a_page_that_is_too_large_is_not_stored(make, origin):
    get = make(max_entry_bytes=10)
    for path, body, calls in [("/a", [b"x" * 10], 1), ("/b", [b"x" * 11], 2), ("/c", iter, 2)]:
        origin.calls = 0
        origin.body = (lambda body=body: body) if body is not iter else lambda: iter([b"x" * 6, b"y" * 6])
        get(path)
        assert len(get(path).body) == (12 if body is iter else len(body[0]))
        assert origin.calls == calls


def test_what_is_written_passes(make):
    def app(environ, start_response):
        app.calls += 1
        write = start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
        write(b"a")
        return [b"b"]

    app.calls = 0
    get = make(app)
    answer = get()
    assert (answer.written, answer.body) == ([b"a"], b"b")
    get()
    assert app.calls == 2


# ---------------------------------------------------------------------- policy


def test_a_view_sets_its_time(clock):
    router = Router("timed")
    calls = []

    @router.get("/")
    @policy(cache=60)
    def page():
        calls.append(1)
        return str(len(calls))

    @router.get("/own")
    @policy(cache="5m")
    def own():
        return "own", 200, {"Cache-Control": "no-store"}

    @router.get("/never")
    @policy(cache=False)
    def never():
        calls.append(1)
        return "never", 200, {"Cache-Control": "max-age=60"}

    @router.get("/user")
    @policy(cache=60)
    def user():
        from wsgikit import session

        calls.append(session.get("name"))
        return "user"

    stack = build_stack(router, use(ContextMiddleware), use(CacheMiddleware), use(SessionMiddleware, secret_key=SECRET))
    first = call(stack)
    assert (first.body, first["Cache-Control"]) == (b"1", "max-age=60")
    assert (call(stack).body, call(stack)["Cache-Control"]) == (b"1", "max-age=60")
    clock.pass_seconds(60)
    assert call(stack).body == b"2"
    assert call(stack, "/own")["Cache-Control"] == "no-store"
    for path in ("/never", "/user"):
        before = len(calls)
        answers = [call(stack, path) for _ in range(2)]
        assert len(calls) == before + 2
    assert answers[0]["Cache-Control"] == "private, max-age=60"


# ---------------------------------------------------------------------- options


BAD = [
    {"store": "memory"},
    {"store": "mysql://"},
    {"store": 5},
    {"store": "redis://:secret@127.0.0.1:port/0"},
    {"max_entry_bytes": 0},
    {"max_entry_bytes": "much"},
    {"max_bytes": -1},
    {"default_seconds": -1},
    {"stale_while_revalidate_seconds": -1},
    {"stale_if_error_seconds": "long"},
    {"key_headers": "Accept"},
    {"key_headers": ["A B"]},
    {"tags_header": ""},
]


@pytest.mark.parametrize("options", BAD, ids=str)
def test_a_bad_option_is_refused(options):
    (name,) = options
    with pytest.raises(ConfigurationError, match=f"^CacheMiddleware: {name}: expected ") as error:
        CacheMiddleware(Origin(), **options)
    assert "secret" not in str(error.value)


def test_the_memory_is_bounded_and_keeps_what_is_used(make, origin):
    origin.body = lambda: [b"x" * 10_000]
    get = make(max_bytes="100KiB")
    get("/used")
    for number in range(50):
        get(f"/{number}")
        get("/used")
    assert origin.calls == 51
    store = get.layer.store
    assert isinstance(store, MemoryCache)
    assert store.bytes_stored <= 102_400
    assert 5 <= len(store) <= 10
    store.close()
    assert (store.bytes_stored, len(store)) == (0, 0)


def test_a_page_has_a_bounded_number_of_variants(make, origin):
    origin.headers += [("Vary", "Cookie")]
    get = make()
    for number in range(200):
        get(HTTP_COOKIE=f"a={number}")
    assert len(get.layer.store) == 1
    assert get(HTTP_COOKIE="a=199").body == b"200"
    assert get(HTTP_COOKIE="a=0").body == b"201"


def test_it_conforms():
    assert_conforms(CacheMiddleware)
    assert_conforms(lambda app: CacheMiddleware(app, default_seconds=60))


def test_other_methods_pass_untouched(make, origin, caplog):
    caplog.set_level(logging.DEBUG)
    get = make()
    origin.headers = [("X-A", "1"), ("x-a", "2")]
    for method in ("POST", "OPTIONS", "QUERY"):
        answer = get(method=method, checked=method != "QUERY")
        assert list(answer.headers) == [("Content-Type", "text/plain"), ("X-A", "1"), ("x-a", "2")]


def test_a_page_for_which_a_user_was_found_is_not_shared():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
        return [environ.get("REMOTE_USER", "nobody").encode()]

    scheme = Basic(verify=lambda user, password: user if password == "x" else None)
    stack = build_stack(app, use(CacheMiddleware), use(AuthenticationMiddleware, schemes=[scheme]))
    for _ in range(2):
        for name in ("ada", "bob"):
            token = b64encode(f"{name}:x".encode()).decode()
            assert call(stack, HTTP_AUTHORIZATION=f"Basic {token}").body == name.encode()
        assert call(stack).body == b"nobody"
