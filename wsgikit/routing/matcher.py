"""The map of routes: which rule a path belongs to, and which URL a rule has.

This first form asks Werkzeug; the interface is the one that stays.
"""

from __future__ import annotations

__all__ = ["BuildError", "Match", "Miss", "RouteMap"]

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from werkzeug import routing as werkzeug_routing
from werkzeug.exceptions import BadRequest, MethodNotAllowed, NotFound
from werkzeug.routing import BuildError, RequestRedirect

from wsgikit.routing.rules import Rule


class Match:
    """A rule that answers, and what the path bound.

    Attributes:
        rule: the rule.
        values: its arguments, converted; a dict of this match's own.
    """

    __slots__ = ("rule", "values")

    def __init__(self, rule: Rule, values: dict[str, Any]) -> None:
        self.rule = rule
        self.values = values

    @property
    def endpoint(self) -> str:
        """The name of the rule that answers."""
        return self.rule.endpoint


class Miss:
    """No rule answers; `kind` says why. It is false, where a `Match` is true, and its `rule` is None.

    Attributes:
        kind: "not_found", "method_not_allowed", "redirect" or "bad_request".
        methods: the methods that the path has, where the kind is "method_not_allowed".
        location: where to, where the kind is "redirect".
    """

    __slots__ = ("kind", "location", "methods")

    rule = None

    def __init__(self, kind: str, methods: frozenset[str] = frozenset(), location: str | None = None) -> None:
        self.kind = kind
        self.methods = methods
        self.location = location

    def __bool__(self) -> bool:
        return False

    def to_exception(self) -> Exception:
        """Return the exception that says the same."""
        if self.kind == "redirect":
            return RequestRedirect(self.location or "/")
        if self.kind == "method_not_allowed":
            return MethodNotAllowed(valid_methods=sorted(self.methods))
        return BadRequest() if self.kind == "bad_request" else NotFound()


class RouteMap:
    """Hold rules; find the rule of a path, and build the URL of a rule."""

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        default_subdomain: str = "",
        strict_slashes: bool = True,
        merge_slashes: bool = True,
        redirect_defaults: bool = True,
        converters: Mapping[str, type[Any]] | None = None,
        sort_parameters: bool = False,
        sort_key: Callable[[Any], Any] | None = None,
        host_matching: bool = False,
        server_name: str | None = None,
    ) -> None:
        self._map = werkzeug_routing.Map(
            None, default_subdomain, strict_slashes, merge_slashes, redirect_defaults, converters,
            sort_parameters, sort_key, host_matching,
        )  # fmt: skip
        self._rules: dict[int, Rule] = {}
        self.converters = self._map.converters
        self.server_name = server_name
        for rule in rules:
            self.add(rule)

    def add(self, rule: Rule) -> None:
        """Add a rule. Rules may be added at any time."""
        other = werkzeug_routing.Rule(
            rule.rule, rule.defaults, rule.subdomain, rule.methods, rule.build_only, rule.endpoint,
            rule.strict_slashes, rule.merge_slashes, rule.redirect_to, rule.alias, rule.host,
        )  # fmt: skip
        self._map.add(other)
        rule.arguments = frozenset(other.arguments)
        self._rules[id(other)] = rule

    def find(
        self,
        path: str,
        method: str = "GET",
        *,
        host: str | None = None,
        subdomain: str | None = None,
        query: str = "",
        script_name: str = "",
        scheme: str = "http",
    ) -> Match | Miss:
        """Return the `Match` of a path, or the `Miss` that says why there is none. Never raises for a path."""
        adapter = self._map.bind(host or "localhost", script_name, subdomain, scheme)
        try:
            rule, values = adapter.match(path, method, return_rule=True, query_args=query)
        except RequestRedirect as error:
            return Miss("redirect", location=error.new_url)
        except MethodNotAllowed as error:
            return Miss("method_not_allowed", frozenset(error.valid_methods or ()))
        except NotFound:
            return Miss("not_found")
        return Match(self._rules[id(rule)], dict(values))

    def match(self, path: str, method: str = "GET", **bound: Any) -> Match:
        """Return the `Match` of a path; raise NotFound, MethodNotAllowed, RequestRedirect or BadRequest."""
        found = self.find(path, method, **bound)
        if isinstance(found, Miss):
            raise found.to_exception()
        return found

    def find_environ(self, environ: dict[str, Any], *, raw_path: bool = False) -> Match | Miss:
        """Like `find`, with the path, method, host, … of a request."""
        try:
            path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8")
        except UnicodeError:
            return Miss("bad_request")
        return self.find(
            path,
            environ.get("REQUEST_METHOD", "GET"),
            host=environ.get("HTTP_HOST"),
            query=environ.get("QUERY_STRING", ""),
            script_name=environ.get("SCRIPT_NAME", ""),
            scheme=environ.get("wsgi.url_scheme", "http"),
        )

    def match_environ(self, environ: dict[str, Any], raw_path: bool = False) -> Match:
        """Like `match`, with the path, method, host, … of a request."""
        found = self.find_environ(environ, raw_path=raw_path)
        if isinstance(found, Miss):
            raise found.to_exception()
        return found

    def allowed_methods(self, path: str, *, host: str | None = None) -> frozenset[str]:
        """Return the methods that the rules of a path name; none where one takes every method or none matches."""
        found = self.find(path, "--", host=host)
        return found.methods if isinstance(found, Miss) else frozenset()

    def iter_rules(self, endpoint: str | None = None) -> Iterator[Rule]:
        """Iterate over all rules in the order they were added, or over those of one endpoint."""
        return (rule for rule in list(self._rules.values()) if endpoint is None or rule.endpoint == endpoint)

    def build(
        self,
        endpoint: str,
        values: Mapping[str, Any] | None = None,
        *,
        method: str | None = None,
        default_method: str = "GET",
        host: str | None = None,
        subdomain: str | None = None,
        script_name: str = "",
        scheme: str | None = "http",
        external: bool = False,
        anchor: str | None = None,
        append_unknown: bool = True,
    ) -> str:
        """Return the URL of an endpoint with these values.

        Args:
            host: the host of the request at hand; `external` needs it (or the map's `server_name`).
            default_method: the method of the request at hand; a rule that has it is preferred where `method` is None.
        """
        adapter = self._map.bind(host or "localhost", script_name, subdomain, scheme or "", default_method)
        url = adapter.build(endpoint, values, method, external, append_unknown)
        return f"{url}#{anchor}" if anchor else url
