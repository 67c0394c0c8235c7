"""The addresses of the inspector: a page, its script and style, and the JSON that they show."""

from __future__ import annotations

__all__ = ["Pages"]

import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from wsgikit.http.cookies import cookie_finder, format_cookie
from wsgikit.http.event_stream import Event, EventStream
from wsgikit.middleware.inspector.history import History
from wsgikit.middleware.inspector.recording import Recording
from wsgikit.middleware.inspector.report import Reporter
from wsgikit.onion.refusal import Refusal
from wsgikit.wsgi import Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

COOKIE = "wsgikit_inspector"
_FOLDER = Path(__file__).parent / "page"
_TYPES = {"inspector.js": "text/javascript; charset=utf-8", "inspector.css": "text/css; charset=utf-8"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex"),
]
# A stream of events ends after this time, and the browser connects again: a process that is asked to end isn't held up.
_STREAM_SECONDS = 10.0
_WAIT_SECONDS = 1.0  # for the next request, before it is looked whether the client is still there
_find_cookie = cookie_finder(COOKIE)


class Pages:
    """Answers requests for the inspector itself.

    Args:
        path: the address of the page.
        history: the requests that have ended.
        running: those that haven't, by exchange.
        reporter: describes them.
        token: what is asked for, or None.
        cookie: the value of the cookie of those who have given the token.
    """

    def __init__(
        self,
        path: str,
        history: History,
        running: Mapping[Exchange, Recording],
        reporter: Reporter,
        token: bytes | None,
        cookie: str | None,
    ) -> None:
        self._path = path
        self._history = history
        self._running = running
        self._reporter = reporter
        self._token = token
        self._cookie = cookie
        self._not_found = Refusal(404, "There is no such page of the inspector.")
        self._pages: dict[str, Callable[[Exchange], WSGIApplication]] = {
            "": self._page,
            "/": self._page,
            "/requests.json": self._list,
            "/in-flight.json": self._in_flight,
            "/events": self._events,
        }

    def answer(self, exchange: Exchange, path: str) -> WSGIApplication:
        """Return the answer to a request from a client that may open the inspector."""
        environ = exchange.environ
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return exchange.reply(405, "", headers=[("Allow", "GET, HEAD"), *_HEADERS])
        rest = path[len(self._path) :]
        if self._token is not None and not self._knows_token(environ):
            return self._take_token(exchange)
        page = self._pages.get(rest)
        if page is not None:
            return page(exchange)
        name = rest[1:]
        if name in _TYPES:
            return exchange.reply(200, _file(name), _TYPES[name], _HEADERS)
        if name.startswith("requests/") and name.endswith(".json"):
            recording = self._history.find(name[len("requests/") : -len(".json")])
            if recording is not None:
                return _json(exchange, self._reporter.describe(recording))
        return self._not_found

    # ------------------------------------------------------------------ the token

    def _knows_token(self, environ: Environ) -> bool:
        expected = (self._cookie or "").encode()
        cookies = _find_cookie(environ.get("HTTP_COOKIE", ""))
        if any(hmac.compare_digest(value.encode("utf-8", "replace"), expected) for value in cookies):
            return True
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        return scheme.lower() == "bearer" and self._is_token(given.strip())

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token or b"")

    def _take_token(self, exchange: Exchange) -> WSGIApplication:
        """Give the browser a cookie if the address has the token, and take the token out of the address."""
        environ = exchange.environ
        try:
            given = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=20).get("token", [""])[0]
        except ValueError:
            given = ""
        if not self._is_token(given):
            return Refusal(403, "The inspector asks for a token: add ?token=… to its address once.", _HEADERS)
        place = self._address(environ)
        cookie = format_cookie(
            COOKIE,
            self._cookie or "",
            path=place,
            httponly=True,
            secure=environ.get("wsgi.url_scheme") == "https",
            samesite="Strict",
        )
        return exchange.reply(303, "", headers=[("Location", place), ("Set-Cookie", cookie), *_HEADERS])

    def _address(self, environ: Environ) -> str:
        script = quote(environ.get("SCRIPT_NAME", "").encode("latin-1", "replace"), safe="/")
        return script + quote(self._path, safe="/")

    # ------------------------------------------------------------------ the pages

    def _page(self, exchange: Exchange) -> WSGIApplication:
        environ = exchange.environ
        live = "events" if environ.get("wsgi.multithread") else "poll"  # a stream would occupy the only thread
        text = _file("index.html").decode().replace("{{address}}", escape(self._address(environ)))
        return exchange.reply(200, text.replace("{{live}}", live), "text/html; charset=utf-8", _HEADERS)

    def _list(self, exchange: Exchange) -> WSGIApplication:
        return _json(exchange, [self._reporter.summarize(each) for each in self._history.newest_first()])

    def _in_flight(self, exchange: Exchange) -> WSGIApplication:
        return _json(exchange, self._reporter.describe_running([*self._running.values()]))

    def _events(self, exchange: Exchange) -> WSGIApplication:
        return EventStream(self._new_requests, retry_seconds=1, keepalive_seconds=None, headers=_HEADERS)

    def _new_requests(self, last_id: str | None) -> Iterator[Event | None]:
        """Yield an event for each request that ends from now on, or since the event that the browser has seen last."""
        number = int(last_id) if last_id and last_id.isdigit() else self._history.last
        number = min(number, self._history.last)  # another process may have answered before
        end = time.monotonic() + _STREAM_SECONDS
        while time.monotonic() < end:
            for at, recording in self._history.after(number, _WAIT_SECONDS):
                number = at
                yield Event(self._reporter.summarize(recording), id=str(at))
            yield None


def _json(exchange: Exchange, value: Any) -> WSGIApplication:
    return exchange.reply(200, json.dumps(value, ensure_ascii=False) + "\n", "application/json", _HEADERS)


@cache
def _file(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
