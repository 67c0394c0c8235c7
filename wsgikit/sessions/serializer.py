"""JSON that keeps what Python has and JSON hasn't.

Beside JSON's own values: tuple, set, frozenset, bytes, datetime, date, time, timedelta, UUID, Decimal and Markup. Each
is written as an object of one key that begins with ``!``, such as ``{"!t":[1,2]}``; an object of the application's that
looks like one is wrapped in ``{"!":…}``. Pickle isn't offered: who can write a pickle can run code.
"""

from __future__ import annotations

__all__ = ["dumps", "explain", "loads", "sizes_by_key", "to_bytes", "to_text"]

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from importlib import import_module
from typing import Any

from wsgikit.exceptions import a_kind
from wsgikit.sessions.errors import SessionValueError

_PLAIN = frozenset({str, int, float, bool, type(None)})
_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False)
_SURROGATES = {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}


def _fast_encoder() -> Callable[[Any], str]:
    """Return the encoder of the standard library, made once instead of for each value.

    `JSONEncoder.encode` builds the same C encoder for each call. Where this Python has none, the plain way is taken.
    """
    from json import encoder

    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return _encoder.encode
    try:
        write = make(None, _encoder.default, encoder.encode_basestring, None, ":", ",", False, False, True)
        if "".join(write({"a": [1, "é"]}, 0)) != '{"a":[1,"é"]}':
            return _encoder.encode
    except TypeError:
        return _encoder.encode
    join = "".join
    return lambda value: join(write(value, 0))


_encode = _fast_encoder()
_scan: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # not in typeshed


def dumps(value: Any) -> bytes:
    """Write a value as JSON in UTF-8.

    Raises:
        SessionValueError: it holds something that can't be written; the error names where.
    """
    return to_bytes(to_text(value))


def to_text(value: Any) -> str:
    """Write a value as JSON; for what is put together of several.

    Raises:
        SessionValueError: it holds something that can't be written; the error names where.
    """
    try:
        return _encode(value if type(value) in _PLAIN else _tag(value))
    except _Unwritable as error:
        culprit = error.culprit
        path = _path_to(value, lambda item: item is culprit, "") or ""
        raise SessionValueError(error.text.format(path or "value"), path) from None
    except (RecursionError, ValueError) as error:
        raise explain(value, error) from None


def explain(value: Any, error: Exception) -> SessionValueError:
    """Return what the JSON encoder's complaint about a value means, and where."""
    if isinstance(error, RecursionError):
        items = value.items() if isinstance(value, dict) else ()
        path = next((str(key) for key, item in items if _is_too_deep(item)), "")
        text = "expected a value that isn't nested so deeply, or in itself"
        return SessionValueError(f"session: {path or 'value'}: {text}.", path)
    path = _path_to(value, _is_too_long, "") or ""
    most = sys.get_int_max_str_digits()
    text = f"expected an int of at most {most} digits, got a longer one: Python doesn't write it. Keep a str or bytes"
    return SessionValueError(f"session: {path or 'value'}: {text}.", path)


def to_bytes(text: str) -> bytes:
    """Return JSON as UTF-8; what UTF-8 can't hold, a lone surrogate, as JSON's escape."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.translate(_SURROGATES).encode()


def loads(data: bytes) -> Any:
    """Read what `dumps` wrote, or any JSON.

    Raises:
        ValueError: it isn't JSON, or something stands after it.
    """
    text = data.decode()
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError("not JSON: something stands after it")
    if '{"!' not in text:
        return value
    try:
        return _untag(value)
    except (TypeError, AttributeError, ArithmeticError) as error:  # a tag with something else in it than we write
        raise ValueError("not what a session is written as") from error


def sizes_by_key(data: dict[str, Any]) -> list[tuple[str, int]]:
    """Return the bytes that each key takes with its value, the largest first."""
    return sorted(((key, len(dumps(key)) + 1 + len(dumps(value))) for key, value in data.items()), key=lambda s: -s[1])


class _Unwritable(Exception):
    """Carries what can't be written to where its path can be told."""

    def __init__(self, culprit: object, text: str) -> None:
        self.culprit = culprit
        self.text = text


def _tag(value: Any) -> Any:
    """Return the value as JSON has it. What is plain already is returned as it is."""
    kind = type(value)
    if kind is dict:
        return _tag_dict(value)
    if kind is list:
        for item in value:
            if type(item) not in _PLAIN:
                return [_tag(item) for item in value]
        return value
    if kind in _PLAIN:
        return value
    write = _WRITERS.get(f"{kind.__module__}.{kind.__qualname__}")
    return _tag_subclass(value) if write is None else write(value)


def _tag_dict(value: dict[Any, Any]) -> Any:
    tagged = None
    for key, item in value.items():
        if type(key) is not str and not isinstance(key, str):
            kind = type(key).__name__
            raise _Unwritable(value, f"session: {{}}: expected keys that are str, got one of type {kind}. Convert it.")
        if type(item) not in _PLAIN:
            written = _tag(item)
            if written is not item:
                if tagged is None:
                    tagged = dict(value)
                tagged[key] = written
    if tagged is None:
        tagged = value
    if len(tagged) == 1 and next(iter(tagged)).startswith("!"):
        return {"!": tagged}
    return tagged


def _tag_subclass(value: Any) -> Any:
    """Write an instance of a subclass as what its base is; Markup is a subclass of str that is kept."""
    if isinstance(value, str):
        return {"!m": str.__str__(value)} if hasattr(value, "__html__") else str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, dict):
        return _tag_dict(dict(value))
    if isinstance(value, list):
        return _tag(list(value))
    for kind in type(value).__mro__:
        write = _WRITERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if write is not None:
            return write(value)
    raise _Unwritable(
        value,
        f"session: {{}}: expected a value that JSON or wsgikit can write, got {a_kind(value)}. Store its id, "
        "or convert it to str, int, float, bool, list, dict, tuple, set, bytes, datetime, UUID or Decimal.",
    )


def _is_too_deep(value: Any) -> bool:
    try:
        _encode(_tag(value))
    except RecursionError:
        return True
    except (_Unwritable, ValueError):
        return False
    return False


def _is_too_long(value: Any) -> bool:
    if isinstance(value, int):
        try:
            str(value)
        except ValueError:
            return True
    return False


def _path_to(value: Any, is_culprit: Callable[[Any], bool], path: str) -> str | None:
    """Return where in the value the culprit is."""
    if is_culprit(value):
        return path
    if isinstance(value, dict):
        steps = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        steps = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return None
    for step, item in steps:
        found = _path_to(item, is_culprit, step)
        if found is not None:
            return found
    return None


def _items(value: Any) -> list[Any]:
    return [_tag(item) for item in value]


def _sorted_items(value: Any) -> list[Any]:
    # The order of a set changes from process to process; the bytes must not, for they are compared.
    return sorted(_items(value), key=_encode)


# By name, so that what nobody puts into a session isn't imported for it.
_WRITERS: dict[str, Callable[[Any], Any]] = {
    "builtins.tuple": lambda value: {"!t": _items(value)},
    "builtins.set": lambda value: {"!s": _sorted_items(value)},
    "builtins.frozenset": lambda value: {"!f": _sorted_items(value)},
    "builtins.bytes": lambda value: {"!b": b64encode(value).decode("ascii")},
    "builtins.bytearray": lambda value: {"!b": b64encode(value).decode("ascii")},
    "datetime.datetime": lambda value: {"!d": value.isoformat()},
    "datetime.date": lambda value: {"!D": value.isoformat()},
    "datetime.time": lambda value: {"!T": value.isoformat()},
    "datetime.timedelta": lambda value: {"!i": [value.days, value.seconds, value.microseconds]},
    "uuid.UUID": lambda value: {"!u": value.hex},
    "decimal.Decimal": lambda value: {"!n": str(value)},
}


def _markup(text: str) -> Any:
    try:
        from markupsafe import Markup  # comes with Jinja2, which is optional
    except ImportError:
        return text
    return Markup(text)


def _reader(module: str, name: str, method: str = "") -> Callable[[Any], Any]:
    """Return a function that makes a value by a class, which is imported when it is needed."""

    def read(content: Any) -> Any:
        kind = getattr(import_module(module), name)
        return getattr(kind, method)(content) if method else kind(content)

    return read


_READERS: dict[str, Callable[[Any], Any]] = {
    "!t": tuple,
    "!s": set,
    "!f": frozenset,
    "!b": b64decode,
    "!d": _reader("datetime", "datetime", "fromisoformat"),
    "!D": _reader("datetime", "date", "fromisoformat"),
    "!T": _reader("datetime", "time", "fromisoformat"),
    "!i": lambda parts: import_module("datetime").timedelta(*parts),
    "!u": _reader("uuid", "UUID"),
    "!n": _reader("decimal", "Decimal"),
    "!m": _markup,
}


def _untag(value: Any) -> Any:
    if type(value) is dict:
        if len(value) == 1:
            tag, content = next(iter(value.items()))
            if tag == "!" and type(content) is dict:
                return {key: _untag(item) for key, item in content.items()}
            read = _READERS.get(tag)
            if read is not None:
                return read(_untag(content))
        return {key: _untag(item) for key, item in value.items()}
    if type(value) is list:
        return [_untag(item) for item in value]
    return value
