"""What `wsgikit show` may print of an option."""

from __future__ import annotations

from functools import partial

import pytest

from wsgikit.options import is_secret, mask
from wsgikit.options.masking import hide_credentials


class Plain:
    """Has the repr that Python gives it."""


class Broken:
    def __repr__(self) -> str:
        raise ValueError("no repr")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("secret_key", "hunter2", "***"),
        ("secret_key", b"hunter2", "***"),
        ("secret_key", ["new", "old"], "[***, ***]"),
        ("secret_keys", ("new", "old"), "[***, ***]"),
        ("api_token", "x", "***"),
        ("password", "x", "***"),
        ("smtp_password", "x", "***"),
        ("smtpPassword", "x", "***"),
        ("x-api-key", "x", "***"),
        ("credentials", ("a", "b"), "[***, ***]"),
        ("dsn", "host=a", "***"),
        ("encryption_salt", "x", "***"),
        ("secret", 1234, "***"),
        ("secret_key", None, "None"),
        ("encrypt_keys", True, "True"),
        ("key", partial, "functools.partial"),
        ("key", len, "len"),
        ("environ_key", "wsgikit.session", "'wsgikit.session'"),
        ("cookie_name", "session", "'session'"),
        ("session.key", "my_cookie", "'my_cookie'"),
        ("beaker.session.key", "my_cookie", "'my_cookie'"),
        ("session_key", "hunter2", "***"),
        ("session.validate_key", "hunter2", "***"),
        ("token_header", "X-CSRF-Token", "'X-CSRF-Token'"),
        ("secret_bytes", 32, "32"),
        ("password_file", "/run/secrets/db", "'/run/secrets/db'"),
        ("idle_timeout_seconds", 60, "60"),
        ("url", "postgresql+psycopg://me:hunter2@db/x", "'postgresql+psycopg://me:***@db/x'"),
        ("url", "redis://:hunter2@cache:6379/0", "'redis://:***@cache:6379/0'"),
        ("url", "mysql://me:hunter@2@db/x", "'mysql://me:***@db/x'"),
        ("url", "postgresql://db/x?user=me&password=hunter2&ssl=1", "'postgresql://db/x?user=me&password=***&ssl=1'"),
        ("url", "http://example.com/a@b:c", "'http://example.com/a@b:c'"),
        ("conninfo", "host=db password='hunter 2' user=me", '"host=db password=*** user=me"'),
        ("conninfo", "host=db password=hunter\\ 2 user=me", "'host=db password=*** user=me'"),
        ("url", "redis://:hunter/2@cache:6379/0", "'redis://:***@cache:6379/0'"),
        ("url", "https://cdn.example.com:8443/@scope/x", "'https://cdn.example.com:8443/@scope/x'"),
        ("urls", ["redis://:hunter2@a", "amqp://me:hunter2@b"], "['redis://:***@a', 'amqp://me:***@b']"),
        ("header", ("Authorization", "Bearer hunter2hunter2"), "('Authorization', 'Bearer ***')"),
        ("session_cookie", "sid", "'sid'"),
        ("urls", ["redis://:hunter2@a", "redis://b"], "['redis://:***@a', 'redis://b']"),
        ("connect_args", {"password": "hunter2", "timeout": 5}, "{'password': ***, 'timeout': 5}"),
        ("store", Plain(), "<test_options_mask.Plain object>"),
        ("store", Broken(), "<Broken>"),
        ("view", Broken.__repr__, "test_options_mask.Broken.__repr__"),
        ("wrap", partial(print, sep="-", api_key="hunter2"), "partial(print, sep='-', api_key=***)"),
        ("hosts", {"b", "a"}, "{'a', 'b'}"),
        ("hosts", set(), "set()"),
        ("pair", ("a",), "('a',)"),
        ("text", "x" * 500, "'" + "x" * 198 + "…"),
    ],
)
def test_a_value_is_shown_without_what_is_secret(name, value, shown):
    made = mask(name, value).replace(f"{__name__}.", "test_options_mask.")
    assert made == shown
    assert "hunter" not in made


def test_two_descriptions_of_one_object_are_the_same():
    assert mask("store", Plain()) == mask("store", Plain())


def test_an_unnamed_secret_is_told_by_its_name_only():
    assert [is_secret(name) for name in ("", "_", "key", "keyboard", "monkey", "tokenizer")] == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("Basic authentication is off", "Basic authentication is off"),
        ("bearer authentication failed", "bearer authentication failed"),
        ("Bearer a1b2c3d4", "Bearer ***"),
        ("the password was hunter2", "the password was ***"),
        ("the password is wrong", "the password is wrong"),
        ("SessionMiddleware: cookie: expected a str", "SessionMiddleware: cookie: expected a str"),
        ("-----BEGIN PRIVATE KEY-----\na\n-----END PRIVATE KEY-----\nrest", "-----BEGIN PRIVATE KEY-----***\n\n\nrest"),
        ("[parameters: ('a', 'x]y')]\n(more)", "[parameters: ***]\n(more)"),
        ("Duplicate entry 'a' for key 'b'", "Duplicate entry *** for key 'b'"),
        ("token ghp_0123456789abcdefghijklmn", "token ***"),
    ],
)
def test_credentials_in_words_are_hidden_by_their_form(text, shown):
    assert hide_credentials(text) == shown
