"""The target of a request, as a redirect writes it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsgikit.http.targets import target_of


@pytest.mark.parametrize(
    ("script", "path", "query", "target"),
    [
        ("", "/", "", "/"),
        ("", "", "", "/"),
        ("/app", "/a b", "", "/app/a%20b"),
        ("", "/caf\xc3\xa9", "q=\xc3\xa9", "/caf%C3%A9?q=%C3%A9"),
        ("", "/a?b#c", "x=1&y=%20%2F&z=a+b", "/a%3Fb%23c?x=1&y=%20%2F&z=a+b"),
        ("", "//evil.example", "", "//evil.example"),
        ("", "/a\r\nX: y", "b\r\nX: y", "/a%0D%0AX:%20y?b%0D%0AX:%20y"),
        ("", "/\u20ac", "", "/%3F"),
        ("", "*", "", "/*"),
    ],
)
def test_path_and_query_are_percent_encoded_once(script, path, query, target):
    assert target_of({"SCRIPT_NAME": script, "PATH_INFO": path, "QUERY_STRING": query}) == target


@settings(max_examples=200, deadline=None)
@given(path=st.text(max_size=20), query=st.text(max_size=20))
def test_no_target_has_a_character_that_a_header_must_not_have(path, query):
    target = target_of({"PATH_INFO": path, "QUERY_STRING": query})
    assert target.startswith("/")
    assert target.isascii()
    assert target.isprintable()
    assert " " not in target
