"""`MaintenanceMiddleware`: a 503 for visitors while a flag is set, and a way past it for those who work on the site."""

from __future__ import annotations

__all__ = ["BYPASS_COOKIE", "BYPASS_SECONDS", "MaintenanceMiddleware", "is_bypass", "make_bypass"]

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from wsgikit.crypto.random import random_text
from wsgikit.crypto.signing import TimedSigner
from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.addresses import is_in, parse_networks
from wsgikit.http.cookies import cookie_finder
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.options.amounts import check_amount
from wsgikit.options.secrets import Secret, check_secrets
from wsgikit.wsgi import Environ, StartResponse, WSGIApplication

logger = logging.getLogger("wsgikit.maintenance")

BYPASS_COOKIE = "wsgikit_maintenance"
BYPASS_SECONDS = 8 * 3600  # a working day
_SALT = b"wsgikit.maintenance"
_LOOK_SECONDS = 1.0  # between two looks at the flag
_DETAIL = "The site is being worked on. Try again later."
_find_bypass = cookie_finder(BYPASS_COOKIE)


def make_bypass(secrets: Sequence[bytes]) -> str:
    """Return the value of a cookie that lets its owner in during maintenance, for `BYPASS_SECONDS`."""
    return TimedSigner(secrets, _SALT).sign(random_text().encode()).decode("ascii")


def is_bypass(signer: TimedSigner, token: str, now: float) -> bool:
    """Return whether a value is one that `make_bypass` made with the same secret less than `BYPASS_SECONDS` ago."""
    try:
        found = signer.unsign_timed(token.encode("ascii"))
    except UnicodeError:
        return False
    return found is not None and 0 <= now - found[1] < BYPASS_SECONDS


class _Flag:
    """Whether maintenance is on, looked up at most once a second."""

    __slots__ = ("_look", "expires", "is_on")

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self.is_on = False
        self.expires = 0.0

    def refresh(self, now: float) -> None:
        """Look again. If that fails, what was known before stays."""
        self.expires = now + _LOOK_SECONDS  # first, so that other threads don't look as well
        try:
            is_on = bool(self._look())
        except Exception:
            logger.exception("MaintenanceMiddleware: flag: can't be read. It stays %s.", "on" if self.is_on else "off")
            return
        if is_on != self.is_on:
            logger.warning("Maintenance is %s.", "on" if is_on else "off")
        self.is_on = is_on


class MaintenanceMiddleware(Middleware):
    """Answer with a 503 while a flag is set: a file that exists, or a function that returns True.

    Use it for migrations and repairs: ``wsgikit maintenance on app.ini`` and ``off`` make and remove the file, and
    every process notices within a second. Those who work on the site get in from the addresses of `allow`, or with the
    cookie that ``wsgikit maintenance bypass app.ini`` prints. It isn't for a planned end of the process: that is
    `HealthMiddleware` and ``wsgikit drain``.

    Place: inside `ProxyHeadersMiddleware`, `ErrorPagesMiddleware` and `HealthMiddleware`, outside of the session and
    the database. Environ: reads ``REMOTE_ADDR`` and the cookie ``wsgikit_maintenance``.

    Args:
        app: the WSGI application to wrap.
        flag: the path of a file, or a function without arguments. It is looked at once a second at most.
        allow: addresses and networks of clients that get in.
        retry_after_seconds: the value of ``Retry-After``.
        page: the path of an HTML file for browsers. Other clients get problem+json or text. None is a short page of
            our own, or that of `ErrorPagesMiddleware`.
        secret_key: signs the cookie; several, the first of which signs. Without it no cookie lets anybody in.

    Raises:
        ConfigurationError: an option that can't work.

    If the function raises, that is logged, and the last known state stays.

    Example::

        stack = build_stack(app, use(MaintenanceMiddleware, flag="/run/app/maintenance", allow=["10.0.0.0/8"]))
    """

    inside_of = ("HealthMiddleware",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        flag: str | Callable[[], bool],
        allow: str | Iterable[str] = (),
        retry_after_seconds: int = 300,
        page: str | None = None,
        secret_key: Secret | None = None,
    ) -> None:
        super().__init__(app)
        where = "MaintenanceMiddleware"
        if not callable(flag) and (not isinstance(flag, str) or not flag):
            raise ConfigurationError(complaint(where, "flag", "the path of a file, or a function", flag))
        self.flag = flag
        self.allow = parse_networks(where, "allow", allow)
        self.retry_after_seconds = check_amount(where, "retry_after_seconds", retry_after_seconds, minimum=1)
        self.secrets = () if secret_key is None else check_secrets(where, secret_key)
        self._signer = TimedSigner(self.secrets, _SALT) if self.secrets else None
        retry = ("Retry-After", str(self.retry_after_seconds))
        self._refusal = Refusal(503, _DETAIL, [retry])
        self._page = None if page is None else _Page(_read_page(where, page), retry, self._refusal)
        self._flag = _Flag(flag if callable(flag) else _file_exists(os.path.abspath(flag)))
        self._use_fast_hook()

    def _use_fast_hook(self) -> None:
        flag, clock, refuse = self._flag, monotonic, self._refuse

        def before_request(exchange: Exchange) -> WSGIApplication | None:
            now = clock()
            if now >= flag.expires:
                flag.refresh(now)
            return refuse(exchange) if flag.is_on else None

        self._hasten(MaintenanceMiddleware, before_request)

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        """Answer with a 503 if maintenance is on and the client may not come in."""
        now = monotonic()
        if now >= self._flag.expires:
            self._flag.refresh(now)
        return self._refuse(exchange) if self._flag.is_on else None

    def _refuse(self, exchange: Exchange) -> WSGIApplication | None:
        environ = exchange.environ
        if self.allow and is_in(environ.get("REMOTE_ADDR"), self.allow):
            return None
        if self._signer is not None:
            tokens = _find_bypass(environ.get("HTTP_COOKIE", ""))
            if any(is_bypass(self._signer, token, time.time()) for token in tokens):
                return None
        return self._page or self._refusal


class _Page:
    """Answers browsers with a page of the site's own, and other clients with the refusal."""

    def __init__(self, content: bytes, retry: tuple[str, str], refusal: Refusal) -> None:
        self._content = content
        self._refusal = refusal
        self._headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            ("Vary", "Accept"),
            retry,
        ]

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        from wsgikit.http.accept import choose_form  # only during maintenance

        if choose_form(environ.get("HTTP_ACCEPT")) != "html":
            return self._refusal(environ, start_response)
        start_response("503 Service Unavailable", list(self._headers))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [self._content]


def _file_exists(path: str) -> Callable[[], bool]:
    return lambda: os.path.exists(path)


def _read_page(where: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, TypeError) as error:
        raise ConfigurationError(
            complaint(where, "page", "the path of an HTML file that can be read", path, str(error))
        ) from error
