"""Files as responses, and which files of a folder visitors may have."""

from __future__ import annotations

import io
import os
from wsgiref.util import setup_testing_defaults

import pytest
from werkzeug.exceptions import NotFound

from wsgikit.http.files import FileAnswer, content_disposition, send_from_folder
from wsgikit.http.folders import find_file, find_siblings, is_public_path, walk_files
from wsgikit.http.representation import content_type_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "root" / "css").mkdir(parents=True)
    (tmp_path / "root" / ".well-known").mkdir()
    (tmp_path / "root" / ".git").mkdir()
    for name in ["a.txt", "css/site.css", ".env", ".git/config", ".well-known/x", "css/.hidden", "con.txt"]:
        (tmp_path / "root" / name).write_text("0123456789")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "root" / "out.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    (tmp_path / "root" / "in").symlink_to(tmp_path / "root" / "css")
    (tmp_path / "root" / "circle").symlink_to(tmp_path / "root")
    os.utime(tmp_path / "root" / "a.txt", (1_700_000_000.7, 1_700_000_000.7))
    return tmp_path / "root"


def fetch(app, method="GET", **headers):
    environ = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    environ["REQUEST_METHOD"] = method
    setup_testing_defaults(environ)
    heads = []
    body = app(environ, lambda status, headers, exc_info=None: heads.append((status, headers)))
    content = b"".join(body)
    close = getattr(body, "close", None)
    if close is not None:
        close()
    ((status, headers),) = heads
    return int(status[:3]), {name.lower(): value for name, value in headers}, content


PUBLIC = ["a.txt", "a/b.txt", ".well-known/acme", "a..b", "ä", "console.txt", "com.txt", "com10"]
NOT_PUBLIC = [
    *("", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "../a", ".env", "a/.env", "a/.well-known/b", ".well-known"),
    *("a\0", "a\\b", "..\\a", "con", "CON", "nul.txt", "a/Aux/b", "com1", "lpt9.tar.gz", "CON .txt", ".well-known/.a"),
]


@pytest.mark.parametrize("path", PUBLIC)
def test_a_path_is_public(path):
    assert is_public_path(path)


@pytest.mark.parametrize("path", NOT_PUBLIC, ids=repr)
def test_a_path_is_not_public(path):
    assert not is_public_path(path)


@pytest.mark.parametrize(
    "path", ["out.txt", "out/secret.txt", "css", "none", "a.txt/b", "a" * 5000, ".env", "../secret.txt", "a.txt/"]
)
def test_a_file_is_not_found(folder, path):
    assert find_file(str(folder), path) is None


@pytest.mark.parametrize("path", ["a.txt", "css/site.css", "in/site.css", "circle/a.txt", ".well-known/x"])
def test_a_file_is_found(folder, path):
    assert find_file(str(folder), path) == str(folder / path)


def test_only_files_of_the_same_folder_are_compressed_forms(folder, tmp_path):
    file = str(folder / "a.txt")
    (folder / "a.txt.gz").symlink_to(tmp_path / "secret.txt")
    (folder / "a.txt.br").mkdir()
    assert find_siblings(file, 0) == {}
    (folder / "packed").write_bytes(b"packed")
    (folder / "a.txt.zst").symlink_to(folder / "packed")
    assert find_siblings(file, 0) == {"zstd": f"{file}.zst"}


def test_a_folder_that_is_a_symlink_itself_is_served(folder, tmp_path):
    (tmp_path / "current").symlink_to(folder)
    assert find_file(str(tmp_path / "current"), "a.txt")
    assert "a.txt" in dict(walk_files(str(tmp_path / "current")))


def test_a_walk_finds_each_public_file_and_ends(folder):
    found = [path for path, _ in walk_files(str(folder))]
    assert sorted(found) == [".well-known/x", "a.txt", "css/site.css"] or "in/site.css" in found
    assert len(found) == len(set(found))
    assert not {"out.txt", ".env", ".git/config", "css/.hidden", "con.txt", "out/secret.txt"} & set(found)


CONDITIONS = {
    "whole": ({}, 200, b"0123456789"),
    "same tag": ({"if_none_match": "{etag}"}, 304, b""),
    "weak tag": ({"if_none_match": "W/{etag}"}, 304, b""),
    "other tag and same date": ({"if_none_match": '"x"', "if_modified_since": "{date}"}, 200, b"0123456789"),
    "same date": ({"if_modified_since": "{date}"}, 304, b""),
    "match star": ({"if_match": "*"}, 200, b"0123456789"),
    "match another": ({"if_match": '"x"'}, 412, b""),
    "old If-Unmodified-Since": ({"if_unmodified_since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412, b""),
    "range": ({"range": "bytes=2-4"}, 206, b"234"),
    "range of another unit": ({"range": "items=0-3"}, 200, b"0123456789"),
    "suffix longer than the file": ({"range": "bytes=-100"}, 206, b"0123456789"),
    "last byte": ({"range": "bytes=-1"}, 206, b"9"),
    "behind the end": ({"range": "bytes=10-"}, 416, b""),
    "range and the tag": ({"range": "bytes=2-4", "if_range": "{etag}"}, 206, b"234"),
    "range and a weak tag": ({"range": "bytes=2-4", "if_range": "W/{etag}"}, 200, b"0123456789"),
    "range and the date": ({"range": "bytes=2-4", "if_range": "{date}"}, 206, b"234"),
    "range of what is unchanged": ({"range": "bytes=2-4", "if_none_match": "{etag}"}, 304, b""),
    "101 ranges": ({"range": "bytes=" + ",".join(["0-0"] * 101)}, 200, b"0123456789"),
}


@pytest.mark.parametrize(("headers", "status", "body"), CONDITIONS.values(), ids=CONDITIONS.keys())
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_obeys_the_conditions_of_a_request(folder, method, headers, status, body):
    app = send_from_folder(folder, "a.txt")
    first = fetch(app)[1]
    filled = {key: text.format(etag=first["etag"], date=first["last-modified"]) for key, text in headers.items()}
    if method == "HEAD" and status in (206, 416):
        status = 200
    code, head, content = fetch(app, method, **filled)
    assert (code, content) == (status, b"" if method == "HEAD" else body)
    if status == 206:
        assert head["content-length"] == str(len(body))
    if status == 416:
        assert head["content-range"] == "bytes */10"


def test_a_304_has_the_headers_that_a_cache_updates_and_no_others(folder):
    app = send_from_folder(folder, "a.txt")
    first = fetch(app)[1]
    _, head, _ = fetch(app, if_none_match=first["etag"])
    assert head == {name: first[name] for name in ("etag", "last-modified", "cache-control", "x-content-type-options")}


def test_several_ranges_are_sent_as_multipart(folder):
    code, head, body = fetch(send_from_folder(folder, "a.txt"), range="bytes=0-1,-2")
    assert code == 206
    assert head["content-type"].startswith("multipart/byteranges; boundary=")
    assert int(head["content-length"]) == len(body)
    assert b"Content-Range: bytes 8-9/10\r\n\r\n89\r\n" in body


def test_a_file_from_a_visitor_is_never_guessed_to_be_a_page(folder):
    assert fetch(send_from_folder(folder, "a.txt"))[1]["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [".env", ".git/config", "out.txt", "../secret.txt", "a\0", "css", ""])
def test_what_is_not_for_visitors_is_not_found(folder, path):
    with pytest.raises(NotFound):
        send_from_folder(folder, path)


def test_a_compressed_form_is_sent_to_who_accepts_it(folder):
    (folder / "a.txt.br").write_bytes(b"packed")
    app = send_from_folder(folder, "a.txt", precompressed=True)
    code, head, body = fetch(app, accept_encoding="br")
    assert (code, body, head["content-encoding"], head["content-type"]) == (
        *(200, b"packed", "br"),
        "text/plain; charset=utf-8",
    )
    _, plain, body = fetch(app)
    assert body == b"0123456789"
    assert plain["vary"] == head["vary"] == "Accept-Encoding"
    assert plain["etag"] != head["etag"]
    assert fetch(app, accept_encoding="br", range="bytes=0-1", if_range=head["etag"])[2] == b"pa"


def test_a_compressed_form_older_than_its_file_is_not_sent(folder):
    (folder / "a.txt.br").write_bytes(b"packed")
    os.utime(folder / "a.txt.br", (1_600_000_000, 1_600_000_000))
    assert fetch(send_from_folder(folder, "a.txt", precompressed=True), accept_encoding="br")[2] == b"0123456789"


TIMES = {"before 1970": -10, "far": 2**40, "zero": 0}


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES.keys())
def test_a_file_of_any_time_is_sent(folder, time):
    try:
        os.utime(folder / "a.txt", (time, time))
    except OSError:
        pytest.skip("the file system has no such time")
    code, head, _ = fetch(send_from_folder(folder, "a.txt"))
    assert code == 200
    assert time == 2**40 or ("last-modified" in head) is (time >= 0)  # file systems cut off what is far


def test_ranges_of_an_open_file_begin_at_its_position():
    file = io.BytesIO(b"--0123456789")
    file.seek(2)
    code, head, body = fetch(FileAnswer(file), range="bytes=2-4")
    assert (code, head["content-range"], body) == (206, "bytes 2-4/10", b"234")
    assert file.closed


def test_an_open_file_is_closed_if_it_is_not_sent():
    file = io.BytesIO(b"0123456789")
    assert fetch(FileAnswer(file, etag="v1"), if_none_match='"v1"')[0] == 304
    assert file.closed


def test_an_object_that_can_only_be_read_is_sent():
    class Source:
        def __init__(self):
            self.chunks = [b"a", b"b", b""]

        def read(self, size=-1):
            return self.chunks.pop(0)

    assert fetch(FileAnswer(Source()), range="bytes=0-0")[2] == b"ab"
    assert fetch(FileAnswer(Source()), "HEAD")[0] == 200


KINDS = {
    "a.css": "text/css; charset=utf-8",
    "a.js": "text/javascript; charset=utf-8",
    "A.MJS": "text/javascript; charset=utf-8",
    "a.svg": "image/svg+xml; charset=utf-8",
    "a.woff2": "font/woff2",
    "a.wasm": "application/wasm",
    "a.tar.gz": "application/gzip",
    "a.json": "application/json",
    "a.unknown-": "application/octet-stream",
    "a": "application/octet-stream",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_media_type_is_that_of_the_name(name, kind):
    assert content_type_of(name) == kind


DISPOSITIONS = {
    "a.txt": "inline; filename=a.txt",
    "a b.txt": 'inline; filename="a b.txt"',
    "中文.txt": "inline; filename=.txt; filename*=UTF-8''%E4%B8%AD%E6%96%87.txt",
    'q"uo\\te.txt': "inline; filename=quote.txt; filename*=UTF-8''q%22uo%5Cte.txt",
    "new\nline.txt": "inline; filename=newline.txt; filename*=UTF-8''new%0Aline.txt",
}


@pytest.mark.parametrize(("name", "value"), DISPOSITIONS.items(), ids=map(ascii, DISPOSITIONS))
def test_the_name_of_a_download_is_sent_in_a_form_that_headers_allow(name, value):
    assert content_disposition("inline", name) == value
