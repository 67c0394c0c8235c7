"""The response that views and hooks work with: webob's, with Flask's names beside."""

from __future__ import annotations

__all__ = ["Response"]

import wsgikit.http.quiet_cgi  # isort: skip  # noqa: F401  # before webob

import re
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any, Self

import webob

from wsgikit.exceptions import ApplicationError, complaint, did_you_mean
from wsgikit.http import json_text
from wsgikit.http.cookies import format_cookie
from wsgikit.http.encoded import EncodedStream, as_bytes
from wsgikit.http.headers import checked, is_latin
from wsgikit.http.media_types import is_json, media_type_of
from wsgikit.http.response_headers import (
    ResponseCacheControl,
    ResponseHeaders,
    flag_header,
    list_header,
    pairs_of,
    text_header,
)
from wsgikit.wsgi import Environ, StartResponse

_Webob: Any = webob.Response  # its stubs hide the functions of its properties
_HTML = "text/html; charset=utf-8"
_CONTROL = re.compile(r"[\r\n\0]")


def _check_sendable(name: str, value: Any) -> None:
    if type(value) is not str or not is_latin(value) or _CONTROL.search(value) or _CONTROL.search(name):
        checked(name, value)


class Response(webob.Response):
    """A response: webob's, itself a WSGI application, with Flask's names beside.

    `Response("text", 404, mimetype="text/plain")` is as in Flask. Unlike webob's, it sends a relative ``Location`` as
    it is (RFC 9110 §10.2.2), so that what is right behind a proxy stays right. An attribute that it doesn't know is
    refused; a subclass declares further ones.

    Raises:
        ApplicationError: a status, a name or a value can't stand in a head.
    """

    default_charset = "utf-8"  # written as Flask writes it
    conditional_response = False

    def __init__(
        self, response: Any = None, status: int | str | None = None, headers: Any = None, **options: Any
    ) -> None:
        is_plain = not options and status is None and (type(response) is str or type(response) is bytes)
        if is_plain and self.default_content_type == "text/html" and self.default_charset == "utf-8":
            self._fill(response)
        else:
            self._make(response, status, options)
        if headers is not None:
            self.update_headers(headers)

    def _fill(self, text: str | bytes) -> None:
        """Make a 200 with a text, as webob's ``__init__`` does and in half its time: most responses are one."""
        body = text.encode() if isinstance(text, str) else text
        self.__dict__.update(
            _status="200 OK",
            _headers=None,
            _headerlist=[("Content-Type", _HTML), ("Content-Length", str(len(body)))],
            _app_iter=[body],
            conditional_response=self.default_conditional_response,
        )

    def _make(self, response: Any, status: int | str | None, options: dict[str, Any]) -> None:
        mimetype = options.pop("mimetype", None)
        options.pop("direct_passthrough", None)
        if mimetype is not None:
            options["content_type"] = mimetype
            if media_type_of(mimetype).startswith("text/") or mimetype in ("application/xml", "application/javascript"):
                options["charset"] = "utf-8"
        if options.get("content_type") is not None:
            checked("Content-Type", options["content_type"])
        if options.get("headerlist") is not None:
            options["headerlist"] = [checked(*pair) for pair in pairs_of(options["headerlist"])]
        for name in ("json", "json_body"):
            if name in options:
                response = json_text.dumps(options.pop(name)).encode()
                options.setdefault("content_type", "application/json")
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
        for name, value in pairs_of(headers):
            key = str(name).lower()
            if key not in seen:
                seen.add(key)
                present.pop(name, None)
            for item in value if isinstance(value, (list, tuple)) else (value,):
                present.add(name, str(item))

    @property  # type: ignore[override]  # webob's stubs have their own descriptor
    def headers(self) -> ResponseHeaders:
        """The headers as a mapping without regard to case; assign a mapping or pairs to replace all of them."""
        return ResponseHeaders.view_list(self.headerlist)

    @headers.setter
    def headers(self, headers: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.headerlist = [checked(name, value) for name, value in pairs_of(headers)]

    @property
    def headerlist(self) -> list[tuple[str, str]]:
        """The headers as the list of pairs that is sent; assign pairs or a mapping to replace all of them."""
        return self._headerlist

    @headerlist.setter
    def headerlist(self, headers: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self._headers = None
        self._headerlist = [checked(name, value) for name, value in pairs_of(headers)]

    @headerlist.deleter
    def headerlist(self) -> None:
        self.headerlist = []  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs

    @property
    def status(self) -> str:
        """The status line, such as ``"404 Not Found"``; assign a line or a code."""
        return str(_Webob.status.fget(self))

    @status.setter
    def status(self, value: str | int | bytes) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        if isinstance(value, str) and _CONTROL.search(value):
            raise ApplicationError(complaint("Response", "status", "one line such as '404 Not Found'", value))
        _Webob.status.fset(self, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_" and not hasattr(type(self), name):
            known = [known for known in dir(type(self)) if known[0] != "_"]
            remedy = did_you_mean(name, known) or "Declare it in a subclass, or set headers[…]"
            raise AttributeError(f"Response has no attribute {name!r}. {remedy}")
        object.__setattr__(self, name, value)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        for name, value in self._headerlist:  # some attributes of webob's, and headerlist.append(), go past the mapping
            # Nearly all are plain ASCII, which these two methods tell quickest.
            if type(value) is not str or not (value.isascii() and value.isprintable() and name.isprintable()):
                _check_sendable(name, value)
        if self.conditional_response:
            return self.conditional_response_app(environ, start_response)
        body = self.app_iter
        is_head = environ["REQUEST_METHOD"] == "HEAD"
        if type(body) is list and not is_head and self.status_int != 304:
            self._correct_length(sum(map(len, body)))
        start_response(self.status, list(self._headerlist))
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
        """The media type in lower case and without parameters."""
        return media_type_of(self.content_type) or None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.content_type = value

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON by its media type."""
        return is_json(self.mimetype or "")

    def _set_json(self, value: Any) -> None:
        self.body = json_text.dumps(value).encode()

    json = json_body = property(
        lambda self: self.get_json(force=True), _set_json, doc="The body parsed as JSON. Setting it sets the body."
    )

    @property
    def response(self) -> Iterable[bytes]:
        """The body as an iterable; assign text, bytes or an iterable of them."""
        return self.app_iter

    @response.setter
    def response(self, value: Any) -> None:
        if isinstance(value, (str, bytes)):
            self.set_data(value)
        else:
            self.app_iter = _encoded(value)

    vary = list_header("Vary")
    allow = list_header("Allow")
    content_language = list_header("Content-Language")
    access_control_allow_headers = list_header("Access-Control-Allow-Headers")
    access_control_allow_methods = list_header("Access-Control-Allow-Methods")
    access_control_expose_headers = list_header("Access-Control-Expose-Headers")
    access_control_allow_origin = text_header("Access-Control-Allow-Origin")
    access_control_max_age = text_header("Access-Control-Max-Age")
    access_control_allow_credentials = flag_header("Access-Control-Allow-Credentials")
    content_security_policy = text_header("Content-Security-Policy")
    content_security_policy_report_only = text_header("Content-Security-Policy-Report-Only")
    cross_origin_opener_policy = text_header("Cross-Origin-Opener-Policy")
    cross_origin_embedder_policy = text_header("Cross-Origin-Embedder-Policy")

    @property
    def cache_control(self) -> Any:
        """``Cache-Control`` as attributes (``cache_control.max_age = 60``). Unknown ones are refused."""
        control = _Webob.cache_control.fget(self)
        control.__class__ = ResponseCacheControl
        return control

    @cache_control.setter
    def cache_control(self, value: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        _Webob.cache_control.fset(self, value)

    @cache_control.deleter
    def cache_control(self) -> None:
        self.cache_control = {}  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs

    @property
    def is_streamed(self) -> bool:
        """Whether the body is made while it is sent."""
        return not isinstance(self.app_iter, (list, tuple))

    def get_json(self, force: bool = False, silent: bool = False) -> Any:
        """Return the body parsed as JSON; None if its media type is another."""
        if not (force or self.is_json):
            return None
        try:
            return json_text.loads(self.body)
        except ValueError:
            if silent:
                return None
            raise


def _encoded(chunks: Iterable[Any]) -> Iterable[bytes]:
    """Return an iterable of bytes for one of text or bytes; one at rest stays at rest."""
    if isinstance(chunks, (list, tuple)):
        return [as_bytes(chunk) for chunk in chunks]
    return EncodedStream(chunks)
