"""The response that views and hooks work with: webob's, with Flask's names beside."""

from __future__ import annotations

__all__ = ["Response"]

import json as json_module
from collections.abc import Callable, Iterable
from typing import Any, Self

import webob

from wsgikit.onion.encoded import EncodedStream, as_bytes
from wsgikit.wsgi import Environ, StartResponse


class Response(webob.Response):
    """A response: webob's, itself a WSGI application, with Flask's names beside.

    `Response("text", 404, mimetype="text/plain")` is as in Flask. Unlike webob's, it sends a relative ``Location`` as
    it is (RFC 9110 §10.2.2), so that what is right behind a proxy stays right.
    """

    default_charset = "utf-8"  # written as Flask writes it

    def __init__(
        self, response: Any = None, status: int | str | None = None, headers: Any = None, **options: Any
    ) -> None:
        mimetype = options.pop("mimetype", None)
        options.pop("direct_passthrough", None)
        if mimetype is not None:
            options["content_type"] = mimetype
            if mimetype.startswith("text/") or mimetype in ("application/xml", "application/javascript"):
                options["charset"] = "utf-8"
        if "body" in options:
            response = options.pop("body")
        if response is None or isinstance(response, (str, bytes)):
            if isinstance(response, str) and options.get("content_type") is not None and "charset" not in options:
                response = response.encode()
            super().__init__(response, status, **options)
        elif isinstance(response, (bytearray, memoryview)):
            super().__init__(bytes(response), status, **options)
        else:
            super().__init__(None, status, app_iter=_encoded(response), **options)
        if headers is not None:
            self.update_headers(headers)

    @classmethod
    def of_parts(cls, status: str, headers: list[tuple[str, str]], body: Iterable[bytes]) -> Self:
        """Make a response of a status line, headers and a body as they are."""
        response = cls.__new__(cls)
        webob.Response.__init__(response, None, status, list(headers), body)
        return response

    def update_headers(self, headers: Any) -> None:
        """Set headers: each name replaces those that were there, repeated names of the argument are all kept."""
        pairs = list(headers.items()) if hasattr(headers, "items") else list(headers)
        seen: set[str] = set()
        for name, value in pairs:
            key = str(name).lower()
            if key not in seen:
                seen.add(key)
                self.headers.pop(name, None)
            for item in value if isinstance(value, (list, tuple)) else (value,):
                self.headers.add(name, str(item))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self.conditional_response:
            return self.conditional_response_app(environ, start_response)
        start_response(self.status, list(self.headerlist))
        if environ["REQUEST_METHOD"] == "HEAD":
            close: Callable[[], object] | None = getattr(self.app_iter, "close", None)
            if close is not None:
                close()
            return []
        return self.app_iter

    # ------------------------------------------------------------------ Flask's names

    def get_data(self, as_text: bool = False) -> Any:
        """Return the body as bytes, or as text."""
        return self.body.decode("utf-8", "replace") if as_text else self.body

    def set_data(self, value: str | bytes) -> None:
        """Set the body."""
        self.body = value.encode() if isinstance(value, str) else value

    data = property(get_data, set_data, doc="The body as bytes; may be set to text or bytes.")

    @property
    def mimetype(self) -> str | None:
        """The media type without parameters."""
        content_type = self.content_type
        return content_type.partition(";")[0].strip() if content_type else None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.content_type = value

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON by its media type."""
        mimetype = self.mimetype or ""
        return mimetype == "application/json" or (mimetype.startswith("application/") and mimetype.endswith("+json"))

    @property
    def is_streamed(self) -> bool:
        """Whether the body is made while it is sent."""
        return not isinstance(self.app_iter, (list, tuple))

    def get_json(self, force: bool = False, silent: bool = False) -> Any:
        """Return the body parsed as JSON; None where its media type is another."""
        if not (force or self.is_json):
            return None
        try:
            return json_module.loads(self.body)
        except ValueError:
            if silent:
                return None
            raise


def _encoded(chunks: Iterable[Any]) -> Iterable[bytes]:
    """Return an iterable of bytes for one of text or bytes; one at rest stays at rest."""
    if isinstance(chunks, (list, tuple)):
        return [as_bytes(chunk) for chunk in chunks]
    return EncodedStream(chunks)
