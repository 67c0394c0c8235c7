"""What proxies write about a request: ``Forwarded`` (RFC 7239) and the older ``X-Forwarded-*`` headers.

These are pure functions of texts. Whom to believe is decided by `ProxyHeadersMiddleware`.
"""

from __future__ import annotations

__all__ = [
    "MalformedError",
    "parse_forwarded",
    "parse_node",
    "parse_port",
    "parse_prefix",
    "parse_proto",
    "split_addresses",
    "unquoted",
    "walk",
]

import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote_to_bytes

from wsgikit.http.addresses import Address, parse_address

# RFC 7239 §4: forwarded-pair = token "=" value, value = token / quoted-string. A colon needs quotes by the grammar, but
# widespread proxies leave them out (`for=192.0.2.1:4711`, `host=example.com:8080`), and nothing else can be meant.
_PAIR = re.compile(
    r"""([!#$%&'*+\-.^_`|~0-9A-Za-z]+)="""
    r"""(?:([!#$%&'*+\-.^_`|~0-9A-Za-z:]+)|"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)")"""
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# RFC 7239 §6: an address, "unknown", or a name that begins with "_"; perhaps a port, which may be such a name, too.
_NODE = re.compile(
    r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)|(unknown|_[A-Za-z0-9._-]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?",
    re.IGNORECASE,
)
# RFC 3986 §3.3: the characters of a segment, percent-encoded ones among them. No comma: it would join two headers.
_PREFIX = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+;=:@-]|%[0-9A-Fa-f]{2})+)*/?")


class MalformedError(ValueError):
    """A proxy header that can't be read, or that contradicts another. The text says which and why."""


def parse_forwarded(header: str) -> list[dict[str, str]]:
    """Return the elements of a ``Forwarded`` header, each with its parameters by lower-case name (RFC 7239 §4).

    Raises:
        MalformedError: the header doesn't follow the grammar, or an element has a parameter twice.
    """
    elements: list[dict[str, str]] = []
    element: dict[str, str] = {}
    position, end = 0, len(header)
    while True:
        match = _PAIR.match(header, position)
        if match is not None:
            name = match[1].lower()
            if name in element:
                raise MalformedError(f"Forwarded has {name!a} twice in one element")
            element[name] = match[2] if match[2] is not None else _ESCAPED.sub(r"\1", match[3])
            position = match.end()
        if position < end and header[position] == ";":  # empty pairs are allowed
            position += 1
            continue
        position = _skip_blanks(header, position)
        if position < end and header[position] != ",":
            raise MalformedError("Forwarded doesn't follow the grammar of RFC 7239")
        if element:  # empty elements are allowed (RFC 9110 §5.6.1)
            elements.append(element)
            element = {}
        if position >= end:
            return elements
        position = _skip_blanks(header, position + 1)


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t":
        position += 1
    return position


def split_addresses(header: str) -> list[str]:
    """Return the entries of ``X-Forwarded-For``, without blanks; empty ones are left out."""
    return [entry for part in header.split(",") if (entry := part.strip(" \t"))]


def unquoted(text: str) -> str:
    """Return the text without the quotes around it, if there are two."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def parse_node(text: str) -> Address | None:
    """Return the address of a node; None if it hides itself (``unknown``, ``_gazonk``).

    A port is allowed and left out. IPv6 has brackets, which a text without a port may omit.

    Raises:
        MalformedError: the text is no node.
    """
    text = unquoted(text)
    match = _NODE.fullmatch(text)
    if match is not None and match[3] is not None:
        return None
    ipv6 = text if match is None else match[1]
    bare = match[2] if match is not None and ipv6 is None else ipv6
    address = parse_address(bare) if "%" not in bare else None
    if address is None or (":" in bare) != (ipv6 is not None):
        raise MalformedError(f"{text[:80]!a} is no address")
    return address


def walk(
    nodes: Sequence[str | None], is_trusted: Callable[[Address], bool], peer: Address | None
) -> tuple[Address | None, int]:
    """Return the address of the client, and how many of the last nodes were believed.

    Each node was written by the proxy that the next one names, the last one by the peer, which is trusted. So the walk
    goes from the right and ends at the first node that isn't a trusted proxy: that is the client. A node that hides
    itself ends it, too; the client is then the last address that was known.

    Args:
        nodes: the nodes as written, in their order; None for an element of ``Forwarded`` without ``for``.
        is_trusted: whether an address is that of a trusted proxy.
        peer: the address of the peer, if it has one.

    Raises:
        MalformedError: a node that the walk reaches can't be read.
    """
    client = peer
    for count, node in enumerate(reversed(nodes), 1):
        address = None if node is None else parse_node(node)
        if address is None:
            return client, count
        client = address
        if not is_trusted(address):
            return client, count
    return client, len(nodes)


def parse_proto(text: str) -> str:
    """Return ``"http"`` or ``"https"``.

    Raises:
        MalformedError: another value, or several that contradict one another.
    """
    values = {unquoted(part.strip(" \t")).lower() for part in text.split(",")}
    if values == {"http"} or values == {"https"}:
        return values.pop()
    raise MalformedError(f"the scheme {text[:80]!a} is neither http nor https")


def parse_port(text: str) -> int:
    """Return the number of a port.

    Raises:
        MalformedError: no number from 1 to 65535, or several.
    """
    digits = unquoted(text.strip(" \t"))
    if re.fullmatch(r"[0-9]{1,5}", digits) and 1 <= int(digits) <= 65535:
        return int(digits)
    raise MalformedError(f"the port {text[:80]!a} is no port")


def parse_prefix(text: str) -> str:
    """Return a path prefix as ``SCRIPT_NAME`` has it: decoded, without a slash at its end; ``/`` is empty.

    Raises:
        MalformedError: no absolute path, an empty segment, ``.`` or ``..``, or characters that a path can't have.
    """
    prefix = text.strip(" \t")
    if _PREFIX.fullmatch(prefix):
        decoded = unquote_to_bytes(prefix).decode("latin-1").rstrip("/")  # PEP 3333: bytes as latin-1
        segments = decoded.split("/")[1:]
        is_plain = all(segment not in ("", ".", "..") for segment in segments)
        has_hidden_slash = decoded.count("/") != prefix.rstrip("/").count("/")  # %2F would move segments
        if is_plain and not has_hidden_slash and not re.search(r"[\x00-\x1f\x7f\\]", decoded):
            return decoded
    raise MalformedError(f"the prefix {text[:80]!a} is no path")
