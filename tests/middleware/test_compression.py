"""Compression of responses, and decoding of requests."""

from __future__ import annotations

import gzip
import io
import zlib
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsgikit import CompressionMiddleware, ContextMiddleware, Router, build_stack, policy, send_file, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.http import codings
from wsgikit.http.codings import CodingError, TooLongError, compress, decode, load_coding, make_encoder
from wsgikit.middleware.compression import COMPRESSIBLE, is_compressible
from wsgikit.testing import assert_conforms

TEXT = b"All work and no play makes Jack a dull boy. " * 50
zstd = load_coding("zstd")
DECODERS = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": lambda data: zstd.decompress(data)}


def text_app(body=TEXT, content_type="text/plain", status="200 OK", headers=()):
    def app(environ, start_response):
        length = [("Content-Length", str(len(body)))] if body else []
        start_response(status, [*([("Content-Type", content_type)] if content_type else []), *length, *headers])
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else []

    return app


def ask(app, method="GET", accept="gzip", data=b"", checked=True, **keys):
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(data),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **keys,
    }
    if data:
        environ["CONTENT_LENGTH"] = str(len(data))
    if accept is not None:
        environ["HTTP_ACCEPT_ENCODING"] = accept
    heads = []
    body = (validator(app) if checked else app)(environ, lambda *head: heads.append(head) or (lambda data: None))
    chunks = list(body)
    if hasattr(body, "close"):
        body.close()
    headers = {name.lower(): value for name, value in heads[-1][1]}
    return int(heads[-1][0][:3]), headers, chunks


def layer(app, **options):
    return CompressionMiddleware(validator(app), **options)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_body_at_rest_is_compressed_whole(coding):
    status, headers, chunks = ask(layer(text_app()), accept=coding)
    (packed,) = chunks
    assert DECODERS[coding](packed) == TEXT
    assert (status, headers["content-encoding"], headers["vary"]) == (200, coding, "Accept-Encoding")
    assert headers["content-length"] == str(len(packed))


CHOICES = {
    "gzip, deflate, br, zstd": "zstd",
    "gzip;q=1.0, br;q=0.5": "gzip",
    "gzip;q=0": None,
    "*": "zstd",
    "identity, gzip;q=0.5": None,
    "deflate": None,
    "": None,
    None: None,
}


@pytest.mark.parametrize(("accept", "coding"), CHOICES.items(), ids=map(repr, CHOICES))
def test_the_client_chooses_and_vary_is_sent_anyway(accept, coding):
    _, headers, _ = ask(layer(text_app()), accept=accept)
    assert headers.get("content-encoding") == coding
    assert headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accept", ["identity;q=0", "*;q=0", "identity;q=0, deflate"])
def test_a_client_that_accepts_nothing_gets_a_406_for_safe_methods(accept):
    assert ask(layer(text_app()), accept=accept)[0] == 406
    status, headers, chunks = ask(layer(text_app()), "POST", accept=accept)
    assert (status, chunks) == (200, [TEXT])


UNTOUCHED = {
    "an image": text_app(content_type="image/png"),
    "video": text_app(content_type="video/mp4"),
    "no type": text_app(content_type=None, status="204 No Content", body=b""),
    "encoded": text_app(headers=[("Content-Encoding", "br")]),
    "identity": text_app(headers=[("Content-Encoding", "identity")]),
    "no-transform": text_app(headers=[("Cache-Control", "public, No-Transform")]),
    "a range": text_app(status="206 Partial Content", headers=[("Content-Range", "bytes 0-9/10")]),
    "a range of a 200": text_app(headers=[("Content-Range", "bytes 0-9/10")]),
}


@pytest.mark.parametrize("app", UNTOUCHED.values(), ids=UNTOUCHED.keys())
def test_a_response_that_must_not_be_compressed_stays_as_it_is(app):
    assert ask(CompressionMiddleware(app), checked=False) == ask(app, checked=False)


def test_the_smallest_size_is_inclusive():
    assert "content-encoding" in ask(layer(text_app(b"x" * 500)))[1]
    small = ask(layer(text_app(b"x" * 499)))
    assert "content-encoding" not in small[1]
    assert small[1]["vary"] == "Accept-Encoding"


def test_vary_is_merged():
    assert ask(layer(text_app(headers=[("Vary", "Cookie")])))[1]["vary"] == "Cookie, Accept-Encoding"
    assert ask(layer(text_app(headers=[("Vary", "*")])))[1]["vary"] == "*"


def test_a_strong_tag_becomes_weak_and_headers_about_bytes_go():
    about = [("ETag", '"a"'), ("Accept-Ranges", "bytes"), ("Content-MD5", "x"), ("Digest", "y"), ("Repr-Digest", "z")]
    _, headers, _ = ask(layer(text_app(headers=about)))
    assert headers["etag"] == 'W/"a"'
    assert {"accept-ranges", "content-md5", "digest", "repr-digest"}.isdisjoint(headers)
    assert ask(layer(text_app(headers=about)), accept=None)[1]["etag"] == '"a"'


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_head_has_the_head_of_get(coding):
    app = layer(text_app(headers=[("ETag", '"a"')]))
    get, head = ask(app, accept=coding), ask(app, "HEAD", accept=coding)
    assert head[2] == []
    assert head[1] == {name: value for name, value in get[1].items() if name != "content-length"}


def test_equal_bodies_are_equal_bytes():
    for coding in ("gzip", "br", "zstd"):
        assert ask(layer(text_app()), accept=coding)[2] == ask(layer(text_app()), accept=coding)[2]
    assert compress(TEXT, "gzip", 6)[4:8] == b"\0\0\0\0"


TAGS = {
    "the weak form": ('W/"a"', 'W/"a"'),
    "the strong form": ('"a"', '"a"'),
    "both": ('"a", W/"a"', '"a"'),
    "a star": ("*", '"a"'),
}


@pytest.mark.parametrize(("given", "expected"), TAGS.values(), ids=TAGS.keys())
def test_a_304_has_the_tag_that_the_client_knows_and_vary(given, expected):
    def app(environ, start_response):
        start_response("304 Not Modified", [("ETag", '"a"')])
        return []

    _, headers, _ = ask(layer(app), HTTP_IF_NONE_MATCH=given)
    assert headers == {"etag": expected, "vary": "Accept-Encoding"}


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_stream_leaves_chunk_for_chunk(coding):
    produced = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream"), ("ETag", '"a"')])
        for chunk in (b"data: 1\n\n", b"", b"data: 2\n\n"):
            produced.append(chunk)
            yield chunk

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_ACCEPT_ENCODING": coding}
    heads = []
    body = CompressionMiddleware(app)(environ, lambda *head: heads.append(head))
    iterator = iter(body)
    first = next(iterator)
    assert produced == [b"data: 1\n\n"]
    assert decode_part(coding, first) == b"data: 1\n\n"
    assert next(iterator) == b""
    rest = b"".join(iterator)
    assert DECODERS[coding](first + rest) == b"data: 1\n\ndata: 2\n\n"
    body.close()
    headers = dict(heads[0][1])
    assert headers["Content-Encoding"] == coding
    assert headers["ETag"] == 'W/"a"'
    assert "Content-Length" not in headers


def decode_part(coding, data):
    if coding == "gzip":
        return zlib.decompressobj(31).decompress(data)
    return brotli.Decompressor().process(data) if coding == "br" else zstd.ZstdDecompressor().decompress(data)


def test_a_stream_is_closed_and_its_error_is_raised():
    class Body:
        closed = 0

        def __iter__(self):
            yield TEXT
            raise ValueError("broken")

        def close(self):
            self.closed += 1

    body = Body()

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return body

    with pytest.raises(ValueError, match="broken"):
        ask(CompressionMiddleware(app), checked=False)
    assert body.closed == 1


def test_a_file_is_left_to_the_server():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](io.BytesIO(TEXT))

    environ = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": "gzip", "wsgi.file_wrapper": FileWrapper}
    body = CompressionMiddleware(app)(environ, lambda *head: None)
    assert type(body) is FileWrapper
    body.close()


@pytest.mark.parametrize("wants", [True, False])
def test_the_policy_of_a_view_decides(wants, tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT)
    router = Router("site", static_folder=None)
    router.add_url_rule("/", "page", policy(compress=wants)(lambda: send_file(tmp_path / "a.txt")))
    stack = build_stack(router, use(CompressionMiddleware), use(ContextMiddleware))
    _, headers, chunks = ask(stack, checked=False, **{"wsgi.file_wrapper": FileWrapper})
    body = b"".join(chunks)
    if wants:
        assert (headers["content-encoding"], gzip.decompress(body)) == ("gzip", TEXT)
        assert "content-length" not in headers
    else:
        assert body == TEXT
        assert "content-encoding" not in headers


def test_padding_makes_lengths_differ():
    app = layer(text_app(), breach_padding=True)
    bodies = [ask(app, accept="br, gzip")[2][0] for _ in range(20)]
    assert len({len(body) for body in bodies}) > 1
    assert {gzip.decompress(body) for body in bodies} == {TEXT}
    encoder = make_encoder("gzip", 6, is_padded=True)
    assert gzip.decompress(encoder.feed(b"a") + encoder.feed(b"b") + encoder.finish()) == b"ab"


TYPES = {
    "text/html; charset=utf-8": True,
    "TEXT/CSS": True,
    "application/problem+json": True,
    "image/svg+xml": True,
    "text/event-stream": True,
    "image/png": False,
    "application/octet-stream": False,
    "application/gzip": False,
    "application/jsonx": False,
    "": False,
    None: False,
}


@pytest.mark.parametrize(("kind", "expected"), TYPES.items(), ids=map(repr, TYPES))
def test_what_compresses_is_known(kind, expected):
    assert is_compressible(kind, COMPRESSIBLE) is expected


def test_the_types_replace_the_default():
    app = layer(text_app(), types=["application/x-mine"])
    assert "content-encoding" not in ask(app)[1]
    assert (
        "content-encoding" in ask(layer(text_app(content_type="Application/X-Mine"), types=["application/x-mine"]))[1]
    )


def test_levels_and_encodings_are_obeyed():
    fast, best = (layer(text_app(), encodings=["gzip"], levels={"gzip": level}) for level in (0, 9))
    assert len(ask(fast, accept="br, gzip")[2][0]) > len(ask(best, accept="br, gzip")[2][0])


# ---------------------------------------------------------------------- requests


def echo(environ, start_response):
    length = environ.get("CONTENT_LENGTH")
    body = environ["wsgi.input"].read(int(length or 0))
    start_response("200 OK", [("Content-Type", "image/x"), ("X-Coding", environ.get("HTTP_CONTENT_ENCODING", "none"))])
    return [body]


def post(data, coding, **options):
    app = CompressionMiddleware(echo, decode_requests=True, **options)
    status, headers, chunks = ask(app, "POST", data=data, checked=False, HTTP_CONTENT_ENCODING=coding)
    return status, headers, b"".join(chunks)


ENCODED = {
    "gzip": compress(TEXT, "gzip", 6),
    "x-gzip": compress(TEXT, "gzip", 6),
    "deflate": zlib.compress(TEXT),
    "br": compress(TEXT, "br", 4),
    "zstd": compress(TEXT, "zstd", 3),
    "GZIP": compress(TEXT, "gzip", 6),
}


@pytest.mark.parametrize(("coding", "data"), ENCODED.items())
def test_a_request_is_decoded_if_asked_for(coding, data):
    status, headers, body = post(data, coding)
    assert (status, headers["x-coding"], body) == (200, "none", TEXT)


def test_a_request_is_left_alone_by_default():
    app = CompressionMiddleware(echo)
    status, headers, chunks = ask(app, "POST", data=b"x", checked=False, HTTP_CONTENT_ENCODING="gzip")
    assert (status, headers["x-coding"], chunks) == (200, "gzip", [b"x"])


REFUSED = {
    "unknown coding": (b"x", "compress", 415),
    "two codings": (ENCODED["gzip"], "gzip, br", 415),
    "other data": (b"not compressed", "gzip", 400),
    "other data, br": (b"\xff\xff\xff not compressed", "br", 400),
    "other data, zstd": (b"not compressed", "zstd", 400),
    "cut off": (ENCODED["gzip"][:-9], "gzip", 400),
    "cut off, br": (ENCODED["br"][:-3], "br", 400),
    "cut off, zstd": (ENCODED["zstd"][:-3], "zstd", 400),
    "more behind it": (ENCODED["gzip"] + b"more", "gzip", 400),
    "gzip bomb": (compress(bytes(4_000_000), "gzip", 9), "gzip", 413),
    "br bomb": (compress(bytes(4_000_000), "br", 9), "br", 413),
    "zstd bomb": (compress(bytes(4_000_000), "zstd", 9), "zstd", 413),
}


@pytest.mark.parametrize(("data", "coding", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_a_request_that_cannot_be_decoded_is_refused(data, coding, expected):
    assert post(data, coding, max_request_bytes=1_000_000)[0] == expected


def test_a_bomb_is_given_up_after_the_limit():
    for coding in ("gzip", "br", "zstd"):
        sizes = []
        pieces = decode([compress(bytes(50_000_000), coding, 9)], coding, 1_000_000)
        with pytest.raises(TooLongError):
            sizes.extend(map(len, pieces))
        assert max(sizes) <= 262_144
        assert sum(sizes) <= 1_000_000


@given(data=st.binary(max_size=3000), cut=st.integers(0, 3000), coding=st.sampled_from(["gzip", "br", "zstd"]))
def test_what_was_encoded_in_pieces_is_decoded_from_pieces(data, cut, coding):
    encoder = make_encoder(coding, 5)
    packed = encoder.feed(data[:cut]) + encoder.feed(data[cut:]) + encoder.finish()
    assert b"".join(decode([packed[:cut], packed[cut:]], coding, 10_000)) == data


@given(data=st.binary(min_size=1, max_size=200), coding=st.sampled_from(["gzip", "br", "zstd", "deflate"]))
def test_any_bytes_are_decoded_or_refused(data, coding):
    try:
        b"".join(decode([data], coding, 1000))
    except (CodingError, TooLongError):
        pass


WRONG = {
    "unknown coding": ({"encodings": ["gzp"]}, r"encodings: expected some of zstd, br, gzip, got 'gzp'. Did you mean"),
    "text": ({"encodings": "gzip"}, "encodings: expected a list of codings"),
    "none": ({"encodings": []}, "encodings: expected a list of codings"),
    "size": ({"min_bytes": -1}, "min_bytes: expected a whole number of at least 0"),
    "size in words": ({"min_bytes": "some"}, "min_bytes: expected a size"),
    "types": ({"types": "text/*"}, "types: expected a list of media types"),
    "types without a slash": ({"types": ["html"]}, "types: expected a list of media types"),
    "levels": ({"levels": 6}, "levels: expected a mapping"),
    "level of another": ({"levels": {"deflate": 6}}, "levels: expected keys of"),
    "level too high": ({"levels": {"gzip": 10}}, "levels: expected gzip from 0 to 9, got 10"),
    "decode": ({"decode_requests": "no"}, "decode_requests: expected True or False"),
    "limit": ({"max_request_bytes": 0}, "max_request_bytes: expected a whole number of at least 1"),
    "padding": ({"breach_padding": 1}, "breach_padding: expected True or False"),
    "padding without gzip": ({"breach_padding": True, "encodings": ["br"]}, "breach_padding: expected off, or gzip"),
}


@pytest.mark.parametrize(("options", "text"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_option_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match=text):
        build_stack(text_app(), use(CompressionMiddleware, **options))


def test_a_size_may_be_text():
    assert "content-encoding" not in ask(layer(text_app(), min_bytes="10KiB"))[1]


def test_a_coding_without_its_library_is_left_out_or_named(monkeypatch):
    codings.load_coding.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "brotli", None)
    try:
        with pytest.raises(
            ConfigurationError, match=r"got 'br'. Install it with: pip install 'wsgikit\[compression\]'"
        ):
            CompressionMiddleware(text_app(), encodings=["br"])
        assert ask(layer(text_app()), accept="br, gzip")[1]["content-encoding"] == "gzip"
    finally:
        codings.load_coding.cache_clear()


@pytest.mark.parametrize("accept", ["gzip", "br", "zstd", "identity"])
def test_the_layer_conforms(accept):
    options = {"min_bytes": 0, "types": ["*/*", "text/*", "application/*"]}
    assert_conforms(lambda app: CompressionMiddleware(app, **options))
