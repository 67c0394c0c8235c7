"""webob's request, also if a visitor sends bytes that are no UTF-8.

webob raises a UnicodeDecodeError, which would be a 500. Here text is read as Werkzeug reads it, with U+FFFD for what
can't be decoded; URLs keep the bytes.
"""

from __future__ import annotations

__all__ = ["LenientRequest"]

import wsgikit.http.quiet_cgi  # isort: skip  # noqa: F401  # before webob

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import webob
from webob.request import PATH_SAFE  # type: ignore[attr-defined]  # its stubs lack it
from werkzeug.exceptions import BadRequest, SecurityError

from wsgikit.http.fields import RequestCookies
from wsgikit.http.hosts import host_of, is_trusted, without_default_port


class LenientRequest(webob.Request):
    """webob's request, whose path and cookies can be read whatever a visitor sent; the rest is a 400 then.

    Attributes:
        trusted_hosts: the hosts that a request may be for, as in Flask 3.1: `host` and the URLs raise a 400 for others.
            One that begins with a dot is that host and all below it. None trusts every host.
    """

    trusted_hosts: Sequence[str] | None = None

    def _path_bytes(self, key: str) -> bytes:
        # PEP 3333 "environ Variables": one that is empty may be missing.
        text: str = self.environ.get(key, "")
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:  # an application inside has decoded it in place: Bottle and Django do
            return text.encode()

    @property
    def path_info(self) -> str:
        """The path inside the application, as text."""
        return self._path_bytes("PATH_INFO").decode(self.url_encoding, "replace")

    @path_info.setter
    def path_info(self, value: str) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.encset("PATH_INFO", value, encattr="url_encoding")

    @property
    def script_name(self) -> str:
        """The prefix that the application is mounted under, as text."""
        return self._path_bytes("SCRIPT_NAME").decode(self.url_encoding, "replace")

    @script_name.setter
    def script_name(self, value: str) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.encset("SCRIPT_NAME", value, encattr="url_encoding")

    @property
    def host(self) -> str:
        """The host with its port, as the client sent it; without a ``Host`` header, the server's.

        Raises:
            SecurityError: the header is no host, or one that isn't in `trusted_hosts` (400).
        """
        header = self.environ.get("HTTP_HOST")
        if header is None and not self.trusted_hosts:
            return f"{self.environ['SERVER_NAME']}:{self.environ['SERVER_PORT']}"
        host = host_of(self.environ)
        if host is None or (self.trusted_hosts and not is_trusted(host, self.trusted_hosts)):
            raise SecurityError(f"The Host header {ascii(header)[:100]} is not a host of this site.")
        return str(host) if header is None else str(header)

    @host.setter
    def host(self, value: str) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.environ["HTTP_HOST"] = value

    @host.deleter
    def host(self) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.environ.pop("HTTP_HOST", None)

    @property
    def host_url(self) -> str:
        """The scheme and the host, without a slash at the end and without the scheme's own port."""
        scheme = self.environ["wsgi.url_scheme"]
        return f"{scheme}://{without_default_port(self.host, scheme)}"

    @property
    def domain(self) -> str:
        """The host without its port."""
        return re.sub(r":[0-9]*$", "", self.host)

    @property
    def application_url(self) -> str:
        """The address of the application's root, without a slash at its end."""
        return self.host_url + quote(self._path_bytes("SCRIPT_NAME"), PATH_SAFE)

    @property
    def path(self) -> str:
        """The path, quoted, with the prefix that the application is mounted under."""
        return quote(self._path_bytes("SCRIPT_NAME") + self._path_bytes("PATH_INFO"), PATH_SAFE)

    @property
    def path_url(self) -> str:
        """The address without the query string."""
        path = self.path
        # A server may hand on a target without a slash, such as "@evil.example", which would become the host.
        return self.host_url + (path if path.startswith("/") else f"/{path}")

    @property
    def cookies(self) -> Any:  # a `RequestCookies`; webob's stubs want webob's class
        """The cookies by name, a `RequestCookies`. Assign a mapping to replace them."""
        return RequestCookies(self.environ)

    @cookies.setter
    def cookies(self, cookies: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        self.environ.pop("HTTP_COOKIE", None)
        RequestCookies(self.environ).update(cookies)

    @property
    def GET(self) -> Any:
        """The query as webob reads it.

        Raises:
            BadRequest: it is no UTF-8 (400); `args` reads what is.
        """
        try:
            return super().GET
        except UnicodeDecodeError:
            raise BadRequest("The query string is no UTF-8.") from None
