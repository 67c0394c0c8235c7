"""`CsrfMiddleware`: refuse requests that change something and that another site sent."""

from __future__ import annotations

__all__ = ["CsrfMiddleware", "Verdict"]

import re
from collections.abc import Iterable
from typing import Any, Literal

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.csrf_decision import ALLOWED, SAFE_METHODS, explain, judge
from wsgikit.http.origins import required_origin
from wsgikit.middleware.csrf.form_field import find_field
from wsgikit.middleware.csrf.tokens import CookieTokens, NoTokens, SessionTokens, TokenKeeper
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.options.flags import check_flags
from wsgikit.options.secrets import Secret
from wsgikit.wsgi import CSRF, SESSION, Environ, WSGIApplication, name_request

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_VARY = "Origin, Sec-Fetch-Site, Cookie"


class Verdict:
    """Whether a request may change something, and why. It is under ``wsgikit.csrf``.

    A token is looked for when the verdict is first read, so that a body isn't read for a view that is exempt.

    Attributes:
        is_token_issued: whether the response has a token of this visitor, so that no shared cache may store it.
    """

    __slots__ = ("_awaits_token", "_exchange", "_layer", "_reason", "is_token_issued")

    def __init__(self, layer: CsrfMiddleware, exchange: Exchange, reason: str, awaits_token: bool = False) -> None:
        self._layer = layer
        self._exchange = exchange
        self._reason = reason
        self._awaits_token = awaits_token
        self.is_token_issued = False

    @property
    def reason(self) -> str:
        """The reason, such as ``"same-origin"`` or ``"token-missing"``."""
        if self._awaits_token:
            self._awaits_token = False
            self._reason = self._layer.check_token(self._exchange, self._reason)
        return self._reason

    @property
    def allowed(self) -> bool:
        """Whether the request is allowed."""
        return self.reason in ALLOWED

    def exempt(self) -> None:
        """Allow the request, whatever the verdict was."""
        self._awaits_token = False
        self._reason = "exempt"

    def get_token(self) -> str:
        """Return the token for a form of this visitor; another text at each call."""
        token = self._layer.tokens.issue(self._exchange)
        self.is_token_issued = bool(token)
        return token

    @property
    def is_report_only(self) -> bool:
        """Whether requests that aren't allowed are only logged."""
        return self._layer.report_only

    @property
    def field(self) -> str:
        """The name of the form's field."""
        return self._layer.field

    def __repr__(self) -> str:
        return f"<Verdict {'pending' if self._awaits_token else self._reason}>"


class CsrfMiddleware(Middleware):
    """Refuse requests by POST, PUT, PATCH, DELETE and the like that another site sent, with a 403.

    Use it around every application whose visitors log in by cookies or by HTTP authentication. The application needs
    no change: browsers say by themselves where a request comes from (``Sec-Fetch-Site``, ``Origin``). A token in the
    form is needed only if a browser says neither, as old ones and those on a plain http network do. Don't use it for
    an API that other sites call and that takes its credentials from their own header.

    Place: inside `SessionMiddleware`, which keeps the token, outside of whatever changes something. Environ: needs
    ``wsgikit.session`` unless ``tokens="never"`` or `cookie` is given; provides ``wsgikit.csrf``, an object with
    ``allowed`` and ``reason``. A layer further in that answers such requests itself has to obey it.

    Args:
        app: the WSGI application to wrap.
        trusted_origins: origins of other sites that may send anything: ``"https://admin.example.com"``.
        tokens: ``"fallback"`` asks for a token if the browser says nothing and there are credentials; ``"never"``
            lets such requests pass; ``"always"`` asks for one from our own pages, too.
        field: the form's field with the token. ``csrf_field()`` in a template writes it.
        header: the header with the token, for scripts. ``csrf_token()`` in a template is its value.
        cookie: the name of a cookie that keeps the token, signed with `secret_key`; None keeps it in the session.
            A name that begins with ``__Host-`` can't be set by a neighbouring site.
        secret_key: what signs that cookie, or several secrets of which the first signs.
        report_only: whether requests that would be refused are only logged.

    Raises:
        ConfigurationError: an origin with a path, a slash at its end or without a scheme; another option that can't
            work.

    The decision is that of Go's ``http.CrossOriginProtection``; `wsgikit.http.csrf_decision` has it as a table.
    Each refusal is logged with its reason (logger ``wsgikit.csrf``). ``policy(csrf=False)`` exempts a view. A form is
    read as far as its token, at most 1 MiB, and can be read again.

    Example::

        stack = build_stack(app, use(SessionMiddleware, secret_key=SECRET), use(CsrfMiddleware))
    """

    request_policy = ("csrf",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        trusted_origins: str | Iterable[str] = (),
        tokens: Literal["fallback", "never", "always"] = "fallback",
        field: str = "csrf_token",
        header: str = "X-CSRF-Token",
        cookie: str | None = None,
        secret_key: Secret | None = None,
        report_only: bool = False,
    ) -> None:
        super().__init__(app)
        where = "CsrfMiddleware"
        check_flags(where, report_only=report_only)
        if tokens not in ("fallback", "never", "always"):
            raise ConfigurationError(complaint(where, "tokens", "'fallback', 'never' or 'always'", tokens))
        if not isinstance(field, str) or not field:
            raise ConfigurationError(complaint(where, "field", "the name of a form's field", field))
        if not isinstance(header, str) or not _TOKEN.fullmatch(header):
            raise ConfigurationError(complaint(where, "header", "the name of a header", header))
        if secret_key is not None and cookie is None:
            remedy = "The session signs the token that it keeps"
            raise ConfigurationError(f"{where}: secret_key: expected cookie= beside it. {remedy}.")
        listed = (trusted_origins,) if isinstance(trusted_origins, str) else tuple(trusted_origins)
        self.trusted_origins = frozenset(required_origin(one, where, "trusted_origins") for one in listed)
        self.mode: Literal["fallback", "never", "always"] = tokens
        self.field = field
        self.header = header
        self.cookie = cookie
        self.report_only = report_only
        self.tokens: TokenKeeper
        if tokens == "never":
            self.tokens = NoTokens()
        elif cookie is not None:
            self.tokens = CookieTokens(where, cookie, secret_key)
        else:
            self.tokens = SessionTokens()
            self.requires = (SESSION,)
        self.provides = (CSRF,)
        self._header_key = "HTTP_" + header.upper().replace("-", "_")

    def before_request(self, exchange: Exchange) -> None:
        """Judge the request by its headers; the verdict is read before the view."""
        environ = exchange.environ
        method = environ["REQUEST_METHOD"]
        if method in SAFE_METHODS:
            environ[CSRF] = Verdict(self, exchange, "safe-method")
        else:
            environ[CSRF] = Verdict(self, exchange, *self._judge(environ, method))

    def before_view(self, exchange: Exchange) -> WSGIApplication | None:
        """Refuse what another site sent, unless the view is exempt."""
        environ = exchange.environ
        method = environ["REQUEST_METHOD"]
        if method in SAFE_METHODS:
            return None
        verdict: Verdict = environ[CSRF]
        if verdict.reason == "safe-method":  # a layer further in has made another method of it
            verdict = environ[CSRF] = Verdict(self, exchange, *self._judge(environ, method))
        if exchange.policy.get("csrf") is False:
            verdict.exempt()
            return None
        if verdict.allowed:
            return None
        self._log(environ, verdict.reason)
        if self.report_only:
            return None
        visitor, developer = explain(verdict.reason)
        return Refusal(403, f"{visitor} ({verdict.reason}) For developers: {developer}", [("Vary", _VARY)])

    def check_token(self, exchange: Exchange, reason: str) -> str:
        """Return ``"token"`` if the right token came with the request; why not otherwise.

        Args:
            exchange: the request.
            reason: the reason of the refusal if no token came.
        """
        environ = exchange.environ
        token = environ.get(self._header_key) or find_field(environ, self.field)
        if not token:
            return reason
        if self.tokens.matches(exchange, token):
            return "token"
        return "token-wrong" if reason == "token-missing" else reason

    def make_cookie(self, *, is_https: bool) -> tuple[str, str]:
        """Return a new token and its ``Set-Cookie`` value, with the option `cookie`: for tests.

        Raises:
            ApplicationError: the token is kept in the session.
        """
        if not isinstance(self.tokens, CookieTokens):
            raise ApplicationError("CsrfMiddleware.make_cookie: expected cookie=, got tokens in the session.")
        return self.tokens.make_cookie(is_https=is_https)

    def _judge(self, environ: Environ, method: str) -> tuple[str, bool]:
        return judge(
            method,
            environ.get("HTTP_SEC_FETCH_SITE"),
            environ.get("HTTP_ORIGIN"),
            environ.get("HTTP_HOST", ""),
            trusted=self.trusted_origins,
            has_credentials="HTTP_COOKIE" in environ or "HTTP_AUTHORIZATION" in environ,
            tokens=self.mode,
        )

    def _log(self, environ: Environ, reason: str) -> None:
        import logging  # costs start-up time, and only a refusal logs

        said: list[Any] = [
            f"{label} {str(environ[key])[:200]!a}"
            for label, key in (("Origin", "HTTP_ORIGIN"), ("Sec-Fetch-Site", "HTTP_SEC_FETCH_SITE"))
            if key in environ
        ]
        logging.getLogger("wsgikit.csrf").warning(
            "%s %s: %s (%s, Host %s). %s",
            name_request(environ),
            "would be refused" if self.report_only else "refused",
            reason,
            ", ".join(said) or "neither Origin nor Sec-Fetch-Site",
            ascii(str(environ.get("HTTP_HOST", ""))[:200]),
            explain(reason)[1],
        )
