"""Media types, compared as RFC 9110 §8.3.1 wants it: without regard to case, and without parameters."""

from __future__ import annotations

__all__ = ["is_form", "is_json", "media_type_of"]

_FORMS = frozenset({"multipart/form-data", "application/x-www-form-urlencoded", "application/x-url-encoded"})


def media_type_of(content_type: str | None) -> str:
    """Return the media type of a ``Content-Type`` value in lower case and without parameters, or "" for none."""
    return content_type.partition(";")[0].strip().lower() if content_type else ""


def is_form(media_type: str) -> bool:
    """Return whether a media type, as `media_type_of` returns it, is that of a form in a body."""
    return media_type in _FORMS


def is_json(media_type: str) -> bool:
    """Return whether a media type, as `media_type_of` returns it, is JSON: itself, or a type that is built on it."""
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
