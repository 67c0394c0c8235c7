"""Redirects that stay on the site unless told otherwise (an open redirect lends the site's name to a phisher)."""

from __future__ import annotations

__all__ = ["UnsafeRedirect", "redirect"]

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from wsgikit.context.locals import current_exchange
from wsgikit.exceptions import BadRequest, OutsideRequestError, complaint
from wsgikit.http.hosts import Host, host_of, parse_host

if TYPE_CHECKING:
    from wsgikit.http.request import Response


class UnsafeRedirect(BadRequest):
    """A redirect would have left the site, and the view didn't allow it. The visitor gets a 400."""


def redirect(location: str, code: int = 302, *, external: bool = False, allowed_hosts: Iterable[str] = ()) -> Response:
    """Return a response that sends the client to another address.

    Args:
        location: where to: a path, or an address of this host.
        code: 301, 302, 303, 307 or 308.
        external: let it be any other site. Only for addresses that no visitor has a say in.
        allowed_hosts: hosts that it may go to besides this one.

    Raises:
        UnsafeRedirect: it would leave the site.
        ValueError: the code is no redirect's.
    """
    from wsgikit.http.request import Response  # webob is loaded when a response object is needed

    if code not in (300, 301, 302, 303, 305, 307, 308):
        raise ValueError(f"redirect: code: expected 301, 302, 303, 307 or 308, got {code!r}.")
    location = str(location)
    if any(character < " " or character == "\x7f" for character in location):
        raise _refused("an address without control characters", location)
    if not external and not _is_same_site(location, {host.lower() for host in allowed_hosts}):
        remedy = "Pass external=True or allowed_hosts=[…] if it may leave the site"
        raise _refused("an address of this site", location, remedy)
    # IRIs become URIs: what is in percent-encoding already stays (RFC 3987 §3.1).
    address = quote(location, safe="%!#$&'()*+,/:;=?@[]~")
    from html import escape

    page = (
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n"
        "<p>You should be redirected automatically to the target URL: "
        f'<a href="{escape(address)}">{escape(location)}</a>. If not, click the link.\n'
    )
    response = Response(page, code)
    response.headers["Location"] = address
    return response


def _refused(expected: str, location: str, remedy: str = "") -> UnsafeRedirect:
    """Log a redirect that is refused, and return its error.

    The visitor gets a bare 400. A developer who forgot ``external=True`` finds the reason in the log.
    """
    import logging  # costs start-up time, and only failures log

    text = complaint("redirect", "location", expected, location, remedy)
    logging.getLogger("wsgikit").warning("%s", text)
    return UnsafeRedirect(text)


def _is_same_site(location: str, allowed: set[str]) -> bool:
    # Browsers read a backslash as a slash, and skip white space in front: "/\evil.org", " //evil.org" leave the site.
    text = location.strip().replace("\\", "/")
    if text != location.replace("\\", "/"):
        return False
    if text.startswith("//") or "\\" in location.partition("?")[0]:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if not parts.scheme and not parts.netloc:
        return True
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return False
    if "@" in parts.netloc:
        return False
    host = parts.netloc.lower()
    if host in allowed or (parts.hostname or "") in allowed:
        return True
    try:
        environ = current_exchange().environ
    except OutsideRequestError:
        return False
    if parts.scheme == "http" and environ["wsgi.url_scheme"] == "https":
        return False
    own = host_of(environ)
    # Browsers turn other letters into ASCII by rules that differ from Python's, so such a host is none of ours.
    other = parse_host(host) if host.isascii() else None
    if own is None or other is None:
        return False
    return _origin(other, parts.scheme) == _origin(own, environ["wsgi.url_scheme"])


def _origin(host: Host, scheme: str) -> tuple[str, int]:
    default = 443 if scheme == "https" else 80
    return host.name, default if host.port is None else host.port
