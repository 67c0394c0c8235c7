"""The response that views and hooks work with: webob's, with Flask's names beside."""

from __future__ import annotations

__all__ = ["Response"]

import json as json_module
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any, Self

import webob
from webob.headers import ResponseHeaders as WebobHeaders

from wsgikit.http.cookies import format_cookie
from wsgikit.http.encoded import EncodedStream, as_bytes
from wsgikit.http.headers import checked, is_latin
from wsgikit.wsgi import Environ, StartResponse


class ResponseHeaders(WebobHeaders):
    """The headers of a `Response`, which refuse what can't stand in a head.

    Raises:
        ApplicationError: such a name or value is put in.
    """

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(*checked(key, value))

    def add(self, key: str, value: str) -> None:
        """Append a header, next to any others of its name."""
        super().add(*checked(key, value))

    def setdefault(self, key: str, default: str) -> str:  # type: ignore[override]  # as webob's own: None can't be sent
        """Return the value of the header, which is added first where there is none."""
        if key not in self:
            self.add(key, default)
        return self[key]

    def extend(self, other: Any = (), **more: str) -> None:
        """Append the headers of a mapping or of pairs, next to any others of their names."""
        for name, value in [*_pairs(other or ()), *more.items()]:
            self.add(name, value)


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
        present = self.headers
        seen: set[str] = set()
        for name, value in _pairs(headers):
            key = str(name).lower()
            if key not in seen:
                seen.add(key)
                present.pop(name, None)
            for item in value if isinstance(value, (list, tuple)) else (value,):
                present.add(name, str(item))

    @property  # type: ignore[override]  # webob's stubs have a descriptor of their own
    def headers(self) -> ResponseHeaders:
        """The headers as a mapping without regard to case; assign a mapping or pairs to replace all of them."""
        return ResponseHeaders.view_list(self.headerlist)

    @headers.setter
    def headers(self, headers: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.headerlist = [checked(name, value) for name, value in _pairs(headers)]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for name, value in self.headerlist:
            if type(value) is not str or not is_latin(value):  # set by an attribute of webob's, such as `location`
                checked(name, value)
        if self.conditional_response:
            return self.conditional_response_app(environ, start_response)
        body = self.app_iter
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        if type(body) is list and not is_head and self.status_int != 304:
            self._correct_length(sum(map(len, body)))
        start_response(self.status, list(self.headerlist))
        if is_head:
            close: Callable[[], object] | None = getattr(body, "close", None)
            if close is not None:
                close()
            return []
        return body

    def _correct_length(self, length: int) -> None:
        """Correct a Content-Length that was set by hand to another length than that of the body."""
        text = str(length)
        for number, (name, value) in enumerate(self.headerlist):
            if value != text and name.lower() == "content-length":
                self.headerlist[number] = (name, text)

    # ------------------------------------------------------------------ cookies

    def set_cookie(  # type: ignore[override]  # of webob's arguments it lacks the obsolete `comment`
        self,
        name: str,
        value: str | None = "",
        max_age: timedelta | int | None = None,
        *,
        expires: str | float | date | timedelta | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Set a cookie; see `format_cookie` for the arguments.

        Args:
            overwrite: remove what this response has set under the same name before.

        Raises:
            ApplicationError: an argument can't stand in the header.
        """
        if overwrite:
            self.unset_cookie(name, strict=False)
        if value is None:
            value, max_age, expires = "", 0, 0
        line = format_cookie(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.headers.add("Set-Cookie", line)

    def delete_cookie(  # type: ignore[override]  # webob takes a name of bytes, too
        self,
        name: str,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Have the browser delete a cookie. Path and domain are those it was set with; ``__Host-`` needs `secure`."""
        self.set_cookie(
            name,
            None,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )

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


def _pairs(headers: Any) -> list[tuple[Any, Any]]:
    return list(headers.items() if hasattr(headers, "items") else headers)


def _encoded(chunks: Iterable[Any]) -> Iterable[bytes]:
    """Return an iterable of bytes for one of text or bytes; one at rest stays at rest."""
    if isinstance(chunks, (list, tuple)):
        return [as_bytes(chunk) for chunk in chunks]
    return EncodedStream(chunks)
