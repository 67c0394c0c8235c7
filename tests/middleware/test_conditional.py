"""Conditional requests and ranges of any application."""

from __future__ import annotations

import io
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import flask
import pytest
from werkzeug.test import Client as WerkzeugClient
from werkzeug.wrappers import Response

from wsgikit import (
    CompressionMiddleware,
    ConditionalMiddleware,
    ErrorPagesMiddleware,
    StaticMiddleware,
    build_stack,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.testing import assert_conforms

BODY = b"0123456789"


class Client(WerkzeugClient):
    """Reads and closes each response at once."""

    def open(self, *args, **kwargs):
        return super().open(*args, buffered=True, **kwargs)


def page(body=BODY, status="200 OK", headers=()):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return app


def client(app=None, **options):
    return Client(validator(ConditionalMiddleware(app or page(), **options)))


def test_a_body_at_rest_gets_a_strong_tag_that_is_recognised():
    etag = client().get("/").headers["ETag"]
    assert etag.startswith('"')
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        response = client().get("/", headers={"If-None-Match": given})
        assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", etag)
    assert client(page(b"other")).get("/", headers={"If-None-Match": etag}).status_code == 200


def test_a_304_keeps_what_caches_update_and_nothing_about_the_content():
    kept = [
        *(("Cache-Control", "max-age=5"), ("Vary", "Cookie"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")),
        *(("Expires", "Sat, 29 Oct 1994 19:43:31 GMT"), ("Content-Location", "/a"), ("ETag", '"a"')),
        *(("Last-Modified", "Sat, 29 Oct 1994 19:43:31 GMT"), ("Content-Security-Policy", "default-src 'self'")),
    ]
    about = [
        *(("Content-Length", "10"), ("Content-Language", "de"), ("Content-Disposition", "inline")),
        ("Accept-Ranges", "bytes"),
    ]
    response = client(page(headers=[*kept, *about])).get("/", headers={"If-None-Match": '"a"'})
    assert response.status_code == 304
    assert list(response.headers) == kept


DATE = "Sat, 29 Oct 1994 19:43:31 GMT"
VALIDATED = {
    "same date": ({"If-Modified-Since": DATE}, 304),
    "later date": ({"If-Modified-Since": "Sun, 30 Oct 1994 19:43:31 GMT"}, 304),
    "earlier date": ({"If-Modified-Since": "Fri, 28 Oct 1994 19:43:31 GMT"}, 200),
    "tag goes first": ({"If-None-Match": '"b"', "If-Modified-Since": DATE}, 200),
    "match": ({"If-Match": '"a"'}, 200),
    "match star": ({"If-Match": "*"}, 200),
    "match another": ({"If-Match": '"b"'}, 412),
    "match weak": ({"If-Match": 'W/"a"'}, 412),
    "unmodified since": ({"If-Unmodified-Since": "Fri, 28 Oct 1994 19:43:31 GMT"}, 412),
    "range": ({"Range": "bytes=0-1"}, 206),
    "range unless changed": ({"Range": "bytes=0-1", "If-Range": '"b"'}, 200),
}


@pytest.mark.parametrize(("headers", "status"), VALIDATED.values(), ids=VALIDATED.keys())
def test_the_validators_of_the_application_are_used(headers, status):
    app = page(headers=[("ETag", '"a"'), ("Last-Modified", DATE)])
    assert client(app).get("/", headers=headers).status_code == status


UNTAGGED = {
    "has a tag": page(headers=[("ETag", 'W/"a"')]),
    "has a date": page(headers=[("Last-Modified", DATE)]),
    "no-store": page(headers=[("Cache-Control", "private, no-store")]),
    "an error": page(status="404 Not Found"),
    "created": page(status="201 Created"),
    "empty": page(b""),
    "large": page(b"x" * 2_000_000),
}


@pytest.mark.parametrize("app", UNTAGGED.values(), ids=UNTAGGED.keys())
def test_a_response_gets_no_tag(app):
    plain = Client(app).get("/")
    response = client(app).get("/")
    assert list(response.headers) == list(plain.headers)
    assert response.data == plain.data


def test_tags_and_ranges_can_be_left_out():
    response = client(etag=False, ranges=False).get("/", headers={"Range": "bytes=0-1"})
    assert (response.status_code, response.data) == (200, BODY)
    assert "ETag" not in response.headers
    assert "ETag" not in client(page(b"x" * 11), max_etag_bytes=10).get("/").headers
    assert "ETag" in client(page(b"x" * 2000), max_etag_bytes="2KiB").get("/").headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_unsafe_methods_pass(method):
    headers = {"If-Match": '"x"', "If-None-Match": "*", "Range": "bytes=0-1"}
    response = client().open("/", method=method, headers=headers)
    assert (response.status_code, response.data) == (200, BODY)
    assert "ETag" not in response.headers


RANGES = {
    "first": ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
    "last": ("bytes=-1", 206, b"9", "bytes 9-9/10"),
    "from": ("bytes=7-", 206, b"789", "bytes 7-9/10"),
    "longer than the body": ("bytes=-100", 206, BODY, "bytes 0-9/10"),
    "behind the end": ("bytes=10-", 416, None, "bytes */10"),
    "another unit": ("items=0-3", 200, BODY, None),
    "nonsense": ("bytes=a-b", 200, BODY, None),
    "overlapping": ("bytes=0-4,3-6", 206, b"0123456", "bytes 0-6/10"),
}


def of_file(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10")])
    return environ.get("wsgi.file_wrapper", FileWrapper)(open(environ["file"], "rb"))


@pytest.mark.parametrize(("given", "status", "body", "content_range"), RANGES.values(), ids=RANGES.keys())
@pytest.mark.parametrize("kind", ["list", "file"])
def test_ranges_of_bodies_at_rest_and_of_files(tmp_path, kind, given, status, body, content_range):
    (tmp_path / "a.txt").write_bytes(BODY)
    extra = {"wsgi.file_wrapper": FileWrapper, "file": str(tmp_path / "a.txt")}
    app = ConditionalMiddleware(page() if kind == "list" else of_file)
    response = Client(app).get("/", headers={"Range": given}, environ_overrides=extra)
    assert response.status_code == status
    assert body is None or response.data == body
    assert response.headers.get("Content-Range") == content_range
    assert status != 206 or response.headers["Content-Length"] == str(len(response.data))


def test_several_ranges_are_sent_as_multipart():
    response = client().get("/", headers={"Range": "bytes=0-1,-2"})
    assert response.status_code == 206
    assert response.headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert b"Content-Range: bytes 8-9/10\r\n\r\n89\r\n" in response.data
    assert response.headers["Content-Length"] == str(len(response.data))


def test_a_stream_stays_a_stream():
    produced = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        for chunk in (b"ab", b"cd"):
            produced.append(chunk)
            yield chunk

    heads = []
    environ = {"REQUEST_METHOD": "GET", "HTTP_RANGE": "bytes=0-1", "HTTP_IF_NONE_MATCH": "*"}
    body = ConditionalMiddleware(app)({**environ, "HTTP_IF_NONE_MATCH": '"x"'}, lambda *head: heads.append(head))
    iterator = iter(body)
    assert next(iterator) == b"ab"
    assert produced == [b"ab"]
    assert list(iterator) == [b"cd"]
    body.close()
    assert heads[0][0] == "200 OK"
    assert "ETag" not in dict(heads[0][1])


def test_a_stream_of_one_chunk_without_a_length_gets_no_tag():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield BODY

    assert "ETag" not in client(app).get("/").headers


def test_the_ordinary_response_of_flask_gets_a_tag():
    app = flask.Flask("site")
    app.add_url_rule("/", "home", lambda: "Hello")
    etag = client(app).get("/").headers["ETag"]
    assert client(app).get("/", headers={"If-None-Match": etag}).status_code == 304


def test_the_close_of_a_lazy_body_runs_once():
    closed = []
    response = Response("Hello")
    response.call_on_close(lambda: closed.append(1))
    assert client(response).get("/").headers["ETag"]
    assert closed == [1]


def test_an_error_of_the_first_chunk_still_becomes_a_page():
    class Body:
        def __iter__(self):
            return self

        def __next__(self):
            raise ValueError("broken")

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return Body()

    stack = build_stack(app, use(ErrorPagesMiddleware), use(ConditionalMiddleware))
    assert Client(stack).get("/").status_code == 500


# ---------------------------------------------------------------------- the order of the group


@pytest.fixture
def group(tmp_path):
    (tmp_path / "app.js").write_text("x" * 2000)
    (tmp_path / "app.js.gz").write_bytes(b"packed")
    app = page(b"a text that is repeated. " * 100)
    return Client(
        build_stack(app, use(StaticMiddleware, root=tmp_path), use(CompressionMiddleware), use(ConditionalMiddleware))
    )


def test_a_304_comes_after_compression(group):
    packed = group.get("/", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    etag = packed.headers["ETag"]
    assert etag.startswith("W/")
    response = group.get("/", headers={"Accept-Encoding": "gzip", "If-None-Match": etag})
    assert (response.status_code, response.headers["ETag"]) == (304, etag)
    assert response.headers["Vary"] == "Accept-Encoding"


def test_ranges_are_of_the_plain_bytes(group):
    plain = group.get("/")
    etag = plain.headers["ETag"]
    part = group.get("/", headers={"Accept-Encoding": "gzip", "Range": "bytes=2-5", "If-Range": etag})
    assert (part.status_code, part.data, part.headers["ETag"]) == (206, plain.data[2:6], etag)
    assert "Content-Encoding" not in part.headers
    weak = group.get("/", headers={"Accept-Encoding": "gzip", "Range": "bytes=2-5", "If-Range": f"W/{etag}"})
    assert (weak.status_code, weak.headers["Content-Encoding"]) == (200, "gzip")


def test_static_files_go_their_own_way(group):
    packed = group.get("/static/app.js", headers={"Accept-Encoding": "gzip"})
    assert (packed.data, packed.headers["Content-Encoding"]) == (b"packed", "gzip")
    etag = packed.headers["ETag"]
    again = group.get("/static/app.js", headers={"Accept-Encoding": "gzip", "If-None-Match": etag})
    assert (again.status_code, again.headers["ETag"]) == (304, etag)


WRONG = {
    "etag": ({"etag": "weak"}, "etag: expected True or False"),
    "ranges": ({"ranges": 1}, "ranges: expected True or False"),
    "size": ({"max_etag_bytes": "much"}, "max_etag_bytes: expected a size"),
}


@pytest.mark.parametrize(("options", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_option_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match=text):
        build_stack(page(), use(ConditionalMiddleware, **options))


def test_the_layer_conforms():
    assert_conforms(ConditionalMiddleware)


def test_an_empty_answer_to_head_gets_no_tag():
    assert "ETag" not in client().head("/").headers


def test_bytes_in_memory_behind_a_file_wrapper_are_sent_whole():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](io.BytesIO(BODY))

    response = Client(ConditionalMiddleware(app)).get(
        "/", headers={"Range": "bytes=0-1"}, environ_overrides={"wsgi.file_wrapper": FileWrapper}
    )
    assert (response.status_code, response.data) == (200, BODY)
