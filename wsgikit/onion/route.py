"""Which route a request took, as far as a router left word of it."""

from __future__ import annotations

__all__ = ["find_route", "printable"]

from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import ROUTING, ROUTING_ARGS


def find_route(exchange: Exchange) -> str | None:
    """Return the rule or endpoint of the matched route, where a router left word of it."""
    state = exchange.state.get("wsgikit.route")
    if state is not None:
        try:
            return printable(str(state))
        except Exception:  # noqa: BLE001 - whatever a router put there, whoever asks has something else to say
            return None
    # Our Router's and Werkzeug's rules both have their text in `rule`.
    rule = getattr(getattr(exchange.environ.get(ROUTING), "rule", None), "rule", None)
    if isinstance(rule, str):
        return printable(rule)
    arguments = exchange.environ.get(ROUTING_ARGS)
    if isinstance(arguments, tuple) and len(arguments) == 2 and isinstance(arguments[1], dict):
        for key in ("route", "endpoint", "controller"):
            if isinstance(name := arguments[1].get(key), str):
                return printable(name)
    return None


def printable(text: str) -> str:
    """Return `text` with what isn't printable escaped: a line break would forge a line of the log."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
