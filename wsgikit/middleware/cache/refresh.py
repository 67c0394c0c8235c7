"""Refreshes a stale page when the client that found it has its response."""

from __future__ import annotations

__all__ = ["refresh"]

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from wsgikit.middleware.cache.entry import Entry
from wsgikit.middleware.cache.fetch import Fetch, with_policy
from wsgikit.middleware.cache.keeper import Keeper
from wsgikit.middleware.cache.privacy import has_secret, has_user
from wsgikit.middleware.cache.request import ask_to_validate
from wsgikit.onion.log import log_error
from wsgikit.wsgi import HeaderList, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange


def refresh(app: WSGIApplication, exchange: Exchange, fetch: Fetch, stale: Entry, keeper: Keeper) -> None:
    """Ask the application for a page, as an attempt of the request that found it stale, and store the response.

    An error is logged: the client has its response.
    """
    environ = exchange.environ
    before = dict(environ)
    environ.clear()
    environ.update(fetch.request)
    environ["REQUEST_METHOD"] = "GET"
    ask_to_validate(environ, stale)
    try:
        exchange.begin_attempts()()
        answer = _call(app, environ, keeper.max_entry_bytes)
        if answer is None:
            return
        status, headers, body = answer
        fetch.has_user, fetch.has_secret = has_user(environ, fetch.request), has_secret(environ)
        wanted = exchange.policy.get("cache")
        if status[:3] == "304":
            keeper.freshen(fetch, stale, headers, wanted)
            return
        pairs = with_policy(headers, wanted, fetch.has_user) if status < "4" else headers
        entry = keeper.judge(fetch, status, pairs, wanted)
        if entry is None:
            keeper.reject(fetch, int(status[:3]))
        else:
            keeper.save(fetch, entry, body)
    except Exception as error:  # noqa: BLE001  # the client has its response
        log_error(fetch.request, error, "while the cache refreshed a page")
    finally:
        keeper.flights.end(fetch.flight, "failed")
        environ.clear()
        environ.update(before)


def _call(app: WSGIApplication, environ: Any, room: int) -> tuple[str, HeaderList, bytes] | None:
    """Return status, headers and the whole body; None if it is larger than `room`."""
    head: list[tuple[str, HeaderList]] = []
    chunks: list[bytes] = []

    def start_response(status: str, headers: HeaderList, exc_info: Any = None, /) -> Callable[[bytes], object]:
        head[:] = [(status, headers)]
        return chunks.append

    body: Iterable[bytes] = app(environ, start_response)
    try:
        for chunk in body:
            chunks.append(chunk)
            room -= len(chunk)
            if room < 0:
                return None
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return (*head[0], b"".join(chunks))
