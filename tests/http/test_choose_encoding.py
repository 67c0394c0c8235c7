"""The content coding that an Accept-Encoding header prefers."""

from __future__ import annotations

import pytest

from wsgikit.http.accept import choose_encoding

OFFERED = ("zstd", "br", "gzip")

# Those marked Rack are of github.com/rack/rack, test/spec_utils.rb, "select_best_encoding" and its neighbours.
CASES = {
    None: "identity",
    "": "identity",
    "gzip": "gzip",
    "GZip": "gzip",
    "x-gzip": "gzip",
    "deflate": "identity",
    "gzip, br": "br",
    "gzip, deflate, br, zstd": "zstd",
    "gzip;q=1.0, br;q=0.5": "gzip",
    "gzip; q=0.5, br ;q=0.4": "gzip",
    "gzip;q=0": "identity",
    "gzip;q=0.000, identity": "identity",
    "gzip;q=0, *": "zstd",
    "*": "zstd",
    "*;q=0.1": "zstd",
    "*;q=0": None,
    "*;q=0, identity": "identity",
    "*;q=0, gzip": "gzip",
    "identity": "identity",
    "identity;q=0": None,
    "identity;q=0, deflate": None,
    "identity;q=0, br;q=0.1": "br",
    "identity, gzip;q=0.5": "identity",
    "identity;q=0.5, gzip;q=0.5": "gzip",
    "identity;q=0.2, *;q=0": "identity",  # Rack
    "compress;q=0.5, gzip;q=1.0": "gzip",  # Rack
    "gzip;q=nonsense": "identity",
    "gzip;q=2": "identity",
    "br;q=0.9;q=0, gzip;q=0.8": "gzip",
}


@pytest.mark.parametrize(("header", "expected"), CASES.items(), ids=map(repr, CASES))
def test_the_best_acceptable_coding_is_chosen(header, expected):
    assert choose_encoding(header, OFFERED) == expected


def test_the_order_of_what_is_offered_decides_between_equals():
    assert choose_encoding("zstd, br, gzip", ("gzip", "br")) == "gzip"
    assert choose_encoding("gzip", ()) == "identity"
