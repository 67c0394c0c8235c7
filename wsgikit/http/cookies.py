"""Cookies: one parser, one writer, and what browsers ask of the names that begin with ``__Host-`` and the like.

Reading follows what browsers send rather than a grammar. Cookies are separated by ``;`` alone (RFC 6265 §5.4). A comma
or a quotation mark in one cookie never begins or hides another: if it did, a sibling subdomain that sets
``theme=a,__Host-session=x`` would set a cookie that only this host may set.

If a name comes several times, the first one counts. Browsers send the cookie with the longest path first, then the
oldest, and don't say which host set it. So another subdomain can put its own first, unless the name begins with
``__Host-``.
"""

from __future__ import annotations

__all__ = ["CookieWriter", "SameSite", "cookie_finder", "format_cookie", "missing_attribute", "parse_cookies"]

import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Literal, TypeAlias

from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.dates import format_date

SameSite: TypeAlias = Literal["Lax", "Strict", "None"] | None

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 6265 §4.1.1: a cookie's name is a token of RFC 9110
_PATH = re.compile(r"/[^;\x00-\x1f\x7f\u0100-\U0010ffff]*")  # Latin-1, as environ has it
_DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_ENDS_ATTRIBUTE = re.compile(r"[;\x00-\x1f\x7f]")
_ESCAPED = re.compile(rb"\\(?:([0-3][0-7]{2})|(.))")
_BLANKS = " \t"


def parse_cookies(header: str) -> list[tuple[str, str]]:
    """Return the names and values of a ``Cookie`` header in their order; repeated names are all kept.

    A part without ``=`` or without a name is left out. A quoted value is returned without its quotes and escapes, as
    `http.cookies` and Werkzeug write them. Bytes that aren't UTF-8 become U+FFFD.

    Args:
        header: the header's value as environ has it.
    """
    pairs = []
    for part in header.split(";"):
        name, equals, value = part.partition("=")
        # Not strip(): it takes U+0085 and U+00A0, and ``\xa0__Host-a`` isn't a name that browsers protect.
        name = name.strip(_BLANKS)
        if equals and name:
            pairs.append((_text(name), _text(_unquoted(value.strip(_BLANKS)))))
    return pairs


def _text(value: str) -> str:
    return value if value.isascii() else value.encode("latin-1", "replace").decode("utf-8", "replace")


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    value = value[1:-1]
    if "\\" not in value:
        return value
    data = value.encode("latin-1", "replace")
    return _ESCAPED.sub(lambda m: bytes([int(m[1], 8)]) if m[1] else m[2], data).decode("latin-1")


def cookie_finder(name: str) -> Callable[[str], list[str]]:
    """Return a function that finds the values of all cookies of exactly this name in a ``Cookie`` header, in order.

    It is for values that need no quoting, such as those of sessions; quotes around one are left out.
    """
    pattern = re.compile(rf"(?:^|;)[ \t]*{re.escape(name)}[ \t]*=([^;]*)")
    prefix = name + "="
    start = len(prefix)

    def find(header: str) -> list[str]:
        # One cookie, and ours: these comparisons are quicker than the pattern.
        if header.startswith(prefix) and not (";" in header or " " in header or '"' in header or "\t" in header):
            return [header[start:]]
        if name not in header:
            return []
        return [value.strip(_BLANKS).strip('"') for value in pattern.findall(header)]

    return find


def missing_attribute(
    name: str, *, secure: bool, httponly: bool = True, path: str | None = "/", domain: str | None = None
) -> tuple[str, str] | None:
    """Return which attribute a browser misses in a cookie of this name, and its right value; None if it takes it.

    RFC 6265bis §4.1.3: ``__Secure-`` needs ``Secure``; ``__Http-`` also ``HttpOnly``; ``__Host-`` needs ``Secure``, the
    path ``/`` and no domain; ``__Host-Http-`` needs all of them.

    Args:
        name: the cookie's name; browsers compare its prefix without regard to case.
        secure: whether it has ``Secure``.
        httponly: whether it has ``HttpOnly``.
        path: its path.
        domain: its domain.

    Returns:
        ``("secure", "True")``, ``("httponly", "True")``, ``("domain", "None")`` or ``("path", "'/'")``.
    """
    lower = name.lower()
    if not lower.startswith(("__host-", "__secure-", "__http-")):
        return None
    if not secure:
        return "secure", "True"
    if lower.startswith(("__http-", "__host-http-")) and not httponly:
        return "httponly", "True"
    if lower.startswith("__host-"):
        if domain:
            return "domain", "None"
        if path != "/":
            return "path", "'/'"
    return None


def format_cookie(
    name: str,
    value: str = "",
    *,
    max_age: timedelta | int | str | None = None,
    expires: str | float | date | timedelta | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    samesite: str | None = None,
    partitioned: bool = False,
) -> str:
    """Return a ``Set-Cookie`` value, written as Flask writes it.

    Args:
        name: a token of RFC 9110.
        value: any text; what can't stand in a cookie is quoted as `http.cookies` does.
        max_age: seconds until the browser drops it. `expires` is written too, if it isn't given.
        expires: a moment: seconds since 1970, a datetime (UTC if it has no zone), a date, the finished text; or a
            timedelta from now.
        path: where the cookie goes back to; None is the folder of the page.
        domain: the domain whose subdomains get it too; None is this host alone. A leading dot is left out: browsers
            ignore it (RFC 6265 §5.2.3).
        secure: whether it goes over https only.
        httponly: whether scripts can't read it.
        samesite: ``"Lax"``, ``"Strict"`` or ``"None"``, in any case.
        partitioned: whether a page that embeds this one has a separate jar for it (CHIPS); makes it `secure`.

    Raises:
        ApplicationError: an argument can't stand in the header.
    """
    from werkzeug.http import dump_cookie  # only responses with a cookie need it

    where = f"set_cookie({name!r})"
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ApplicationError(complaint("set_cookie", "name", "letters, digits or -_. without spaces", name))
    if max_age is not None and not isinstance(max_age, timedelta):
        try:
            max_age = int(max_age)
        except (ValueError, TypeError):
            raise ApplicationError(complaint(where, "max_age", "a number of seconds", max_age)) from None
    if isinstance(expires, timedelta):
        expires = datetime.now(UTC) + expires
    if expires is not None and not isinstance(expires, str):
        expires = format_date(expires)
    if samesite is not None and str(samesite).title() not in ("Lax", "Strict", "None"):
        raise ApplicationError(complaint(where, "samesite", "'Lax', 'Strict', 'None' or None", samesite))
    ascii_domain = None
    if domain:
        ascii_domain = _ascii_domain(domain)
        if ascii_domain is None:
            raise ApplicationError(complaint(where, "domain", "a host name such as 'example.org'", domain))
    if expires is not None and _ENDS_ATTRIBUTE.search(expires):
        raise ApplicationError(complaint(where, "expires", "text without ';' or control characters", expires))
    return dump_cookie(
        name,
        value,
        max_age=max_age,
        expires=expires,
        path=path,
        domain=ascii_domain,
        secure=bool(secure),
        httponly=bool(httponly),
        samesite=samesite,
        partitioned=bool(partitioned),
    )


def _ascii_domain(domain: object) -> str | None:
    """Return a cookie's domain in ASCII and without its leading dot; None if it is no domain."""
    if not isinstance(domain, str):
        return None
    domain = domain.removeprefix(".")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return domain if _DOMAIN.fullmatch(domain) else None


class CookieWriter:
    """Writes the ``Set-Cookie`` values of one cookie, quickly. What a browser would refuse is refused while building.

    Args:
        where: the class that is being built, for the errors.
        name: the cookie's name; see `missing_attribute` for ``__Host-`` and the like.
        path: where the cookie goes back to; ``"mount"`` is the path of the application's mount (``SCRIPT_NAME``).
        domain: the domain whose subdomains get it too; None is this host alone.
        secure: whether it goes over https only; ``"auto"`` sets it if the request came by https.
        httponly: whether scripts can't read it.
        samesite: when it goes along with requests that other sites cause.
        partitioned: whether a page that embeds this one has a separate jar for it (CHIPS).

    Raises:
        ConfigurationError: a combination that browsers drop.
    """

    def __init__(
        self,
        where: str,
        *,
        name: str,
        path: str,
        domain: str | None,
        secure: bool | Literal["auto"],
        httponly: bool,
        samesite: SameSite,
        partitioned: bool,
    ) -> None:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigurationError(complaint(where, "cookie_name", "letters, digits or -_. without spaces", name))
        if path != "mount" and not (isinstance(path, str) and _PATH.fullmatch(path)):
            raise ConfigurationError(complaint(where, "cookie_path", "a path that begins with '/', or 'mount'", path))
        ascii_domain = _ascii_domain(domain)
        if domain is not None and ascii_domain is None:
            raise ConfigurationError(complaint(where, "cookie_domain", "a host name such as 'example.org'", domain))
        if secure not in (True, False, "auto") or (isinstance(secure, int) and not isinstance(secure, bool)):
            raise ConfigurationError(complaint(where, "cookie_secure", "True, False or 'auto'", secure))
        if samesite not in ("Lax", "Strict", "None", None):
            raise ConfigurationError(complaint(where, "cookie_samesite", "'Lax', 'Strict', 'None' or None", samesite))
        remedy = "Set cookie_secure=True"
        if samesite == "None" and secure is not True:
            raise ConfigurationError(
                complaint(where, "cookie_secure with cookie_samesite='None'", "True", secure, remedy)
            )
        if partitioned and secure is not True:
            raise ConfigurationError(complaint(where, "cookie_secure with cookie_partitioned", "True", secure, remedy))
        missing = missing_attribute(name, secure=secure is True, httponly=httponly, path=path, domain=domain)
        if missing is not None:
            attribute, expected = missing
            got = {"secure": secure, "httponly": httponly, "domain": domain, "path": path}[attribute]
            remedy = f"Remove cookie_{attribute}" if attribute in ("domain", "path") else f"Set cookie_{attribute}=True"
            what = f"cookie_{attribute} with cookie_name {name!r}"
            raise ConfigurationError(complaint(where, what, expected, got, remedy))
        self.name = name
        self.path = path
        self._domain = ascii_domain or ""
        self._secure = secure
        self._before = f"; Domain={ascii_domain}" if ascii_domain else ""
        self._after = "".join(
            (
                "; HttpOnly" if httponly else "",
                f"; SameSite={samesite}" if samesite else "",
                "; Partitioned" if partitioned else "",
            )
        )
        self._plain = self._attributes("/" if path == "mount" else path, False)
        self._over_https = self._attributes("/" if path == "mount" else path, True)

    def write(self, value: str, *, is_https: bool, mount: str = "", max_age: int | None = None) -> str:
        """Return a ``Set-Cookie`` value.

        Args:
            value: the cookie's value.
            is_https: whether the request came by https.
            mount: the request's ``SCRIPT_NAME``.
            max_age: how many seconds the browser keeps it; None is until it is closed.
        """
        if self.path == "mount":
            attributes = self._attributes(_mount_path(mount), is_https)
        else:
            attributes = self._over_https if is_https else self._plain
        if max_age is None:
            return f"{self.name}={value}{attributes}"
        # Both: Max-Age wins (RFC 6265 §5.3), and Expires is for clients that know only that.
        return f"{self.name}={value}; Expires={format_date(time.time() + max_age)}; Max-Age={max_age}{attributes}"

    def delete(self, *, is_https: bool, mount: str = "") -> str:
        """Return a ``Set-Cookie`` value that removes the cookie: by the same attributes that set it."""
        value = self.write("", is_https=is_https, mount=mount)
        return value.replace("=", "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", 1)

    def is_same_place(self, line: str, mount: str = "") -> bool:
        """Return whether a ``Set-Cookie`` line has the same path and domain; browsers keep cookies apart by them."""
        attributes = {name: value for name, _, value in (p.strip().partition("=") for p in line.lower().split(";"))}
        path = _mount_path(mount) if self.path == "mount" else self.path
        domain = attributes.get("domain", "").lstrip(".")
        return attributes.get("path") == path.lower() and domain == self._domain.lower()

    def is_secure(self, is_https: bool) -> bool:
        """Return whether a cookie that is set now has ``Secure``."""
        return is_https if self._secure == "auto" else self._secure is True

    @property
    def is_auto(self) -> bool:
        """Whether ``Secure`` follows the request."""
        return self._secure == "auto"

    def _attributes(self, path: str, is_https: bool) -> str:
        path = path.replace(";", "%3B").replace(",", "%2C")
        path = "".join(
            char if "!" <= char <= "~" else "".join(f"%{b:02X}" for b in char.encode("latin-1")) for char in path
        )
        return f"{self._before}; Path={path}{'; Secure' if self.is_secure(is_https) else ''}{self._after}"


def _mount_path(script_name: str) -> str:
    # Without a slash at the end: a cookie with the path "/app/" isn't sent to "/app".
    return script_name.rstrip("/") or "/"
