"""Text becomes typed options, by annotation; what can't be read is refused with the forms that can."""

from __future__ import annotations

import datetime
import decimal
import enum
import inspect
import pathlib
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import pytest

from wsgikit.exceptions import ConfigurationError
from wsgikit.options import describe_options, parse_options

if TYPE_CHECKING:
    from nowhere import Engine, Store  # type: ignore[import-not-found]


class Color(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark blue"


class Shade:
    """Somebody's object."""


SHADE = Shade()


def some_function() -> None:
    """Be named by a dotted name."""


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Let this module be found by its name, whatever pytest imported it as."""
    monkeypatch.setitem(sys.modules, "options_under_test", sys.modules[__name__])


def read(annotation: Any, text: str, name: str = "option", **more: Any) -> Any:
    def made(app, *, option): ...

    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation)
    app = inspect.Parameter("app", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    made.__signature__ = inspect.Signature([app, parameter])  # type: ignore[attr-defined]
    return parse_options(made, {name: text}, "app.ini:3 [filter:x]", **more)[name]


GOOD = [
    # booleans
    *[(bool, word, True) for word in ("yes", "true", "on", "1", "YES", "True", "On", " true ")],
    *[(bool, word, False) for word in ("no", "false", "off", "0", "NO", "False", "Off")],
    # numbers
    (int, "42", 42),
    (int, "-1", -1),
    (int, "10_000", 10_000),
    (float, "0.25", 0.25),
    (float, "3", 3.0),
    (int | float, "3", 3),
    (int | float, "3.5", 3.5),
    (datetime.timedelta, "1h30m", datetime.timedelta(minutes=90)),
    # text
    (str, "some text", "some text"),
    (str, "", ""),
    (str, "none", "none"),
    (str, '""', ""),
    (str, '" kept "', " kept "),
    (str, '""quoted""', '"quoted"'),
    (str, "5% off, 100%", "5% off, 100%"),
    (str, "a\nb", "a\nb"),
    (bytes, "gr\u00fcn", "gr\u00fcn".encode()),
    # none
    (str | None, "", None),
    (str | None, "none", None),
    (str | None, "None", None),
    (str | None, '"none"', "none"),
    (str | None, '""', ""),
    (int | None, "", None),
    (int | None, "7", 7),
    (bool | None, "none", None),
    # unions, whatever their order
    (str | int, "5", 5),
    (int | str, "five", "five"),
    (typing.Union[str, bool], "off", False),  # noqa: UP007 - the older spelling
    (bool | int, "1", 1),
    (bool | int, "yes", True),
    (Literal["auto"] | bool, "auto", "auto"),
    (bool | Literal["auto"], "no", False),
    # words
    (Literal["a", "b"], "b", "b"),
    (Literal["Lax", "Strict", "None"], "lax", "Lax"),
    (Literal["Lax", "Strict", "None"], "none", "None"),
    (Literal["a", None], "none", None),
    (Literal["Lax", "None"] | None, "None", "None"),
    (Literal["Lax", "None"] | None, "none", "None"),
    (Literal["Lax", "None"] | None, "", None),
    (Literal[True, False, "auto"], "yes", True),
    (Literal[1, 2], "2", 2),
    (Color, "red", Color.RED),
    (Color, "DARK_BLUE", Color.DARK_BLUE),
    (Color, "Dark Blue", Color.DARK_BLUE),
    # collections
    (list[str], "a, b,c", ["a", "b", "c"]),
    (list[str], "\na\nb\n", ["a", "b"]),
    (list[str], "a,\nb,", ["a", "b"]),
    (list[str], '"a, b", c', ["a, b", "c"]),
    (list[str], "", []),
    (list[int], "1, 2", [1, 2]),
    (list[int | str], "1, x", [1, "x"]),
    (tuple[str, ...], "a", ("a",)),
    (tuple[int, str], "1, x", (1, "x")),
    (Sequence[str], "a, b", ("a", "b")),
    (Iterable[str], "a, b", ("a", "b")),
    (set[str], "a, b, a", {"a", "b"}),
    (frozenset[int], "1, 2", frozenset({1, 2})),
    (list, "a, b", ["a", "b"]),
    (str | Sequence[str], "one", "one"),
    (str | Sequence[str], "one, two", ("one", "two")),
    (bool | Sequence[str], "a, b", ("a", "b")),
    (bool | Sequence[str], "no", False),
    (Sequence[str] | None, "", None),
    # mappings
    (Mapping[str, str], "a = 1\nb = x = y", {"a": "1", "b": "x = y"}),
    (dict[int, bool], "404 = yes", {404: True}),
    (Mapping[str, Any], 'n = 5\nb = off\ns = "5"', {"n": 5, "b": False, "s": "5"}),
    # others
    (re.Pattern[str], "^/a,b$", re.compile("^/a,b$")),
    (Callable[[], None], "options_under_test:some_function", some_function),
    (Callable[[], None], "options_under_test.some_function", some_function),
    (Callable[[], None] | None, "none", None),
    (Shade, "options_under_test:SHADE", SHADE),
    (type[Shade], "options_under_test:Shade", Shade),
    (str | Shade, "options_under_test:SHADE", SHADE),
    (str | Shade, "example.com", "example.com"),
    (str | Shade, "redis://localhost:6379/0", "redis://localhost:6379/0"),
    (Sequence[Callable[[], None]], "options_under_test:some_function", (some_function,)),
    (Literal["success"] | Callable[[], None], "success", "success"),
    (Any, "plain words", "plain words"),
    (Any, "false", False),
    (Any, "1", 1),
    (Any, "none", None),
    (object, "2.5", 2.5),
    (Any, "options_under_test:SHADE", SHADE),
]


@pytest.mark.parametrize(("annotation", "text", "value"), GOOD, ids=[f"{a}-{t!r}" for a, t, _ in GOOD])
def test_text_becomes_what_the_annotation_says(annotation, text, value):
    made = read(annotation, text)
    assert made == value
    assert type(made) is type(value)


BAD = [
    (bool, "maybe", "yes, no, true, false, on, off, 1 or 0"),
    (bool, "", "yes, no, true, false, on, off, 1 or 0"),
    (bool, "falsee", "yes, no, true, false, on, off, 1 or 0"),
    (int, "3.5", "an integer"),
    (int, "many", "an integer"),
    (float, "nan", "a number"),
    (float, "inf", "a number"),
    (int | None, "x", "an integer or none"),
    (Literal["a", "b", "c"], "d", "a, b or c"),
    (Color, "green", "red or dark blue"),
    (Literal["Lax", "None"] | None, "x", "Lax, None or nothing"),
    (Literal["auto", "never"] | bool, "x", "auto, never, yes, no, true, false, on, off, 1 or 0"),
    (list[int], "1, x", "a list (commas or lines between) of: an integer"),
    (tuple[int, str], "1", "a list (commas or lines between) of: an integer and text"),
    (Mapping[str, int], "a", "lines of name = value, each value an integer"),
    (re.Pattern[str], "(", "a regular expression"),
    (Callable[[], None], "not dotted", "a dotted name (package.module:attribute)"),
    (Callable[[], None], "options_under_test:SHADE", "the dotted name of something that can be called"),
    (type[Shade], "options_under_test:SHADE", "the dotted name of a class"),
    (Shade, "options_under_test:some_function", "the dotted name of an instance of Shade"),
    (datetime.timedelta, "soon", "a duration (90, 15m, 2h, 14d)"),
    (datetime.timedelta, "9999999999d", "a duration (90, 15m, 2h, 14d)"),
]


@pytest.mark.parametrize(("annotation", "text", "expected"), BAD, ids=[f"{a}-{t!r}" for a, t, _ in BAD])
def test_unfit_text_is_refused_with_the_forms_that_fit(annotation, text, expected):
    with pytest.raises(ConfigurationError) as raised:
        read(annotation, text)
    assert str(raised.value) == f"app.ini:3 [filter:x]: option: expected {expected}, got {text!r}."


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("idle_seconds", "90", 90),
        ("idle_seconds", "15m", 900),
        ("idle_seconds", "2h", 7200),
        ("idle_seconds", "14d", 1_209_600),
        ("idle_seconds", "1w", 604_800),
        ("idle_seconds", "1h 30m", 5400),
        ("idle_seconds", "1H30M", 5400),
        ("idle_seconds", "2000ms", 2),
        ("seconds", "1m", 60),
        ("max_bytes", "512", 512),
        ("max_bytes", "10MB", 10_000_000),
        ("max_bytes", "64KiB", 65_536),
        ("max_bytes", "64 kib", 65_536),
        ("max_bytes", "1.5GiB", 1_610_612_736),
        ("max_bytes", "2TB", 2_000_000_000_000),
    ],
)
def test_the_ending_of_a_name_allows_units(name, text, value):
    made = read(int, text, name)
    assert made == value
    assert type(made) is int


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("idle_seconds", "15 minutes"),
        ("idle_seconds", "15m x"),
        pytest.param("idle_seconds", "9" * 400 + "m", id="more seconds than a float holds"),
        pytest.param("max_bytes", "9" * 308 + ".5TB", id="more bytes than a float holds"),
        ("idle_seconds", "m"),
        ("idle_seconds", "1500ms"),
        ("idle_seconds", "10MB"),
        ("max_bytes", "10m2"),
        ("max_bytes", "ten"),
        ("max_bytes", "-1"),
        ("max_bytes", "0.3B"),
        ("count", "15m"),
    ],
)
def test_units_that_do_not_fit_are_refused(name, text):
    with pytest.raises(ConfigurationError, match=f"{name}: expected an? (duration|size|integer)"):
        read(int, text, name)


def test_a_duration_that_may_be_a_fraction_is_a_float():
    assert read(float, "250ms", "slow_seconds") == 0.25
    assert read(float | None, "none", "slow_seconds") is None


def test_a_path_starts_from_the_folder_of_the_file(tmp_path):
    assert read(pathlib.Path, "pages/404.html", here=str(tmp_path)) == tmp_path / "pages" / "404.html"
    assert read(pathlib.Path, "/srv/x", here=str(tmp_path)) == pathlib.Path("/srv/x")


def test_a_secret_with_a_comma_is_one_secret():
    assert read(Sequence[str], "a,b\nc", "secret_key") == ("a,b", "c")
    assert read(str | Sequence[str], "a,b", "secret_key") == "a,b"


def test_a_refused_secret_is_not_in_the_error():
    with pytest.raises(ConfigurationError) as raised:
        read(int, "hunter2", "secret_key")
    assert "hunter2" not in str(raised.value)
    assert str(raised.value) == "app.ini:3 [filter:x]: secret_key: expected an integer, got '***'."


def test_a_refused_url_is_shown_without_its_password():
    with pytest.raises(ConfigurationError) as raised:
        read(int, "redis://:hunter2@cache/0", "store")
    assert str(raised.value) == "app.ini:3 [filter:x]: store: expected an integer, got 'redis://:***@cache/0'."


def test_a_comment_within_a_line_is_pointed_out():
    with pytest.raises(ConfigurationError) as raised:
        read(bool, "false ; for now")
    assert str(raised.value) == (
        "app.ini:3 [filter:x]: option: expected yes, no, true, false, on, off, 1 or 0, got 'false ; for now'. "
        "A comment stands on a line of its own: ';' within a line is part of the value."
    )


# ---------------------------------------------------------------------- env: and file:


def test_env_is_replaced_by_the_variable_and_then_converted(monkeypatch):
    monkeypatch.setenv("APP_SECRET", "s%(here)s%%,x")
    monkeypatch.setenv("APP_DEBUG", "off")
    monkeypatch.setenv("APP_HOSTS", "a, b")
    assert read(str, "env:APP_SECRET") == "s%(here)s%%,x"
    assert read(bool, "env:APP_DEBUG") is False
    assert read(list[str], "env:APP_HOSTS") == ["a", "b"]


def test_a_value_from_the_environment_is_not_resolved_again(monkeypatch):
    monkeypatch.setenv("APP_SECRET", "env:OTHER")
    assert read(str, "env:APP_SECRET") == "env:OTHER"


def test_each_line_of_a_list_may_come_from_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("NEW_KEY", "new,key")
    (tmp_path / "old.key").write_text("old key\n")
    text = "env:NEW_KEY\nfile:old.key"
    assert read(str | Sequence[str], text, "secret_key", here=str(tmp_path)) == ("new,key", "old key")


def test_a_missing_variable_is_an_error_while_building(monkeypatch):
    monkeypatch.delenv("APP_SECRET", raising=False)
    monkeypatch.setenv("APP_SECRETS", "x")
    with pytest.raises(ConfigurationError) as raised:
        read(str, "env:APP_SECRET", "secret_key")
    assert str(raised.value) == (
        "app.ini:3 [filter:x]: secret_key: expected the environment variable APP_SECRET to be set, got nothing. "
        "Did you mean 'APP_SECRETS'? Make one before the server starts: export APP_SECRET=$(wsgikit secret)"
    )


def test_a_missing_variable_is_not_taken_for_one_of_another_program(monkeypatch):
    monkeypatch.delenv("APP_URL", raising=False)
    monkeypatch.setenv("APP_CURL", "x")
    monkeypatch.setenv("PIP_CERT", "x")
    monkeypatch.setenv("ZIP_URL", "x")
    with pytest.raises(ConfigurationError) as raised:
        read(str, "env:APP_URL", "url")
    assert str(raised.value).endswith(
        " expected the environment variable APP_URL to be set, got nothing. "
        "Did you mean 'APP_CURL'? Set it before the server starts."
    )
    with pytest.raises(ConfigurationError, match=r"got nothing\. Set it before the server starts\.$"):
        read(str, "env:ZAP_CERT", "password")


def test_several_variables_on_one_line_are_refused():
    with pytest.raises(ConfigurationError) as raised:
        read(str | Sequence[str], "env:A, env:B", "secret_key")
    assert str(raised.value) == (
        "app.ini:3 [filter:x]: secret_key: expected env: and the name of one environment variable, "
        "got 'env:A, env:B'. Write several on a line each."
    )


def test_file_is_replaced_by_what_the_file_holds_without_its_last_line_break(tmp_path):
    (tmp_path / "secret").write_text("s3cret \n\n")
    assert read(str, "file:secret", here=str(tmp_path)) == "s3cret \n"
    assert read(str, f"file:{tmp_path}/secret") == "s3cret \n"


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ConfigurationError) as raised:
        read(str, "file:secret", here=str(tmp_path))
    assert str(raised.value) == (
        f"app.ini:3 [filter:x]: option: expected a file that can be read, got '{tmp_path}/secret': "
        "No such file or directory. A relative path starts from the folder of the ini file."
    )


def test_a_file_url_is_text():
    assert read(str, "file:///srv/sessions") == "file:///srv/sessions"


# ---------------------------------------------------------------------- dotted names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "nosuchmodule:x",
            (
                "expected a module that can be imported, got 'nosuchmodule:x': there is no module 'nosuchmodule'. "
                "Install it, or put its folder on PYTHONPATH."
            ),
        ),
        (
            "wsgiref.nothing:x",
            (
                "expected a module that can be imported, got 'wsgiref.nothing:x': "
                "there is no module 'wsgiref.nothing'. Install it, or put its folder on PYTHONPATH."
            ),
        ),
        (
            "wsgiref.util:requst_uri",
            (
                "expected an attribute of wsgiref.util, got 'wsgiref.util:requst_uri': it has no 'requst_uri'. "
                "Did you mean 'request_uri'?"
            ),
        ),
        (
            "wsgiref.util:FileWrapper.nothing_like_it",
            (
                "expected an attribute of wsgiref.util.FileWrapper, got 'wsgiref.util:FileWrapper.nothing_like_it': "
                "it has no 'nothing_like_it'."
            ),
        ),
        (
            "options_broken:x",
            (
                "expected a module that can be imported, got 'options_broken:x': "
                "ZeroDivisionError: division by zero (at options_broken.py:1)."
            ),
        ),
        (
            "options_needy:x",
            (
                "expected a module that can be imported, got 'options_needy:x': "
                "ModuleNotFoundError: No module named 'not_installed' (at options_needy.py:1)."
            ),
        ),
    ],
    ids=["module", "submodule", "attribute", "nested attribute", "import fails", "import needs another"],
)
def test_a_dotted_name_that_leads_nowhere_says_where_it_ends(text, expected, tmp_path, monkeypatch):
    (tmp_path / "options_broken.py").write_text("1 / 0\n")
    (tmp_path / "options_needy.py").write_text("import not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as raised:
        read(Callable[..., Any], text)
    assert str(raised.value) == f"app.ini:3 [filter:x]: option: {expected}"


# ---------------------------------------------------------------------- sections


class Layer:
    def __init__(
        self,
        app: object,
        *,
        secret_key: str,
        idle_timeout_seconds: int = 60,
        cookie_secure: bool | Literal["auto"] = "auto",
    ) -> None: ...


def test_an_unknown_key_names_the_known_ones_and_the_nearest():
    with pytest.raises(ConfigurationError) as raised:
        parse_options(Layer, {"secret_kye": "x"}, lambda key: f"app.ini:12 [filter:session] ({key})")
    assert str(raised.value) == (
        "app.ini:12 [filter:session] (secret_kye): secret_kye: unknown option: expected a known one, "
        "got 'secret_kye'. Did you mean 'secret_key'? All options: secret_key, idle_timeout_seconds, cookie_secure."
    )


def test_a_hint_takes_the_place_of_the_nearest_name():
    with pytest.raises(ConfigurationError, match=r"got 'url'\. It is a key of \[filter:db\]\.$"):
        parse_options(Layer, {"url": "x"}, "here", hint=lambda key: "It is a key of [filter:db]")


def test_a_missing_required_key_is_said_with_its_type():
    with pytest.raises(ConfigurationError) as raised:
        parse_options(Layer, {"cookie_secure": "yes"}, "app.ini:12 [filter:session]")
    assert str(raised.value) == (
        "app.ini:12 [filter:session]: secret_key: expected text, got nothing. Add secret_key = … to the section."
    )


def test_keys_that_begin_with_x_are_ignored():
    assert parse_options(Layer, {"secret_key": "k", "x-note": "for us"}, "here") == {"secret_key": "k"}


def test_keywords_that_no_signature_names_are_what_they_look_like():
    def layer(app, **options): ...

    texts = {
        "pool_size": "5",
        "echo": "true",
        "pool_timeout": "2.5",
        "isolation_level": "AUTOCOMMIT",
        "poolclass": "decimal:Decimal",
    }
    assert parse_options(layer, texts, "here") == {
        "pool_size": 5,
        "echo": True,
        "pool_timeout": 2.5,
        "isolation_level": "AUTOCOMMIT",
        "poolclass": decimal.Decimal,
    }


class PoolOptions(TypedDict, total=False):
    pool_size: int
    pool_pre_ping: bool


def test_unpacked_typed_dictionaries_are_options_of_their_own():
    def layer(app: object, **options: Unpack[PoolOptions]) -> None: ...

    assert [option.name for option in describe_options(layer)] == ["pool_size", "pool_pre_ping"]
    assert parse_options(layer, {"pool_pre_ping": "on"}, "here") == {"pool_pre_ping": True}
    with pytest.raises(ConfigurationError, match="Did you mean 'pool_size'"):
        parse_options(layer, {"pool_sizes": "5"}, "here")


def test_names_that_only_type_checkers_know_are_dotted_names():
    def layer(app: object, *, engine: Engine | None = None, store: str | Store = "cookie") -> None: ...

    assert parse_options(layer, {"engine": "options_under_test:SHADE", "store": "memory://"}, "here") == {
        "engine": SHADE,
        "store": "memory://",
    }


def test_the_docs_and_show_are_made_from_the_signature():
    assert [(o.name, o.words, o.default_text, o.is_required) for o in describe_options(Layer)] == [
        ("secret_key", "text", "", True),
        ("idle_timeout_seconds", "a duration (90, 15m, 2h, 14d)", "60", False),
        ("cookie_secure", "yes, no, true, false, on, off, 1, 0 or auto", "'auto'", False),
    ]
