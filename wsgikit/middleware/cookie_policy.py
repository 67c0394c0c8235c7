"""`CookiePolicyMiddleware`: give every cookie of every framework inside the attributes that it lacks."""

from __future__ import annotations

__all__ = ["CookiePolicyMiddleware", "harden_cookie"]

from collections.abc import Iterable
from typing import Literal, NamedTuple

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.options.flags import check_flags
from wsgikit.wsgi import WSGIApplication

# What weakens most stands first: `override` replaces a value by one that stands further right.
_STRENGTH = {"none": 0, "lax": 1, "strict": 2}


class _Rule(NamedTuple):
    secure: bool
    httponly: bool
    samesite: str | None
    partitioned: bool
    override: bool


def harden_cookie(
    line: str,
    *,
    secure: bool = True,
    httponly: bool = False,
    samesite: str | None = None,
    partitioned: bool = False,
    override: bool = False,
) -> str:
    """Return a ``Set-Cookie`` value with the attributes that it lacks (RFC 6265bis §4.1.2). It never loses one.

    Args:
        line: the value as the application wrote it.
        secure: whether ``Secure`` is added. ``SameSite=None``, ``Partitioned`` and the prefixes ``__Host-`` and
            ``__Secure-`` need it: browsers drop such a cookie without it, so it is added to them in any case.
        httponly: whether ``HttpOnly`` is added.
        samesite: ``"Lax"``, ``"Strict"`` or ``"None"`` for a cookie that says nothing; None adds nothing.
        partitioned: whether ``Partitioned`` is added.
        override: whether a weaker ``SameSite`` that the application wrote is replaced.
    """
    return _harden(line, _Rule(secure, httponly, samesite, partitioned, override))


def _harden(line: str, rule: _Rule) -> str:
    parts = line.split(";")
    present: dict[str, int] = {}
    for index, part in enumerate(parts[1:], 1):
        present[part.partition("=")[0].strip().lower()] = index  # RFC 6265 §5.3: the last of one name counts
    added: list[str] = []
    wanted = rule.samesite
    if wanted is not None:
        index = present.get("samesite", 0)
        if not index:
            added.append(f" SameSite={wanted}")
        elif rule.override and _STRENGTH.get(_value_of(parts[index]), 0) < _STRENGTH[wanted.lower()]:
            parts[index] = f" SameSite={wanted}"
    name = _name_of(parts[0]).lower()
    if (rule.httponly or name.startswith(("__http-", "__host-http-"))) and "httponly" not in present:
        added.append(" HttpOnly")
    if rule.partitioned and "partitioned" not in present:
        added.append(" Partitioned")
    if "secure" not in present and (rule.secure or _needs_secure(parts, added)):
        added.append(" Secure")
    if name.startswith("__host-") and "path" not in present:
        added.append(" Path=/")
    return ";".join([*parts, *added]) if added or rule.override else line


def _needs_secure(parts: list[str], added: list[str]) -> bool:
    """Return whether browsers drop the cookie without ``Secure``."""
    if _name_of(parts[0]).lower().startswith(("__host-", "__secure-", "__http-")):
        return True
    samesite = ""
    for part in (*parts[1:], *added):
        name = part.partition("=")[0].strip().lower()
        if name == "partitioned":
            return True
        if name == "samesite":
            samesite = _value_of(part)
    return samesite == "none"


def _name_of(line: str) -> str:
    return line.partition(";")[0].partition("=")[0].strip()


def _value_of(part: str) -> str:
    return part.partition("=")[2].strip().lower()


class CookiePolicyMiddleware(Middleware):
    """Add ``Secure``, ``SameSite`` and, if wanted, ``HttpOnly`` and ``Partitioned`` to every cookie set inside.

    Use it around an application whose cookies you can't change: a legacy app, a framework's own session, a plugin.
    What the application wrote stays; attributes are only added. It doesn't change cookies that the server or a layer
    further out sets.

    Place: outside of every layer that sets cookies, inside `ProxyHeadersMiddleware`, which knows whether the visitor
    came by https. Environ: reads ``wsgi.url_scheme``.

    Args:
        app: the WSGI application to wrap.
        secure: whether cookies get ``Secure``; ``"auto"`` gives it to those of requests that came by https. Cookies
            that browsers drop without it (``SameSite=None``, ``Partitioned``, ``__Host-…``) get it in any case.
        httponly: True adds ``HttpOnly``: scripts can't read any cookie then. None adds nothing.
        samesite: the ``SameSite`` of cookies that have none; None adds nothing.
        partitioned: True adds ``Partitioned`` (CHIPS) and with it ``Secure``. None adds nothing.
        exempt: names of cookies that stay as they are.
        override: whether a weaker ``SameSite`` that the application wrote is replaced as well.

    Raises:
        ConfigurationError: an option that can't work.

    A ``__Host-`` cookie with a ``Domain`` is dropped by every browser. It is logged once for each name (logger
    ``wsgikit.cookie_policy``), and left as it is.

    Example::

        stack = build_stack(app, use(CookiePolicyMiddleware, httponly=True, exempt=["theme"]))
    """

    outside_of = ("SessionMiddleware", "CsrfMiddleware")  # they set cookies

    def __init__(
        self,
        app: WSGIApplication,
        *,
        secure: bool | Literal["auto"] = "auto",
        httponly: bool | None = None,
        samesite: Literal["Lax", "Strict", "None"] | None = "Lax",
        partitioned: bool | None = None,
        exempt: Iterable[str] = (),
        override: bool = False,
    ) -> None:
        super().__init__(app)
        where = "CookiePolicyMiddleware"
        if secure != "auto":
            check_flags(where, secure=secure)
        check_flags(where, httponly=bool(httponly) if httponly is None else httponly, override=override)
        check_flags(where, partitioned=bool(partitioned) if partitioned is None else partitioned)
        if samesite not in ("Lax", "Strict", "None", None):
            raise ConfigurationError(complaint(where, "samesite", "'Lax', 'Strict', 'None' or None", samesite))
        self.secure = secure
        self.httponly = httponly
        self.samesite = samesite
        self.partitioned = partitioned
        self.exempt = frozenset((exempt,) if isinstance(exempt, str) else exempt)
        self.override = override
        rule = _Rule(secure is True, bool(httponly), samesite, bool(partitioned), override)
        self._plain_rule = rule
        self._https_rule = rule._replace(secure=secure is not False)
        self._logged: set[str] = set()

    def after_request(self, exchange: Exchange) -> None:
        """Change each ``Set-Cookie`` line in its place."""
        if exchange.headers.has("Set-Cookie"):
            self._harden_all(exchange)

    def _harden_all(self, exchange: Exchange) -> None:
        rule = self._https_rule if exchange.environ["wsgi.url_scheme"] == "https" else self._plain_rule
        headers = exchange.headers
        for index, (name, line) in enumerate(list(headers)):
            if name.lower() == "set-cookie" and _name_of(line) not in self.exempt:
                hardened = _harden(line, rule)
                if hardened != line:
                    headers[index] = (name, hardened)
                self._warn_of_domain(hardened)

    def _warn_of_domain(self, line: str) -> None:
        name = _name_of(line)
        if not name.lower().startswith("__host-") or name in self._logged or len(self._logged) > 100:
            return
        if any(part.partition("=")[0].strip().lower() == "domain" and _value_of(part) for part in line.split(";")[1:]):
            self._logged.add(name)
            import logging  # costs start-up time, and only this warning logs

            text = "the cookie %s has a Domain, and browsers drop a __Host- cookie with one. Remove either"
            logging.getLogger("wsgikit.cookie_policy").warning(text, ascii(name))
