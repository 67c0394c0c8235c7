"""A front end's development server behind the static layer: Vite, webpack-dev-server."""

from __future__ import annotations

__all__ = ["DevServer"]

import http.client
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.ranges import CHUNK_BYTES
from wsgikit.wsgi import Environ, StartResponse

# RFC 9110 §7.6.1: these concern one connection, and PEP 3333 forbids an application to send them.
_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"),
    "upgrade",
}
# What a development server decides by. Cookies and credentials are the application's: they are not passed on.
_PASSED = ("HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_RANGE")
_TIMEOUT_SECONDS = 30  # the first request may build the whole front end


class DevServer:
    """A WSGI application that asks a development server on this machine.

    Args:
        url: where it listens, ``http://127.0.0.1:5173``.

    Raises:
        ConfigurationError: `url` is no URL of an http server.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        try:
            is_right = parts.scheme == "http" and bool(parts.hostname) and parts.path in ("", "/") and not parts.query
            port = parts.port
        except ValueError:
            is_right, port = False, None
        if not is_right:
            expected = "the URL of an http server, such as http://127.0.0.1:5173"
            raise ConfigurationError(complaint("StaticMiddleware", "dev_server", expected, url))
        self.url = url
        self._host: str = parts.hostname or ""
        self._port = port or 80

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer the request (PEP 3333)."""
        from urllib.parse import quote

        path = quote(
            environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""), safe="/@:!$&'()*+,;=~", encoding="latin-1"
        )
        query = environ.get("QUERY_STRING")
        headers = {key[5:].replace("_", "-").title(): environ[key] for key in _PASSED if key in environ}
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(environ["REQUEST_METHOD"], f"{path}?{query}" if query else path, headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return self._unreachable(error, start_response)
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP_BY_HOP]
        start_response(f"{response.status} {response.reason or 'Unknown'}", kept)
        return _Passed(connection, response)

    def _unreachable(self, error: Exception, start_response: StartResponse) -> Iterable[bytes]:
        text = (
            f"The development server at {self.url} does not answer: {type(error).__name__}: {error}.\n"
            "Start it (npm run dev), or remove dev_server= to serve the built files.\n"
        ).encode("utf-8", "backslashreplace")
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
        start_response("502 Bad Gateway", headers)
        return [text]


class _Passed:
    """The body of a response of another server, as it comes."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._response.read1(CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        self._response.close()
        self._connection.close()
