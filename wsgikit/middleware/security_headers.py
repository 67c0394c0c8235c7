"""`SecurityHeadersMiddleware`: the headers by which browsers protect a page, Helmet's defaults."""

from __future__ import annotations

__all__ = ["NONCE", "Nonce", "SecurityHeadersMiddleware", "make_private"]

import os
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from wsgikit.crypto.signing import encode_base64
from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.csp import DEFAULT_DIRECTIVES, NONCE, Csp, build_csp, build_permissions_policy
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import CSP_NONCE, WSGIApplication

_NONCE_BYTES = 18  # 144 bits; CSP3 §2.3.1 asks for at least 128, and 18 bytes are base64 without padding
_UNCHANGED = object()
_MOST_VIEWS = 1000  # a view makes its policy once; more than this are made for each request
_CSP = "Content-Security-Policy"
_REPORT_ONLY = "Content-Security-Policy-Report-Only"
_REFERRER = frozenset(
    (
        *("no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin", "same-origin"),
        *("strict-origin", "strict-origin-when-cross-origin", "unsafe-url"),
    )
)
# The header of each option, and what may be written for it.
_FIXED: dict[str, tuple[str, tuple[str, ...]]] = {
    "opener_policy": (
        "Cross-Origin-Opener-Policy",
        ("same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"),
    ),
    "resource_policy": ("Cross-Origin-Resource-Policy", ("same-origin", "same-site", "cross-origin")),
    "embedder_policy": ("Cross-Origin-Embedder-Policy", ("require-corp", "credentialless", "unsafe-none")),
    "origin_agent_cluster": ("Origin-Agent-Cluster", ("?1", "?0")),
    "content_type_options": ("X-Content-Type-Options", ("nosniff",)),
    "dns_prefetch_control": ("X-DNS-Prefetch-Control", ("off", "on")),
    "download_options": ("X-Download-Options", ("noopen",)),
    "frame_options": ("X-Frame-Options", ("SAMEORIGIN", "DENY")),
    "permitted_cross_domain_policies": (
        "X-Permitted-Cross-Domain-Policies",
        ("none", "master-only", "by-content-type", "all"),
    ),
    "xss_protection": ("X-XSS-Protection", ("0",)),
}


class Nonce:
    """The nonce of one response, made when it is first asked for: call it, or take it as text.

    It is under ``wsgikit.csp_nonce``; a template of any framework writes ``<script nonce="{{ nonce }}">``.
    """

    __slots__ = ("_exchange", "_value")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._value: str | None = None

    @property
    def is_used(self) -> bool:
        """Whether the nonce was asked for: only then it is in the header."""
        return self._value is not None

    def __call__(self) -> str:
        """Return the nonce: base64 of 144 random bits, always the same in one request.

        Raises:
            ApplicationError: the head has left, and it can't name the nonce any more.
        """
        if self._value is None:
            if self._exchange.is_head_sent:
                raise ApplicationError(
                    "csp_nonce: the head of the response has left without it. Ask for it before the first chunk."
                )
            self._value = encode_base64(os.urandom(_NONCE_BYTES)).decode("ascii")
        return self._value

    __str__ = __call__

    def __repr__(self) -> str:
        return f"<Nonce {'used' if self.is_used else 'not used'}>"


def make_private(cache_control: str | None) -> str:
    """Return a ``Cache-Control`` by which no shared cache stores the response (RFC 9111 §5.2.2.7)."""
    parts = [part for piece in (cache_control or "").split(",") if (part := piece.strip())]
    names = [part.partition("=")[0].strip().lower() for part in parts]
    if "no-store" in names or "private" in parts:
        return cache_control or ""
    kept = [part for part, name in zip(parts, names, strict=True) if name not in ("public", "s-maxage", "private")]
    return ", ".join([*kept, "private"])


class SecurityHeadersMiddleware(Middleware):
    """Add the security headers that Helmet adds, Content-Security-Policy among them, to every response.

    Use it around every application that browsers visit. A legacy application with inline scripts begins with
    ``csp=None, csp_report_only={}``: the browser reports what the policy would block, and blocks nothing.

    Place: outside of everything that answers; it may stand inside `ErrorPagesMiddleware`: its headers are on error
    pages, too. HSTS is the business of `HttpsMiddleware`. Environ: provides ``wsgikit.csp_nonce``, which is called for
    the nonce of the response.

    Args:
        app: the WSGI application to wrap.
        csp: changes to the default policy, such as ``{"script-src": ["'self'", NONCE], "img-src": None}``. None as a
            value removes a directive. None for all leaves the header out.
        csp_report_only: a policy whose violations are only reported, likewise changes to the default; None is none.
        csp_defaults: whether `csp` and `csp_report_only` begin with Helmet's defaults; False begins empty.
        csp_upgrade: whether ``upgrade-insecure-requests`` is sent ``"always"``, or with ``"https"`` only if the
            request came by https. On a site without https it breaks every image and script.
        opener_policy: ``Cross-Origin-Opener-Policy``. For this and each header below None leaves it out.
        resource_policy: ``Cross-Origin-Resource-Policy``.
        embedder_policy: ``Cross-Origin-Embedder-Policy``.
        origin_agent_cluster: ``Origin-Agent-Cluster``.
        referrer_policy: ``Referrer-Policy``; several are separated by commas.
        content_type_options: ``X-Content-Type-Options``.
        dns_prefetch_control: ``X-DNS-Prefetch-Control``.
        download_options: ``X-Download-Options``.
        frame_options: ``X-Frame-Options``.
        permitted_cross_domain_policies: ``X-Permitted-Cross-Domain-Policies``.
        xss_protection: ``X-XSS-Protection``.
        permissions_policy: ``Permissions-Policy``, such as ``{"camera": [], "geolocation": ["self"]}``.
        hide_powered_by: whether ``X-Powered-By`` of the application is removed.

    Raises:
        ConfigurationError: an option that can't work: an unknown directive, a keyword without quotes, …

    A header that the application set itself stays as it is. Nothing is added to a 304: the stored response has its
    headers. If the nonce was used, the response gets ``Cache-Control: private``. ``policy(csp={…})`` on a view changes
    the policy of its responses.

    Example::

        stack = build_stack(
            app, use(SecurityHeadersMiddleware, csp={"script-src": ["'self'", NONCE]}, frame_options="DENY")
        )
    """

    outside_of = ("CsrfMiddleware", "TrustedHostsMiddleware", "HttpsMiddleware", "AccessListMiddleware")

    response_policy = ("csp",)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        csp: Mapping[str, str | Iterable[str] | None] | None = {},  # it is only read
        csp_report_only: Mapping[str, str | Iterable[str] | None] | None = None,
        csp_defaults: bool = True,
        csp_upgrade: Literal["always", "https"] = "always",
        opener_policy: str | None = "same-origin",
        resource_policy: str | None = "same-origin",
        embedder_policy: str | None = None,
        origin_agent_cluster: str | None = "?1",
        referrer_policy: str | None = "no-referrer",
        content_type_options: str | None = "nosniff",
        dns_prefetch_control: str | None = "off",
        download_options: str | None = "noopen",
        frame_options: str | None = "SAMEORIGIN",
        permitted_cross_domain_policies: str | None = "none",
        xss_protection: str | None = "0",
        permissions_policy: Mapping[str, str | Iterable[str]] | None = None,
        hide_powered_by: bool = True,
    ) -> None:
        super().__init__(app)
        where = "SecurityHeadersMiddleware"
        given = dict(locals())
        check_flags(where, csp_defaults=csp_defaults, hide_powered_by=hide_powered_by)
        if csp_upgrade not in ("always", "https"):
            raise ConfigurationError(complaint(where, "csp_upgrade", "'always' or 'https'", csp_upgrade))
        base = DEFAULT_DIRECTIVES if csp_defaults else None
        self._policies: list[tuple[str, Csp]] = []
        for header, option, changes in ((_CSP, "csp", csp), (_REPORT_ONLY, "csp_report_only", csp_report_only)):
            if changes is not None:
                self._policies.append((header, build_csp(changes, where, option, base)))
        self._always_upgrades = csp_upgrade == "always"
        self._hides_powered_by = hide_powered_by
        self._pairs = [
            (header, value)
            for option, (header, choices) in _FIXED.items()
            if (value := _chosen(given[option], choices, where, option)) is not None
        ]
        if referrer_policy is not None:
            _check_referrer(referrer_policy, where)
            self._pairs.append(("Referrer-Policy", referrer_policy))
        if permissions_policy is not None:
            value = build_permissions_policy(permissions_policy, where, "permissions_policy")
            self._pairs.append(("Permissions-Policy", value))
        self._names = frozenset(name.lower() for name, _ in self._pairs)
        self._concerned = self._names | {name.lower() for name, _ in self._policies}
        if hide_powered_by:
            self._concerned |= {"x-powered-by"}
        # The headers of a response without a nonce: those by http, and those by https.
        self._usual = tuple(
            [*((name, policy.header(None, upgrades=upgrades)) for name, policy in self._policies), *self._pairs]
            for upgrades in (False, True)
        )
        # By the identity of the mapping of a view, which is kept beside so that it stays the only one of its id.
        self._of_views: dict[tuple[int, str], tuple[object, Csp]] = {}
        self._warned: set[str] = set()
        self.provides = (CSP_NONCE,) if self._policies else ()

    def before_request(self, exchange: Exchange) -> None:
        """Offer the nonce, and have the headers added to every response that leaves from here inwards."""
        if self._policies:
            exchange.environ.setdefault(CSP_NONCE, Nonce(exchange))
        exchange.on_response(self._add_headers)

    def _add_headers(self, exchange: Exchange) -> None:
        if exchange.status_code == 304:
            return
        headers = exchange.headers
        items = headers.as_list()
        present = {name.lower() for name, _ in items}
        nonce = exchange.environ.get(CSP_NONCE)
        is_usual = present.isdisjoint(self._concerned) and type(nonce) is Nonce and not nonce.is_used
        if is_usual and "csp" not in exchange.policy:
            is_https = self._always_upgrades or exchange.environ["wsgi.url_scheme"] == "https"
            items.extend(self._usual[is_https])
            return
        if self._hides_powered_by and "x-powered-by" in present:
            headers.discard("X-Powered-By")
            items = headers.as_list()
        for name, policy in self._policies:
            if name.lower() not in present:
                value = self._value_of(exchange, name, policy)
                if value is not None:
                    items.append((name, value))
        if present.isdisjoint(self._names):
            items.extend(self._pairs)
        else:
            items.extend(pair for pair in self._pairs if pair[0].lower() not in present)
        if isinstance(nonce, Nonce) and nonce.is_used:
            headers.set("Cache-Control", make_private(headers.get("Cache-Control")))

    def _value_of(self, exchange: Exchange, name: str, policy: Csp) -> str | None:
        """Return the value of a policy for this response; None if the view wants none."""
        changes = exchange.policy.get("csp", _UNCHANGED)
        if changes is None or changes is False:
            return None
        if changes is not _UNCHANGED:
            policy = self._changed(policy, name, changes)
        environ = exchange.environ
        nonce: Any = environ.get(CSP_NONCE)
        is_used = nonce.is_used if isinstance(nonce, Nonce) else nonce is not None
        if is_used and not policy.takes_nonce:
            self._warn_of_nonce(name)
        upgrades = self._always_upgrades or environ["wsgi.url_scheme"] == "https"
        return policy.header(str(nonce) if is_used else None, upgrades=upgrades)

    def _changed(self, policy: Csp, name: str, changes: Any) -> Csp:
        """Return the policy with the changes of a view."""
        key = (id(changes), name)
        known = self._of_views.get(key)
        if known is None:
            try:
                merged = build_csp(changes, "policy", "csp", policy.directives)
            except ConfigurationError as error:
                raise ApplicationError(str(error)) from error
            if len(self._of_views) >= _MOST_VIEWS:
                self._of_views.clear()
            known = self._of_views[key] = (changes, merged)
        return known[1]

    def _warn_of_nonce(self, name: str) -> None:
        if name in self._warned:
            return
        self._warned.add(name)
        import logging  # costs start-up time, and only this warning logs

        text = 'the nonce was used, but %s has no NONCE. Add it: csp={"script-src": ["\'self\'", NONCE]}'
        logging.getLogger("wsgikit.security_headers").warning(text, name)


def _chosen(value: object, choices: tuple[str, ...], where: str, option: str) -> str | None:
    if value is None:
        return None
    for choice in choices:
        if isinstance(value, str) and value.lower() == choice.lower():
            return choice
    raise ConfigurationError(complaint(where, option, f"None or one of {', '.join(choices)}", value))


def _check_referrer(value: object, where: str) -> None:
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else []
    if not names or not _REFERRER.issuperset(names):
        remedy = f"Known: {', '.join(sorted(_REFERRER))}"
        raise ConfigurationError(complaint(where, "referrer_policy", "a referrer policy", value, remedy))
