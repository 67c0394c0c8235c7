"""Building: from an endpoint and its values to a URL.

Each rule gets a writer, made when its endpoint is first asked for: a text with holes and, for each hole, the name of
its value and the function that quotes it.
"""

from __future__ import annotations

__all__ = [
    "BuildError",
    "RuleWriter",
    "UrlBuilder",
    "encode_query",
    "given_values",
    "provides_defaults_for",
    "with_script_name",
]

import difflib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from werkzeug.datastructures import MultiDict
from werkzeug.routing import BuildError as WerkzeugBuildError

from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.routing.converters import SEGMENT_SAFE, ValidationError, url_converter

if TYPE_CHECKING:
    from wsgikit.routing.parts import BoundRule
    from wsgikit.routing.redirects import Binding

# What Flask leaves unquoted behind the `#`: https://url.spec.whatwg.org/#fragment-percent-encode-set
_ANCHOR_SAFE = "%!#$&'()*+,/:;=?@"
# What may stand unquoted in a query: https://url.spec.whatwg.org/#percent-encoded-bytes
_QUERY_SAFE = "!$'()*,/:;?@"


class BuildError(WerkzeugBuildError):
    """No rule of the map makes a URL of this endpoint and these values.

    Attributes:
        endpoint, values, method: what was asked for.
    """

    def __init__(
        self, endpoint: str, values: Mapping[str, Any], method: str | None, rules: Iterable[BoundRule]
    ) -> None:
        super().__init__(endpoint, values, method)
        self._rules = list(rules)
        self._own = [bound for bound in self._rules if bound.rule.endpoint == endpoint]
        self._fitting = [b for b in self._own if method is None or b.methods is None or method in b.methods]

    # Worked out when asked for: who catches the error to write another URL doesn't pay for them.
    @cached_property
    def suggestions(self) -> list[str]:
        """The names of endpoints that are near, nearest first."""
        if self._own:
            return []
        return difflib.get_close_matches(self.endpoint, sorted({bound.rule.endpoint for bound in self._rules}), n=3)

    @cached_property
    def missing(self) -> list[str]:
        """The names of the values that the endpoint's nearest rule lacks."""
        lacking = [sorted(bound.arguments - set(self.values)) for bound in self._fitting or self._own]
        return min(lacking, key=len, default=[])

    @cached_property
    def allowed(self) -> list[str]:
        """The methods of the endpoint's rules, where the one asked for is not among them."""
        return [] if self._fitting else sorted({name for bound in self._own for name in bound.methods or ()})

    def __str__(self) -> str:
        text = f"Could not build url for endpoint {self.endpoint!r}"
        if self.method:
            text += f" ({self.method!r})"
        if self.values:
            text += f" with values {sorted(self.values)!r}"
        text += "."
        if self.suggestions:
            text += f" Did you mean {' or '.join(map(repr, self.suggestions))} instead?"
        if self.allowed:
            text += f" Did you mean to use methods {self.allowed!r}?"
        if self.missing:
            text += f" Did you forget to specify values {self.missing!r}?"
        return text


class RuleWriter:
    """Write the URLs of one rule.

    Attributes:
        bound: the rule.
        count: how many values the rule needs.
        write_path: takes the values, which must hold all that the rule needs, and returns the path.
    """

    __slots__ = ("_may_start_twice", "_write_domain", "bound", "count", "defaults", "domain", "needs", "write_path")

    def __init__(self, bound: BoundRule) -> None:
        self.bound = bound
        self.defaults = bound.defaults or {}
        middle = bound.trace.index((False, "|"))
        self.needs = bound.arguments - set(self.defaults)
        self.count = len(self.needs)
        self._write_domain = self._writer(bound.trace[:middle])
        self.domain: str | None = None
        if not any(is_placeholder for is_placeholder, _ in bound.trace[:middle]):
            self.domain = self._write_domain({})
        path = bound.trace[middle + 1 :]
        self.write_path = self._writer(path)
        # A value behind the first slash may bring another one, and `//` would name a host.
        self._may_start_twice = len(path) > 1 and (path[1][0] or path[1][1] == "/")

    def _writer(self, trace: Iterable[tuple[bool, str]]) -> Callable[[Mapping[str, Any]], str]:
        literals = [""]
        holes: list[tuple[str, Callable[[Any], str]]] = []
        for is_placeholder, text in trace:
            if not is_placeholder:
                literals[-1] += quote(text, safe=SEGMENT_SAFE)
            elif text in self.defaults:
                literals[-1] += str(self.bound.converters[text].to_url(self.defaults[text]))
            else:
                literals.append("")
                holes.append((text, url_converter(self.bound.converters[text])))
        return _filler(literals, holes)

    def try_plain(self, values: Mapping[str, Any]) -> str | None:
        """Return the path of as many values as the rule needs; None if they are not the very ones, or not fit."""
        if type(values) is not dict or None in values.values():
            return None
        try:
            path = self.write_path(values)
        except Exception:  # noqa: BLE001  # the long way raises it again, or finds that the names are other ones
            return None
        return f"/{path.lstrip('/')}" if self._may_start_twice and path.startswith("//") else path

    def write_domain(self, values: Mapping[str, Any]) -> str:
        """Return the subdomain or host that the values give."""
        return self.domain if self.domain is not None else self._write_domain(values)

    def is_suitable(self, values: Mapping[str, Any], method: str | None) -> bool:
        """Return whether the values suffice, and don't contradict the rule's defaults."""
        methods = self.bound.methods
        if method is not None and methods is not None and method not in methods:
            return False
        if not self.needs <= values.keys():
            return False
        return all(name not in values or values[name] == value for name, value in self.defaults.items())

    def write(self, values: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return domain and path, without a query; None if a converter refuses a value."""
        try:
            return self.write_domain(values), self.write_path(values)
        except ValidationError:
            return None

    def unknown(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that the rule has no place for."""
        arguments = self.bound.arguments
        return {name: value for name, value in values.items() if name not in arguments}


def _filler(literals: list[str], holes: list[tuple[str, Callable[[Any], str]]]) -> Callable[[Mapping[str, Any]], str]:
    """Return what writes the values between the literals, of which there is one more than there are holes."""
    before = literals[0]
    if not holes:
        return lambda values: before
    name, convert = holes[0]
    after = literals[1]
    if len(holes) == 1:
        return lambda values: f"{before}{convert(values[name])}{after}"
    if len(holes) == 2:
        second, convert_second = holes[1]
        end = literals[2]
        return lambda values: f"{before}{convert(values[name])}{after}{convert_second(values[second])}{end}"
    steps = [(*hole, literal) for hole, literal in zip(holes, literals[1:], strict=True)]
    return lambda values: before + "".join([f"{convert(values[name])}{literal}" for name, convert, literal in steps])


def provides_defaults_for(provider: BoundRule, other: BoundRule) -> bool:
    """Return whether `provider` is the shorter way to write `other` where the values are its defaults."""
    return (
        provider.defaults is not None
        and not provider.rule.build_only
        and provider.trace != other.trace
        and provider.arguments == other.arguments
    )


def given_values(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values without those that are None. One value of a MultiDict stands for itself, several for a list."""
    if not values:
        return {}
    if isinstance(values, MultiDict):
        lists = {name: values.getlist(name) for name in values}
        return {name: found[0] if len(found) == 1 else found for name, found in lists.items() if found}
    return {name: value for name, value in values.items() if value is not None}


def encode_query(values: Mapping[str, Any], is_sorted: bool, sort_key: Callable[[Any], Any] | None) -> str:
    """Return the query of some values; a list, tuple or set gives its name once for each item, None is left out."""
    items: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, (list, tuple, set)):
            items += [(name, item) for item in value]
        else:
            items.append((name, value))
    if is_sorted:
        items.sort(key=sort_key)
    return urlencode([item for item in items if item[1] is not None], safe=_QUERY_SAFE)


def with_script_name(script_name: str, path: str) -> str:
    """Return a path below the one that the application is mounted at."""
    prefix = quote(script_name.strip("/"), safe=SEGMENT_SAFE)
    return f"/{prefix}/{path.lstrip('/')}" if prefix else f"/{path.lstrip('/')}"


class UrlBuilder:
    """Build the URLs of some rules. It never changes: a map that gets a rule makes a new one.

    Args:
        rules: the rules, in the order of their registration.
        is_sorted, sort_key: how the values in a query are sorted.
        home: the domain that every request is in; None where requests differ.

    Attributes:
        plain: the writer of each endpoint that has one rule, without defaults and at home; filled as they are used.
        endpoints_with_defaults: those for which a match may become a redirect to another of their rules.
    """

    def __init__(
        self,
        rules: Iterable[BoundRule],
        *,
        is_sorted: bool,
        sort_key: Callable[[Any], Any] | None,
        home: str | None,
    ) -> None:
        self._rules = list(rules)
        self._is_sorted = is_sorted
        self._sort_key = sort_key
        self._home = home
        self._by_endpoint: dict[str, list[BoundRule]] = {}
        for bound in self._rules:
            self._by_endpoint.setdefault(bound.rule.endpoint, []).append(bound)
        self.endpoints_with_defaults = {bound.rule.endpoint for bound in self._rules if bound.defaults}
        self._writers: dict[str, list[RuleWriter]] = {}
        self.plain: dict[str, RuleWriter] = {}

    def writers_of(self, endpoint: str) -> list[RuleWriter]:
        """Return the writers of an endpoint's rules, in the order in which they are tried: the fullest rule first."""
        found = self._writers.get(endpoint)
        if found is None:
            rules = sorted(
                self._by_endpoint.get(endpoint, ()),
                key=lambda bound: (bound.rule.alias, -len(bound.arguments), -len(bound.defaults or ())),
            )
            found = [RuleWriter(bound) for bound in rules]
            if rules:
                # Two threads may make them at once; both make the same.
                self._writers[endpoint] = found
            if (
                len(found) == 1
                and not found[0].defaults
                and found[0].domain is not None
                and found[0].domain == self._home
            ):
                self.plain[endpoint] = found[0]
        return found

    def first_written(
        self, writers: Iterable[RuleWriter], values: Mapping[str, Any], method: str | None, binding: Binding
    ) -> tuple[str, str] | None:
        """Return domain and path of the first writer that takes the values; where hosts differ, the request's own."""
        found = self._first(writers, values, method, binding)
        return None if found is None else found[:2]

    def _first(
        self, writers: Iterable[RuleWriter], values: Mapping[str, Any], method: str | None, binding: Binding
    ) -> tuple[str, str, RuleWriter] | None:
        first: tuple[str, str, RuleWriter] | None = None
        for writer in writers:
            if not writer.is_suitable(values, method):
                continue
            written = writer.write(values)
            if written is None:
                continue
            if binding.subdomain is not None or written[0] == binding.host:
                return (*written, writer)
            first = first or (*written, writer)
        return first

    def build(
        self,
        endpoint: str,
        values: Mapping[str, Any] | None,
        binding: Binding,
        method: str | None,
        external: bool,
        anchor: str | None,
        append_unknown: bool,
    ) -> str:
        """Return the URL of an endpoint; see `RouteMap.build`."""
        given = given_values(values)
        writers = self.writers_of(endpoint)
        found = self._first(writers, given, method if method is not None else binding.method, binding)
        if found is None and method is None:
            found = self._first(writers, given, None, binding)
        if found is None:
            raise BuildError(endpoint, given, method, self._rules)
        domain, path, writer = found
        unknown = writer.unknown(given) if append_unknown else None
        url = with_script_name(binding.script_name, path)
        if unknown:
            query = encode_query(unknown, self._is_sorted, self._sort_key)
            url = f"{url}?{query}" if query else url
        if anchor is not None:
            url = f"{url}#{quote(anchor, safe=_ANCHOR_SAFE)}"
        if not external and domain == binding.domain:
            return url
        host = binding.host_in(domain)
        if not host:
            raise ApplicationError(
                complaint(
                    f"URL of endpoint {endpoint!r}", "host", "the request's host, for the URL names one", host,
                    "Pass host=, or give the map a server_name",
                )
            )  # fmt: skip
        scheme = binding.scheme
        if scheme:
            scheme = "https:" if scheme in ("https", "wss") else "http:"
        return f"{scheme}//{host}{url}"

    def build_for(self, endpoint: str, values: Mapping[str, Any] | None, binding: Binding, **options: Any) -> str:
        """Like `build`, with the options by name."""
        choice = {"method": None, "external": False, "anchor": None, "append_unknown": True, **options}
        return self.build(endpoint, values, binding, **choice)
