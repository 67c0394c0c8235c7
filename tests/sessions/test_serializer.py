"""Values in a session. Points S13, S7, B45, B46."""

import datetime as dates
import enum
import math
import pathlib
from collections import OrderedDict, namedtuple
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from wsgikit.sessions import serializer
from wsgikit.sessions.errors import SessionValueError
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.base import SessionStore

UTC = dates.UTC
VALUES = {
    "None": None,
    "bool": True,
    "int": 2**70,
    "float": 0.1,
    "infinity": math.inf,
    "str": 'Zoë ☃ \U0001f600 " \\ \u2028 \0',
    "lone surrogate": "a\ud800b",
    "list": [1, [2, []]],
    "dict": {"a": {"b": {}}},
    "tuple": (1, ("a", []), ()),
    "set": {1, 2, 3},
    "frozenset": frozenset({"a"}),
    "bytes": bytes(range(256)),
    "datetime": dates.datetime(2026, 11, 22, 12, 0, 0, 123456),
    "aware datetime": dates.datetime(2026, 11, 22, 12, tzinfo=dates.timezone(dates.timedelta(hours=5, minutes=30))),
    "date": dates.date(2026, 11, 22),
    "time": dates.time(12, 30, 1),
    "timedelta": dates.timedelta(days=-1, microseconds=7),
    "UUID": UUID("12345678123456781234567812345678"),
    "Decimal": Decimal("1.10"),
    "Markup": Markup("<b>&amp;</b>"),
    "a dict that looks like a tag": {"!t": [1]},
    "one that looks like the escape": {"!": {"!t": [1]}},
    "nested in each other": {"!": {"!": {"!d": (1, {"!s": []})}}},
    "deep": [{"a": ({"b": [UUID(int=1)]},)}],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_s13_b45_a_value_comes_back_as_it_was(value):
    again = serializer.loads(serializer.dumps({"key": value}))["key"]
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize(
    "options", [{}, {"encrypt": True}, {"store": "memory://"}], ids=["cookie", "encrypted", "store"]
)
def test_s13_all_of_them_survive_in_a_session(browse, options):
    def view(session, environ):
        if environ["PATH_INFO"] == "/w":
            session.update(VALUES)
        else:
            assert session == VALUES

    browser = browse(view, **options)
    browser.send("/w")
    assert "Set-Cookie" not in browser.send("/r").headers


PYTHON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.frozensets(st.integers() | st.text()),
    lambda children: (
        st.lists(children, max_size=4)
        | st.lists(children, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.sampled_from(["!", "!t", "!d", "!!"]), children, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(PYTHON)
def test_s13_whatever_is_written_is_read_the_same(value):
    data = serializer.dumps(value)
    assert serializer.loads(data) == value
    assert serializer.dumps(serializer.loads(data)) == data, "reading and writing again gives the same bytes"


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (
            {"cart": [{"price": object()}]},
            "cart[0].price",
            "session: cart[0].price: expected a value that JSON or wsgikit can write, got an object.",
        ),
        ({"a": {"b": ({"c": lambda: 0},)}}, "a.b[0].c", "got a function"),
        ({"user": pathlib.Path("/")}, "user", "got a PosixPath"),
        ({"x": 1j}, "x", "got a complex"),
        ({"map": {1: "a"}}, "map", "session: map: expected keys that are str, got one of type int. Convert it."),
        ({"s": [{(1, 2): 3}]}, "s[0]", "got one of type tuple"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_s13_a_value_that_cannot_be_written_is_an_error_that_names_its_path(secret, data, path, message):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret)
    session = layer.open_session(None)
    session.update(data)
    with pytest.raises(SessionValueError) as caught:
        layer.save_session(session)
    assert caught.value.path == path
    assert message in str(caught.value)


def test_s13_what_is_put_into_a_value_that_was_handed_out_is_named_too(secret):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store="memory://")
    session = layer.open_session(None)
    session["l"] = []
    cookie = layer.save_session(session)[0].partition(";")[0]
    session = layer.open_session(cookie)
    session["l"].append(object())
    with pytest.raises(SessionValueError, match=r"session: l\[0\]: expected a value"):
        layer.save_session(session)


def test_s13_a_value_that_contains_itself_is_an_error():
    value = []
    value.append(value)
    with pytest.raises(SessionValueError, match="isn.t nested so deeply, or in itself"):
        serializer.dumps({"a": value})


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Point(1, 2), (1, 2)),
        (OrderedDict(a=1), {"a": 1}),
        (bytearray(b"x"), b"x"),
    ],
    ids=["StrEnum", "IntEnum", "namedtuple", "OrderedDict", "bytearray"],
)
def test_s13_a_subclass_comes_back_as_what_it_is_at_bottom(value, plain):
    again = serializer.loads(serializer.dumps([value]))[0]
    assert again == plain
    assert type(again) is type(plain)


def test_s13_a_set_has_the_same_bytes_in_whatever_order_it_was_filled():
    assert serializer.dumps({"b", "a", "c"}) == serializer.dumps({"c", "b", "a"})


@pytest.mark.parametrize("data", [b"", b"[", b"[1]x", b"\xff", b"nul", b'{"a"'], ids=repr)
def test_what_is_no_json_is_a_value_error(data):
    with pytest.raises(ValueError):
        serializer.loads(data)


def test_s13_no_store_and_no_format_can_be_told_to_pickle():
    """B46: Beaker pickles by default; here nothing imports pickle at all."""
    import wsgikit.sessions

    folder = pathlib.Path(wsgikit.sessions.__file__).parent
    for path in folder.rglob("*.py"):
        source = path.read_text()
        assert "import pickle" not in source, path
        assert "from pickle" not in source, path


def test_s13_what_the_store_knows_is_kept_outside_of_the_users_data(secret, spy):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=spy)
    session = layer.open_session(None)
    session["a"] = 1
    layer.save_session(session)
    assert list(layer.open_session(None)) == []
    (record,) = spy._records.values()
    assert serializer.loads(record.data)[0] == {"a": 1}
    assert isinstance(spy, SessionStore)


def test_the_fast_encoder_and_the_plain_one_write_the_same():
    plain = serializer._encoder.encode
    for value in VALUES.values():
        tagged = serializer._tag({"key": value})
        assert serializer._encode(tagged) == plain(tagged)
