"""Session cookies: read tolerantly, written strictly.

Reading follows what browsers send rather than a grammar: one odd cookie of somebody else's never hides ours, and where
ours is there more than once, all are candidates (RFC 6265 §5.4 leaves their order to the browser).
"""

from __future__ import annotations

__all__ = ["CookieWriter", "SameSite", "cookie_finder"]

import re
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint

SameSite: TypeAlias = Literal["Lax", "Strict", "None"] | None

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 6265 §4.1.1: a cookie's name is a token of RFC 9110
_PATH = re.compile(r"/[^;\x00-\x1f\x7f\u0100-\U0010ffff]*")  # Latin-1, as environ has it
_DOMAIN = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def cookie_finder(name: str) -> Callable[[str], list[str]]:
    """Return a function that finds the values of all cookies of exactly this name in a ``Cookie`` header, in order.

    A comma parts cookies too: some servers join repeated headers by one, and no session cookie contains any.
    """
    pattern = re.compile(rf"(?:^|[;,])[ \t]*{re.escape(name)}[ \t]*=[ \t]*\"?([^;,\" \t]*)")
    prefix = name + "="
    start = len(prefix)

    def find(header: str) -> list[str]:
        # One cookie, and ours: five looks are quicker than the pattern is.
        if header.startswith(prefix) and not (
            ";" in header or "," in header or " " in header or '"' in header or "\t" in header
        ):
            return [header[start:]]
        if name not in header:
            return []
        return pattern.findall(header)

    return find


class CookieWriter:
    """Writes ``Set-Cookie`` values; what a browser would refuse is refused while building.

    Args:
        where: the class that is being built, for the errors.
        name: the cookie's name; ``__Host-`` and ``__Secure-`` are held to what they promise.
        path: where the cookie goes back to; ``"mount"`` is where the application is mounted (``SCRIPT_NAME``).
        domain: the domain whose subdomains get it too; None is this host alone.
        secure: whether it goes over https only; ``"auto"`` is where the request came by https.
        httponly: whether scripts can't read it.
        samesite: when it goes along with requests that other sites cause.
        partitioned: whether a page that embeds this one has a jar of its own for it (CHIPS).

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
        if domain is not None and not (isinstance(domain, str) and _DOMAIN.fullmatch(domain)):
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
        prefix = name[: name.find("-") + 1].lower()  # browsers compare the prefix without case
        if prefix in ("__host-", "__secure-") and secure is not True:
            raise ConfigurationError(
                complaint(where, f"cookie_secure with cookie_name {name!r}", "True", secure, remedy)
            )
        if prefix == "__host-" and domain is not None:
            what = f"cookie_domain with cookie_name {name!r}"
            raise ConfigurationError(complaint(where, what, "None", domain, "Remove cookie_domain"))
        if prefix == "__host-" and path != "/":
            what = f"cookie_path with cookie_name {name!r}"
            raise ConfigurationError(complaint(where, what, "'/'", path, "Remove cookie_path"))
        self.name = name
        self.path = path
        self._domain = domain or ""
        self._secure = secure
        self._before = f"; Domain={domain}" if domain else ""
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
            attributes = self._attributes(mount or "/", is_https)
        else:
            attributes = self._over_https if is_https else self._plain
        if max_age is None:
            return f"{self.name}={value}{attributes}"
        # Both: Max-Age wins where it is known, and Expires is for what knows only that.
        return f"{self.name}={value}; Expires={_http_date(time.time() + max_age)}; Max-Age={max_age}{attributes}"

    def delete(self, *, is_https: bool, mount: str = "") -> str:
        """Return a ``Set-Cookie`` value that removes the cookie: by the same attributes that set it."""
        value = self.write("", is_https=is_https, mount=mount)
        return value.replace("=", "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", 1)

    def is_same_place(self, line: str, mount: str = "") -> bool:
        """Tell whether a ``Set-Cookie`` line is for the same path and domain: browsers tell cookies apart by them."""
        attributes = {name: value for name, _, value in (p.strip().partition("=") for p in line.lower().split(";"))}
        path = mount or "/" if self.path == "mount" else self.path
        domain = attributes.get("domain", "").lstrip(".")
        return attributes.get("path") == path.lower() and domain == self._domain.lower().lstrip(".")

    def is_secure(self, is_https: bool) -> bool:
        """Tell whether a cookie set now would have ``Secure``."""
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


def _http_date(seconds: float) -> str:
    """Write a date as HTTP has it (RFC 9110 §5.6.7)."""
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02d} {_MONTHS[month - 1]} {year} {hour:02d}:{minute:02d}:{second:02d} GMT"
