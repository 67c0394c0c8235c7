"""Flask's session cookie: its salt, its key derivation, its tagged JSON."""

from __future__ import annotations

__all__ = ["FlaskFormat"]

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from uuid import UUID

from wsgikit.crypto.signing import TimedSigner, decode_base64, encode_base64
from wsgikit.exceptions import a_kind
from wsgikit.sessions.errors import SessionValueError
from wsgikit.sessions.formats.base import CookieFormat, Envelope, compress, decompress
from wsgikit.sessions.serializer import explain


class FlaskFormat(CookieFormat):
    """The cookie of Flask's `SecureCookieSessionInterface`, so that an app and the layer around it share a login.

    Args:
        secrets: Flask's ``SECRET_KEY`` first, then its ``SECRET_KEY_FALLBACKS``.
    """

    permanent_key = "_permanent"

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._signer = TimedSigner(secrets, b"cookie-session", digest="sha1")

    def load(self, value: str) -> Envelope | None:
        verified = self._signer.unsign_timed(value.encode("utf-8", "replace"))
        if verified is None:
            return None
        payload, saved, is_current = verified
        try:
            plain = decompress(decode_base64(payload[1:])) if payload[:1] == b"." else decode_base64(payload)
            data = _untag(json.loads(plain))
        except (ValueError, TypeError, AttributeError, LookupError, StopIteration, RecursionError):
            return None  # signed by us, and yet not ours
        if not isinstance(data, dict):
            return None
        permanent = bool(data["_permanent"]) if "_permanent" in data else None
        return Envelope(data, saved, saved, None, permanent, is_current)

    def dump(self, envelope: Envelope) -> str:
        content = envelope.data
        if envelope.permanent and "_permanent" not in content:  # so that the app inside keeps it so
            content = {**content, "_permanent": True}
        try:
            data = json.dumps(_tag(content, ""), separators=(",", ":")).encode("ascii")
        except SessionValueError:
            raise
        except (RecursionError, ValueError) as error:
            raise explain(envelope.data, error) from None
        compressed = compress(data, at_least=0)
        payload = encode_base64(data) if compressed is None else b"." + encode_base64(compressed)
        return self._signer.sign(payload).decode("ascii")


def _tag(value: Any, path: str) -> Any:
    if isinstance(value, dict):
        tagged = {_text(key, path): _tag(item, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
        if len(tagged) == 1:
            key = next(iter(tagged))
            if key in _READERS:
                return {" di": {f"{key}__": tagged[key]}}
        return tagged
    if isinstance(value, tuple):
        return {" t": [_tag(item, f"{path}[{index}]") for index, item in enumerate(value)]}
    if isinstance(value, list):
        return [_tag(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, bytes):
        return {" b": b64encode(value).decode("ascii")}
    if callable(getattr(value, "__html__", None)):
        return {" m": str(value.__html__())}
    if isinstance(value, UUID):
        return {" u": value.hex}
    if isinstance(value, datetime):
        # As Flask: HTTP's form, in whole seconds, a naive one taken for UTC.
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return {" d": format_datetime(moment, usegmt=True)}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise SessionValueError(
        f"session: {path or 'value'}: expected what Flask's session can hold, got {a_kind(value)}. "
        "Convert it, or use another cookie_format.",
        path,
    )


def _text(key: object, path: str) -> str:
    if isinstance(key, str):
        return key
    raise SessionValueError(
        f"session: {path or 'key'}: expected keys that are str, got one of type {type(key).__name__}. Convert it.",
        path,
    )


def _markup(text: str) -> Any:
    try:
        from markupsafe import Markup  # installed with Flask; the layer works without it
    except ImportError:
        return text
    return Markup(text)


def _undict(value: dict[str, Any]) -> dict[str, Any]:
    key = next(iter(value))
    return {key[:-2]: value[key]}


_READERS: dict[str, Callable[[Any], Any]] = {
    " di": _undict,
    " t": tuple,
    " b": b64decode,
    " m": _markup,
    " u": UUID,
    " d": parsedate_to_datetime,
}


def _untag(value: Any) -> Any:
    if isinstance(value, dict):
        value = {key: _untag(item) for key, item in value.items()}
        if len(value) == 1:
            key = next(iter(value))
            read = _READERS.get(key)
            if read is not None:
                return read(value[key])
        return value
    if isinstance(value, list):
        return [_untag(item) for item in value]
    return value
