"""A shared cache in front of any application (RFC 9111)."""

from __future__ import annotations

__all__ = ["CacheMiddleware"]

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.etags import evaluate_preconditions, parse_last_modified, unmodified_head
from wsgikit.http.headers import Headers
from wsgikit.middleware.cache.answer import Answer, Copied, age_of, answer_with
from wsgikit.middleware.cache.entry import Entry, Limits, PageKey, has_authorization, may_answer, page_key
from wsgikit.middleware.cache.fetch import Fetch, with_policy
from wsgikit.middleware.cache.flights import Flights
from wsgikit.middleware.cache.invalidation import changed_pages
from wsgikit.middleware.cache.keeper import Keeper
from wsgikit.middleware.cache.privacy import has_secret, has_user
from wsgikit.middleware.cache.refresh import refresh
from wsgikit.middleware.cache.request import (
    ask_to_validate,
    has_body,
    is_special,
    is_wanted,
    read_wishes,
    restore_conditions,
)
from wsgikit.middleware.cache.stores import CacheStore, open_cache
from wsgikit.onion.log import log_error
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.whole import take_whole
from wsgikit.options.amounts import check_amount
from wsgikit.wsgi import DEADLINE, Environ, WSGIApplication

if TYPE_CHECKING:
    from wsgikit.onion.exchange import Exchange

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"})
_WAIT_SECONDS = 5.0  # how long a request waits for one that fetches the same page; then it asks the application itself
_HIT = ("Cache-Status", "wsgikit; hit")


class CacheMiddleware(Middleware):
    """Keeps responses, and answers with them as long as they are fresh: a shared cache by RFC 9111.

    The application decides: what has ``Cache-Control: max-age=60``, ``s-maxage`` or ``Expires`` is stored, by URL and
    ``Vary``. Nothing is guessed. Never stored are responses that are ``private`` or ``no-store``; those with
    ``Set-Cookie``, a nonce of the Content-Security-Policy or a token of `CsrfMiddleware`; those to requests with
    ``Authorization`` or a ``REMOTE_USER`` unless they are ``public``; and those for which the session was read, unless
    they say ``public`` or ``Vary: Cookie``. One request fetches a page, and others of the same process wait for it or
    get the stale one. A POST, PUT or DELETE that succeeds removes the page of its URL. ``If-None-Match`` and ranges are
    answered from the stored response.

    Use it for pages that many visitors see alike. Leave it out if each page depends on the visitor, or if a CDN or
    proxy in front caches already. Streams are stored when they came to their end; files of the server's
    ``wsgi.file_wrapper`` and what is sent by ``write()`` never.

    It belongs outside compression and conditional requests, and inside layers that make something for each response:
    security headers, request ids, rate limits. Needs no environ key, provides none.

    A view sets its own time with ``@policy(cache=60)``: ``Cache-Control: max-age=60`` if it set none. It isn't stored
    if the session or a user was touched. ``cache=False`` keeps a response from being stored.

    Args:
        app: the WSGI application to wrap.
        store: ``"memory://"`` for each process, ``"redis://host:6379/0"`` for all.
        max_entry_bytes: larger responses are not stored.
        max_bytes: how much the store in memory holds; Redis has ``maxmemory``.
        default_seconds: how long responses are fresh that don't say it. They are stored and sent only if the request
            has neither cookies nor ``Authorization``.
        stale_while_revalidate_seconds: for how long a stale response may be sent while it is refreshed, for responses
            that don't say it. The request that finds it stale gets it, and refreshes it when the client has it.
        stale_if_error_seconds: for how long a stale response may be sent if the application raises or answers 5xx, for
            responses that don't say it.
        key_headers: request headers that every response depends on, besides those of its ``Vary``.
        tags_header: the response header with the tags that `purge` takes.

    Raises:
        ConfigurationError: a store that is unknown or whose package isn't installed, or an option of the wrong type.

    Example::

        from wsgikit import CacheMiddleware, build_stack, use

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60")])
            return [b"Hello"]

        stack = build_stack(app, use(CacheMiddleware))
    """

    response_policy: ClassVar[tuple[str, ...]] = ("cache",)
    outside_of: ClassVar[tuple[str | type, ...]] = ("SessionMiddleware",)
    teardown_needs_state: ClassVar[bool] = True

    def __init__(
        self,
        app: WSGIApplication,
        *,
        store: str | CacheStore = "memory://",
        max_entry_bytes: int = 1_048_576,
        max_bytes: int = 67_108_864,
        default_seconds: int | None = None,
        stale_while_revalidate_seconds: int = 0,
        stale_if_error_seconds: int = 0,
        key_headers: Sequence[str] = (),
        tags_header: str = "Cache-Tag",
    ) -> None:
        super().__init__(app)
        where = type(self).__name__
        if isinstance(key_headers, str) or not all(_is_name(name) for name in key_headers):
            remedy = "('Accept-Language',)"
            raise ConfigurationError(complaint(where, "key_headers", "a list of names", key_headers, remedy))
        if not _is_name(tags_header):
            raise ConfigurationError(complaint(where, "tags_header", "the name of a header", tags_header))
        max_entry_bytes = check_amount(where, "max_entry_bytes", max_entry_bytes, minimum=1)
        max_bytes = check_amount(where, "max_bytes", max_bytes, minimum=1)
        if default_seconds is not None:
            default_seconds = check_amount(where, "default_seconds", default_seconds)
        limits = Limits(
            default_seconds,
            check_amount(where, "stale_while_revalidate_seconds", stale_while_revalidate_seconds),
            check_amount(where, "stale_if_error_seconds", stale_if_error_seconds),
            tags_header.lower(),
        )
        self.store: CacheStore = open_cache(where, store, max_bytes)
        self._flights = Flights()
        keys = tuple(sorted({name.lower() for name in key_headers}))
        self._keeper = Keeper(self.store, self._flights, limits, keys, max_entry_bytes)

    # ------------------------------------------------------------------ the hooks

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer with a stored response, if there is one that may be used."""
        environ = exchange.environ
        method = environ["REQUEST_METHOD"]
        if method != "GET" and method != "HEAD":
            return None
        key = page_key(environ)
        entry = self.store.load(key, environ)
        now = time.time()
        if entry is None or method == "HEAD" or is_special(environ) or now >= entry.fresh_until:
            return self._consider(exchange, key, entry)
        if (entry.names or entry.is_anonymous) and not may_answer(entry, environ):
            return self._consider(exchange, key, entry)
        if "HTTP_IF_NONE_MATCH" not in environ:
            return Answer(entry.status, [*entry.headers, age_of(entry, now), _HIT], [entry.body])
        if environ["HTTP_IF_NONE_MATCH"] == entry.etag:
            return Answer("304 Not Modified", [*entry.headers_unmodified, age_of(entry, now), _HIT], [])
        return self._consider(exchange, key, entry)

    def after_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Store the response, or send the stored one if it is still valid or the application failed."""
        known = exchange.known_state
        fetch: Fetch | None = None if known is None else known.pop(self, None)
        if fetch is None:
            if exchange.environ["REQUEST_METHOD"] not in _SAFE and exchange.status_code < 400:
                for key in changed_pages(page_key(exchange.environ), exchange.header_list):
                    self._remove(key)
            return None
        try:
            return self._receive(exchange, fetch)
        except BaseException:
            self._flights.end(fetch.flight, "failed")
            raise

    def handle_exception(self, exchange: Exchange, error: Exception) -> WSGIApplication | None:
        """Send the stale response, if that is allowed."""
        known = exchange.known_state
        fetch: Fetch | None = None if known is None else known.pop(self, None)
        if fetch is None:
            return None
        self._flights.end(fetch.flight, "failed")
        restore_conditions(exchange.environ, fetch.request)
        if fetch.stale is None or time.time() >= fetch.stale.error_until:
            return None
        log_error(exchange.environ, error, "in the application; the cache sends a stale response")
        return answer_with(fetch.stale, fetch.request, f"wsgikit; hit; fwd={fetch.reason}; detail=error")

    def teardown_request(self, exchange: Exchange) -> None:
        """Let those go on that wait for this request."""
        known = exchange.known_state
        if known is not None and self in known:
            self._flights.end(known.pop(self).flight, "failed")

    def close(self) -> None:
        """Give back the store's connections, or its memory."""
        self.store.close()

    # ------------------------------------------------------------------ purging

    def purge(self, tag: str) -> int:
        """Remove the pages with a tag, in all variants; return how many they were."""
        self._flights.outdate(lambda key: True)  # the tags of those that are on their way are not known yet
        return self.store.purge(tag)

    def purge_prefix(self, path: str) -> int:
        """Remove the pages of all hosts whose path begins with `path`; return how many they were.

        It is a text: ``"/news"`` is the beginning of ``"/newsletter"``, too.
        """
        self._flights.outdate(lambda key: (key[2] + key[3]).startswith(path))
        return self.store.purge_prefix(path)

    def _remove(self, key: PageKey) -> None:
        self._flights.outdate(lambda other: other == key)
        self.store.remove(key)

    # ------------------------------------------------------------------ the way in

    def _consider(self, exchange: Exchange, key: PageKey, entry: Entry | None) -> WSGIApplication | None:
        """Judge a request that can't be answered at once."""
        environ = exchange.environ
        if has_body(environ) or "HTTP_IF_MATCH" in environ or "HTTP_IF_UNMODIFIED_SINCE" in environ:
            return None  # a body is no part of the key; the conditions are for the application (RFC 9111 §4.3.2)
        wishes = read_wishes(environ)
        if entry is not None and not may_answer(entry, environ):
            entry = None
        now = time.time()
        if entry is not None and is_wanted(entry, wishes, now):
            if now < entry.fresh_until:
                return answer_with(entry, environ, _HIT[1])
            if now < entry.revalidated_until:
                return self._refresh_later(exchange, key, entry)
        if "only-if-cached" in wishes:
            return Refusal(504, "The page is not in the cache.")
        if environ["REQUEST_METHOD"] == "HEAD" or "HTTP_RANGE" in environ:
            return None
        return self._forward(exchange, key, entry, may_wait=not wishes and not has_authorization(environ))

    def _forward(
        self, exchange: Exchange, key: PageKey, entry: Entry | None, *, may_wait: bool
    ) -> WSGIApplication | None:
        """Let the application make the page, unless another request does and this one can have its response."""
        environ = exchange.environ
        reason = "uri-miss" if entry is None else "stale" if time.time() >= entry.fresh_until else "request"
        if may_wait:
            flight = self._flights.begin_or_wait(key, self._wait_of(environ))
            entry = self.store.load(key, environ)  # it may have come meanwhile
            if entry is not None and not may_answer(entry, environ):
                entry = None
            if entry is not None and time.time() < entry.fresh_until:
                if flight is not None:
                    self._flights.end(flight, "stored")
                return answer_with(entry, environ, f"wsgikit; fwd={reason}; collapsed")
        else:
            flight = None
        if flight is None:
            flight = self._flights.begin(key, may_lead=may_wait)
        exchange.state[self] = Fetch(key, dict(environ), flight, self.store.mark(key), reason, entry)
        if entry is not None:
            ask_to_validate(environ, entry)
        return None

    def _wait_of(self, environ: Environ) -> float:
        deadline: float | None = environ.get(DEADLINE)
        return _WAIT_SECONDS if deadline is None else min(_WAIT_SECONDS, (deadline - time.monotonic()) / 2)

    def _refresh_later(self, exchange: Exchange, key: PageKey, entry: Entry) -> WSGIApplication:
        """Answer with a stale entry. If nobody refreshes it, do so when the client has it."""
        environ = exchange.environ
        status = "wsgikit; hit; fwd=stale"
        flight = self._flights.begin(key)
        if not flight.is_leader:
            self._flights.end(flight, "failed")
            return answer_with(entry, environ, status)
        exchange.on_teardown(lambda: self._flights.end(flight, "failed"))
        fetch = Fetch(key, dict(environ), flight, self.store.mark(key), "stale", entry)
        return answer_with(entry, environ, status, lambda: refresh(self.app, exchange, fetch, entry, self._keeper))

    # ------------------------------------------------------------------ the way out

    def _receive(self, exchange: Exchange, fetch: Fetch) -> WSGIApplication | None:
        """Judge the response of the application."""
        environ, stale = exchange.environ, fetch.stale
        if stale is not None:
            restore_conditions(environ, fetch.request)
        code = exchange.status_code
        if stale is not None and code >= 500 and time.time() < stale.error_until:
            self._flights.end(fetch.flight, "failed")
            status = f"wsgikit; hit; fwd={fetch.reason}; fwd-status={code}"
            return answer_with(stale, fetch.request, status)
        fetch.has_user, fetch.has_secret = has_user(environ, fetch.request), has_secret(environ)
        wanted = exchange.policy.get("cache")
        if stale is not None and code == 304:
            entry = self._keeper.freshen(fetch, stale, exchange.header_list, wanted)
            return answer_with(entry, fetch.request, f"wsgikit; hit; fwd={fetch.reason}; fwd-status=304")
        if wanted and code < 400:
            pairs = with_policy(exchange.header_list, wanted, fetch.has_user)
            if pairs is not exchange.header_list:
                exchange.headers.add(*pairs[-1])
        is_stored = self._store_response(exchange, fetch, wanted)
        if stale is not None and code == 200 and not exchange.is_streaming:
            _answer_conditions(exchange)
        status = f"wsgikit; fwd={fetch.reason}{'; stored' if is_stored else ''}"
        exchange.headers.as_list().append(("Cache-Status", status))  # made here: it needs no check
        return None

    def _store_response(self, exchange: Exchange, fetch: Fetch, wanted: Any) -> bool:
        """Store a response, or arrange that it is stored when it came to its end; return whether it may be."""
        room = self._keeper.max_entry_bytes
        entry = self._keeper.judge(fetch, exchange.status or "", exchange.header_list, wanted)
        if entry is None:
            self._keeper.reject(fetch, exchange.status_code)
            return False
        whole = take_whole(exchange, room)
        length = _length_of(entry)
        if whole is not None:
            size = sum(map(len, whole))
            if size > room or (length is not None and length != size):
                self._keeper.reject(fetch, exchange.status_code)
                return False
            self._keeper.save(fetch, entry, b"".join(whole))
            return True
        if not exchange.is_streaming or exchange.body is None or (length or 0) > room:
            self._keeper.reject(fetch, exchange.status_code)
            return False
        self._copy(exchange, fetch, entry, length)
        return True

    def _copy(self, exchange: Exchange, fetch: Fetch, entry: Entry, length: int | None) -> None:
        """Keep a stream while it is sent, and store it at its end. Nobody waits for it: the client may be slow."""
        environ = exchange.environ

        def save(body: bytes) -> None:
            if not has_secret(environ) and has_user(environ, fetch.request) == fetch.has_user:
                self._keeper.save(fetch, entry, body)

        self._flights.release(fetch.flight)
        exchange.on_teardown(lambda: self._flights.end(fetch.flight, "failed"))
        body: Iterable[bytes] = exchange.body or ()
        exchange.body = Copied(body, self._keeper.max_entry_bytes, length, save)


def _answer_conditions(exchange: Exchange) -> None:
    """Make a 304 of a 200 if the client has it: the application was asked with the conditions of the cache."""
    headers = exchange.headers
    modified = parse_last_modified(headers.get("Last-Modified"))
    if evaluate_preconditions(exchange.environ, headers.get("ETag"), modified) == 304:
        exchange.status = "304 Not Modified"
        exchange.headers = Headers(unmodified_head(headers))
        exchange.body = []


def _length_of(entry: Entry) -> int | None:
    given = entry.header("content-length")
    return int(given[:18]) if given is not None and given.isascii() and given.isdigit() else None


def _is_name(name: object) -> bool:
    return isinstance(name, str) and name != "" and name.replace("-", "").isalnum() and name.isascii()
