"""What ``wsgikit check --deploy`` adds to ``wsgikit check``: protections that are missing, off, or too wide.

A problem is unsafe whatever stands around the application. What a proxy or the application itself may do as well is a
note.
"""

from __future__ import annotations

__all__ = ["find_risks"]

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wsgikit.cli.finding import Finding
from wsgikit.cli.inside import all_stacks
from wsgikit.http.addresses import parse_networks
from wsgikit.http.csp import DEFAULT_DIRECTIVES, build_csp
from wsgikit.onion.order import order_notes
from wsgikit.onion.stack import Stack
from wsgikit.options import describe_options

_HALF_A_YEAR = 182 * 86400  # seconds: what browsers' preload lists and scanners call short is below it
_THIS_MACHINE = ("localhost", "127.0.0.1", "[::1]", "::1")
_UNSAFE_SOURCES = ("'unsafe-inline'", "'unsafe-eval'", "*", "data:")


class _Layers:
    """The layers of all onions of a target, by the names of their classes."""

    def __init__(self, stack: Stack) -> None:
        self.all = [layer for each in all_stacks(stack) for layer in each.layers]

    def named(self, name: str) -> list[tuple[Any, dict[str, Any]]]:
        """Return the layers of a class and its subclasses, each with all its options."""
        kind = f"{name}Middleware"
        return [
            (layer, options_of(layer))
            for layer in self.all
            if any(base.__name__ == kind for base in type(layer).__mro__)
        ]


def options_of(layer: Any) -> dict[str, Any]:
    """Return the options of a layer, defaults among them."""
    defaults = {option.name: option.default for option in describe_options(type(layer)) if not option.is_required}
    return {**defaults, **getattr(layer, "_options", {})}


def find_risks(stack: Stack, workers: int) -> Iterator[Finding]:
    """Go through the risks of putting a stack on the network.

    Args:
        stack: the stack, with those that are mounted in it.
        workers: how many processes will serve it.
    """
    layers = _Layers(stack)
    checks: tuple[Callable[[_Layers], Iterable[Finding]], ...] = (
        _hosts, _https, _proxy, _cookies, _csrf, _csp, _body_limit, _inside_views,
    )  # fmt: skip
    for check in checks:
        yield from check(layers)
    if workers > 1:
        yield from _stores(layers)
    for each in all_stacks(stack):
        for text in order_notes(each.named_layers):
            yield Finding("", text, is_note=True, topic="order")


def _missing(topic: str, name: str, options: str, unless: str) -> Finding:
    text = f"it is missing. Add use({name}Middleware{options}), unless {unless}."
    return Finding(f"{name}Middleware", text, is_note=True, topic=topic)


def _hosts(layers: _Layers) -> Iterator[Finding]:
    found = layers.named("TrustedHosts")
    if not found:
        yield _missing("hosts", "TrustedHosts", ", hosts=[…]", "the proxy in front passes on the site's hosts only")
    for layer, options in found:
        hosts = _listed(options["hosts"])
        if all(host.partition(":")[0] in _THIS_MACHINE or host in _THIS_MACHINE for host in hosts):
            text = "hosts names this machine only: visitors get a 400. Add the site's host."
            yield Finding(_name(layer), text, is_note=True, topic="hosts")


def _https(layers: _Layers) -> Iterator[Finding]:
    found = layers.named("Https")
    if not found:
        yield _missing("https", "Https", "", "the proxy in front redirects and sends Strict-Transport-Security")
    for layer, options in found:
        seconds = options["hsts_seconds"]
        if not seconds:
            text = "hsts_seconds is off: the first request of each visit can be intercepted. Leave the option out."
            yield Finding(_name(layer), text, topic="https")
        elif seconds < _HALF_A_YEAR:
            text = f"hsts_seconds is {seconds}, less than half a year. Leave the option out once https works."
            yield Finding(_name(layer), text, is_note=True, topic="https")
        if not options["redirect"]:
            text = "redirect is off: pages are sent over http, too. Leave it out, unless the proxy in front redirects."
            yield Finding(_name(layer), text, is_note=True, topic="https")


def _proxy(layers: _Layers) -> Iterator[Finding]:
    found = layers.named("ProxyHeaders")
    if not found:
        yield _missing("proxy", "ProxyHeaders", "", "the server removes forwarded headers that clients make up")
    for layer, options in found:
        if _is_everybody(options["trusted_proxies"]):
            text = "trusted_proxies is every address: clients choose their own address. Name the proxies."
            yield Finding(_name(layer), text, topic="proxy")
        if not options["strip_untrusted"]:
            text = "strip_untrusted is off: the application sees forwarded headers that clients made up. Leave it out."
            yield Finding(_name(layer), text, topic="proxy")
        for header in ("x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"):
            if header in (one.lower() for one in _listed(options["headers"])):
                text = f"{header} is believed. Check that the proxy replaces the client's own: most pass it on."
                yield Finding(_name(layer), text, is_note=True, topic="proxy")


def _cookies(layers: _Layers) -> Iterator[Finding]:
    for layer, options in layers.named("Session"):
        if options.get("cookie_secure") == "auto":
            text = (
                "cookie_secure is auto: a cookie that is set over http goes in the clear. Write cookie_secure = true."
            )
            yield Finding(_name(layer), text, is_note=True, topic="cookies")
    for layer, options in layers.named("CookiePolicy"):
        if options["secure"] is False:
            text = "secure is off: cookies of the application go in the clear. Leave the option out."
            yield Finding(_name(layer), text, topic="cookies")
    if layers.all and not layers.named("CookiePolicy"):
        yield _missing("cookies", "CookiePolicy", "", "the application sets Secure and SameSite on its own cookies")


def _csrf(layers: _Layers) -> Iterator[Finding]:
    found = layers.named("Csrf")
    logins = layers.named("Session") or layers.named("Authentication")
    if not found and logins:
        text = (
            f"it is missing, and {_name(logins[0][0])} knows visitors: other sites can act as them. "
            "Add use(CsrfMiddleware), unless each view checks a token."
        )
        yield Finding("CsrfMiddleware", text, is_note=True, topic="csrf")
    for layer, options in found:
        if options["report_only"]:
            text = "report_only is on: forged requests are logged and not refused. Leave it out once the log is quiet."
            yield Finding(_name(layer), text, topic="csrf")


def _csp(layers: _Layers) -> Iterator[Finding]:
    found = layers.named("SecurityHeaders")
    if not found:
        yield _missing("csp", "SecurityHeaders", "", "the application or the proxy in front sends these headers")
    for layer, options in found:
        if options["csp"] is None:
            what = "only reported" if options["csp_report_only"] is not None else "off"
            text = f"the Content-Security-Policy is {what}: injected scripts run. Write csp={{…}}."
            yield Finding(_name(layer), text, is_note=True, topic="csp")
            continue
        base = DEFAULT_DIRECTIVES if options["csp_defaults"] else None
        directives = build_csp(options["csp"], _name(layer), "csp", base).directives
        yield from _unsafe_sources(_name(layer), directives)


def _unsafe_sources(where: str, directives: dict[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Find what lets scripts in, and (a note) styles."""
    for name in ("script-src", "style-src"):
        directive = name if name in directives else "default-src"
        if directive not in directives:
            yield Finding(where, f"csp has no {name} and no default-src: nothing is blocked. Add one.", topic="csp")
            continue
        sources = directives[directive]
        is_strict = any(source.startswith(("'nonce-", "'sha")) or source == "NONCE" for source in sources)
        for source in _UNSAFE_SOURCES:
            # Browsers ignore 'unsafe-inline' beside a nonce or a hash.
            if source not in sources or (source == "'unsafe-inline'" and is_strict):
                continue
            if name == "script-src":
                text = f"csp: {directive} has {source}: injected scripts run. Remove it; NONCE lets your own in."
                yield Finding(where, text, topic="csp")
            elif source == "'unsafe-inline'":
                text = f"csp: {directive} has {source}, as Helmet's default: injected styles work. NONCE is stricter."
                yield Finding(where, text, is_note=True, topic="csp")


def _body_limit(layers: _Layers) -> Iterator[Finding]:
    if not layers.named("BodyLimit"):
        yield _missing("body limit", "BodyLimit", "", "the proxy in front has a limit (nginx: client_max_body_size)")


def _inside_views(layers: _Layers) -> Iterator[Finding]:
    for name in ("Metrics", "Inspector", "Profiler", "ServerTiming", "Health"):
        for layer, options in layers.named(name):
            if _is_everybody(options.get("allow", ())):
                text = "allow is every address: everybody sees it. Write allow = local, or name addresses."
                yield Finding(_name(layer), text, topic="inside views")
            if name in ("Inspector", "Profiler"):
                yield Finding(_name(layer), "it is for development. Leave it out.", is_note=True, topic="inside views")


def _stores(layers: _Layers) -> Iterator[Finding]:
    texts = {
        "Session": "a visitor is known to one process only. Write store = redis://…, a database's URL, or cookie.",
        "RateLimit": "each process counts by itself, so that limits are higher than written. Write store = redis://….",
        "Cache": "each process has a cache of its own, and a purge reaches one only. Write store = redis://….",
    }
    for name, text in texts.items():
        for layer, options in layers.named(name):
            if str(options.get("store", "")).startswith("memory:"):
                found = f"store is memory:// under several workers: {text}"
                yield Finding(_name(layer), found, is_note=name != "Session", topic="stores")


def _is_everybody(value: Any) -> bool:
    """Return whether the addresses of an option are all addresses."""
    names = [one for one in _listed(value) if one not in ("local", "unix")]
    return any(network.prefixlen == 0 for network in parse_networks("check", "allow", names))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]


def _name(layer: Any) -> str:
    return type(layer).__name__
