"""Where an included router stands in another: what `include` puts before its rules, and adds to them."""

from __future__ import annotations

__all__ = ["Place", "join_paths"]

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from wsgikit.routing.inclusion import Inclusion


class Place(NamedTuple):
    """Where the rules of an included router stand.

    Attributes:
        prefix: put before their paths.
        dotted: put before their endpoints; it ends with a dot.
        host: their host; None leaves it to the rule.
        subdomain: their subdomain; None leaves it to the rule.
        defaults: values that their views get.
        owners: the inclusions around, innermost first.
    """

    prefix: str = ""
    dotted: str = ""
    host: str | None = None
    subdomain: str | None = None
    defaults: Mapping[str, Any] = {}
    owners: tuple[Inclusion, ...] = ()

    def inside(self, outer: Place) -> Place:
        """Return this place as it is seen from outside of the router that has it."""
        subdomains = [subdomain for subdomain in (self.subdomain, outer.subdomain) if subdomain]
        return Place(
            join_paths(outer.prefix, self.prefix),
            outer.dotted + self.dotted,
            self.host or outer.host,
            ".".join(subdomains) or None,
            {**outer.defaults, **self.defaults},
            (*self.owners, *outer.owners),
        )

    def options_of(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a rule with what the place adds; the rule's own win."""
        added: dict[str, Any] = {}
        if self.host is not None:
            added["host"] = self.host
        if self.subdomain is not None:
            added["subdomain"] = self.subdomain
        if self.defaults:
            added["defaults"] = {**self.defaults, **(options.get("defaults") or {})}
        return {**added, **options, **({"defaults": added["defaults"]} if self.defaults else {})}


def join_paths(prefix: str, rule: str) -> str:
    """Return a rule's path behind a prefix, with one slash between them."""
    if not prefix:
        return rule
    if not rule:
        return prefix
    return f"{prefix.rstrip('/')}/{rule.lstrip('/')}"
