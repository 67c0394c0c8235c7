"""Form and language by Accept and Accept-Language."""

from __future__ import annotations

import pytest

from wsgikit.http.accept import choose_encoding, choose_form, choose_language, parse_preferences

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        pytest.param(CHROME, "html", id="browser"),
        pytest.param("*/*", "text", id="curl"),
        pytest.param(None, "text", id="no header"),
        pytest.param("", "text", id="empty header"),
        pytest.param("application/json", "json", id="API client"),
        pytest.param("application/problem+json", "json", id="RFC 9457 by name"),
        pytest.param("application/json, text/plain, */*", "json", id="axios: the one named first"),
        pytest.param("application/json, text/javascript, */*; q=0.01", "json", id="jQuery"),
        pytest.param("text/html;q=0.2, application/json;q=0.9", "json", id="weights decide, not the order"),
        pytest.param("application/json;q=0.2, text/html", "html", id="no weight is a weight of 1"),
        pytest.param("text/html;q=0, */*", "text", id="html refused"),
        pytest.param("text/*", "text", id="any text"),
        pytest.param("application/*", "json", id="any application type"),
        pytest.param(
            "text/*;q=0.5, text/html;q=0.1, application/json;q=0.3", "text", id="the more specific entry counts"
        ),
        pytest.param("image/png", "text", id="nothing that we have"),
        pytest.param("TEXT/HTML ; Q=1.0", "html", id="case and blanks"),
        pytest.param("text/html;level=1;q=0.7, application/json;q=0.8", "json", id="other parameters"),
        pytest.param("text/html;q=nonsense, application/json;q=0.1", "json", id="a weight that can't be read"),
        pytest.param("text/html;q=1e-9, application/json;q=0.1", "json", id="a weight in another notation"),
        pytest.param("text/html;q=2, application/json;q=0.1", "json", id="a weight above 1"),
        pytest.param("text/html;q=.2, application/json;q=0.1", "html", id="a weight as Java writes it"),
        pytest.param("text/html;q=nan, application/json;q=0.1", "json", id="a weight that is no number"),
        pytest.param("application/xhtml+xml", "html", id="xhtml"),
        pytest.param(",;q=1,,", "text", id="noise"),
    ],
)
def test_the_form_follows_the_accept_header(accept, form):
    assert choose_form(accept) == form


@pytest.mark.parametrize(
    ("header", "language"),
    [
        pytest.param(None, "en", id="no header"),
        pytest.param("de", "de", id="one"),
        pytest.param("de-AT, en;q=0.5", "de", id="region falls back to the language"),
        pytest.param("fr;q=0.3, es;q=0.9", "es", id="weights"),
        pytest.param("nl, fr;q=0.5", "fr", id="the first that is there"),
        pytest.param("nl", "en", id="none is there"),
        pytest.param("*", "en", id="any"),
        pytest.param("de;q=0, de-AT", "en", id="refused"),
        pytest.param("zh-Hant-TW, pt-br;q=0.1", "pt-BR", id="case of the region"),
        pytest.param("pt", "en", id="a language is not served by a region of it"),
    ],
)
def test_the_language_follows_the_accept_language_header(header, language):
    assert choose_language(header, ["en", "de", "fr", "es", "pt-BR"], "en") == language


def test_a_header_of_a_hundred_thousand_entries_is_cut():
    assert len(parse_preferences("a/b," * 100_000)) <= 64


ENCODINGS = {
    "no header": (None, "identity"),
    "empty": ("", "identity"),
    "browser": ("gzip, deflate, br, zstd", "zstd"),
    "one": ("gzip", "gzip"),
    "upper case": ("GZIP", "gzip"),
    "the old name": ("x-gzip", "gzip"),
    "unknown": ("deflate", "identity"),
    "weights decide": ("zstd;q=0.5, gzip;q=0.8", "gzip"),
    "equal weights: as offered": ("gzip;q=0.5, br;q=0.5", "br"),
    "any": ("*", "zstd"),
    "any but one": ("*, zstd;q=0", "br"),
    "any at a lower weight": ("gzip, *;q=0.1", "gzip"),
    "refused": ("gzip;q=0", "identity"),
    "refused with zeros": ("gzip;q=0.000", "identity"),
    "identity preferred": ("identity, gzip;q=0.5", "identity"),
    "identity at the same weight": ("identity;q=0.5, gzip;q=0.5", "gzip"),
    "identity only": ("identity", "identity"),
    "identity refused": ("identity;q=0, gzip", "gzip"),
    "only identity refused": ("identity;q=0", None),
    "all refused": ("*;q=0", None),
    "all but identity refused": ("*;q=0, identity;q=0.1", "identity"),
    "all but one refused": ("*;q=0, gzip", "gzip"),
    "unknown, and the rest refused": ("deflate, *;q=0", None),
    "blanks": (" gzip ; q=0.3 ,\tbr ;q=0.2", "gzip"),
    "an invalid weight is no entry": ("gzip;q=x", "identity"),
    "the first of two entries": ("gzip;q=0, gzip", "identity"),
    "noise": (",;,;;q=1,=,gzip", "gzip"),
    "too many entries": ("a," * 500 + "gzip", "identity"),
}


@pytest.mark.parametrize(("header", "chosen"), ENCODINGS.values(), ids=ENCODINGS)
def test_the_coding_follows_the_accept_encoding_header(header, chosen):
    assert choose_encoding(header, ["zstd", "br", "gzip"]) == chosen


def test_no_coding_is_chosen_if_none_is_offered():
    assert choose_encoding("gzip", []) == "identity"
    assert choose_encoding("*;q=0", []) is None
