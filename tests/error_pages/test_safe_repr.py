"""A repr that is short, doesn't raise, and names what holds other people's secrets."""

from __future__ import annotations

import os

import pytest

from wsgikit.error_pages.safe_repr import safe_repr


class Broken:
    def __repr__(self):
        raise RuntimeError("no repr")


class Huge:
    def __repr__(self):
        return "x" * 10_000_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param(Broken(), "<Broken: repr() failed with RuntimeError>", id="broken"),
        pytest.param([Broken(), 1], "[<Broken: repr() failed with RuntimeError>, 1]", id="broken inside"),
        pytest.param(list(range(10**6)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, … (1000000 in all)]", id="long list"),
        pytest.param({"password": "hush", "a": 1}, "{'password': ••••••, 'a': 1}", id="secret key"),
        pytest.param((1,), "(1,)", id="tuple"),
        pytest.param({"wsgi.version": (1, 0), "PATH": "/bin"}, "<WSGI environ with 2 keys>", id="environ"),
        pytest.param(os.environ, "<variables of the process>", id="variables"),
        pytest.param([[[[1]]]], "[[[…]]]", id="deep"),
        pytest.param(set(), "set()", id="empty"),
        pytest.param(10**5000, "<int: repr() failed with ValueError>", id="an int of too many digits"),
    ],
)
def test_reprs_are_safe(value, shown):
    assert safe_repr(value) == shown


def test_huge_reprs_are_cut():
    assert len(safe_repr(Huge())) < 500
    assert len(safe_repr("x" * 10_000_000)) < 500
    loop = []
    loop.append(loop)
    assert safe_repr(loop) == "[[[…]]]"
