"""The map of routes: which rule a path belongs to, and which URL a rule has.

What matches, what it binds, which redirect, which 404 or 405, and what `build` gives are Werkzeug's; the differences
are listed in docs/reference/routing-rules.md, and the tests hold the map to both. A path without placeholders costs
one dict hop, another one a short walk through a trie, however many rules there are.
"""

from __future__ import annotations

__all__ = ["BuildError", "Match", "Miss", "RouteMap"]

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import RLock
from typing import Any

from wsgikit.http.hosts import without_default_port
from wsgikit.options.flags import check_flags
from wsgikit.routing.binding import bind_rule, make_converter
from wsgikit.routing.build import BuildError, UrlBuilder, with_script_name
from wsgikit.routing.conflicts import refuse_conflict
from wsgikit.routing.converters import DEFAULT_CONVERTERS, BaseConverter
from wsgikit.routing.match import BAD_REQUEST, NOT_FOUND, Match, Miss
from wsgikit.routing.parts import BoundRule, DynamicPart
from wsgikit.routing.redirects import Binding
from wsgikit.routing.request_path import ENCODED_SLASH, decode_wsgi, host_of, path_of, to_idna
from wsgikit.routing.rules import Rule, Segment
from wsgikit.routing.settle import settle
from wsgikit.routing.trie import Node, grow, literal_paths, walk
from wsgikit.wsgi import Environ

_has_surrogate = re.compile("[\ud800-\udfff]").search


class RouteMap:
    """Hold rules; find the rule of a path, and build the URL of a rule.

    Rules may be added at any time, on any thread. The trie is made when it is first needed, and made again after a
    rule was added: do that while starting, not in each request.

    Args:
        rules: the first rules.
        default_subdomain: the subdomain of rules that name none.
        strict_slashes: True redirects ``/page`` to the rule ``/page/``; False takes either for either.
        merge_slashes: True redirects ``/a//b`` to ``/a/b``.
        redirect_defaults: True redirects a path whose values are the defaults of another rule to that rule, and an
            alias to its original.
        converters: more converters by name, or others in the place of the known ones.
        sort_parameters: True sorts the values that `build` writes into the query.
        sort_key: by what, given pairs of name and value.
        host_matching: True compares rules by their `host`, not by `subdomain`.
        server_name: the host that subdomains stand before, with its port if that is not the scheme's. Without it
            every request is in `default_subdomain`, whatever its host.

    Attributes:
        match_class: what is made for a path that has a rule. A router has its own, to make one object in place of two.
        literal: the rule of each ASCII path without placeholders and each method, where one dict is all that is needed
            to tell; None where more is. What isn't in it may have a rule all the same.
        keeps_literal: False leaves `literal` empty, for paths that need a closer look.
    """

    match_class: type[Match] = Match
    keeps_literal = True

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        *,
        default_subdomain: str = "",
        strict_slashes: bool = True,
        merge_slashes: bool = True,
        redirect_defaults: bool = True,
        converters: Mapping[str, type[BaseConverter]] | None = None,
        sort_parameters: bool = False,
        sort_key: Callable[[Any], Any] | None = None,
        host_matching: bool = False,
        server_name: str | None = None,
    ) -> None:
        check_flags(
            "RouteMap",
            strict_slashes=strict_slashes,
            merge_slashes=merge_slashes,
            redirect_defaults=redirect_defaults,
            sort_parameters=sort_parameters,
            host_matching=host_matching,
        )
        self.default_subdomain = default_subdomain
        self.strict_slashes = strict_slashes
        self.merge_slashes = merge_slashes
        self.redirect_defaults = redirect_defaults
        self.converters: dict[str, type[BaseConverter]] = {**DEFAULT_CONVERTERS, **(converters or {})}
        self.sort_parameters = sort_parameters
        self.sort_key = sort_key
        self.host_matching = host_matching
        self.server_name = server_name.lower() if server_name else None
        self._make_converter = make_converter(self, self.converters, {})
        self._part_cache: dict[Segment, DynamicPart] = {}
        self._lock = RLock()
        self._bound: list[BoundRule] = []
        self._by_signature: dict[Any, list[BoundRule]] = {}
        # If neither hosts nor subdomains are compared, every request is in the same domain: at home.
        self.is_one_domain = not host_matching and server_name is None
        self._forget()
        for rule in rules:
            self.add(rule)

    def _forget(self) -> None:
        """Drop what was made of the rules so far. A request that is just being matched keeps what it holds."""
        self._static: dict[str, dict[str, Rule | None]] = {}
        self.literal: dict[str, dict[str, Rule | None]] = {}
        self._home: Node | None = None
        self._root: Node | None = None
        self._builder: UrlBuilder | None = None

    def add(self, rule: Rule) -> None:
        """Add a rule.

        Raises:
            ConfigurationError: the map has no such converter, or another rule takes the same paths and methods, so
                that one of both would never answer. The map is then as it was.
        """
        with self._lock:
            domain = rule.host if self.host_matching else rule.subdomain
            if domain is None:
                domain = "" if self.host_matching else self.default_subdomain
            bound = bind_rule(
                rule,
                len(self._bound),
                self._make_converter,
                self._part_cache,
                domain=to_idna(domain) or domain,
                is_strict=self.strict_slashes if rule.strict_slashes is None else rule.strict_slashes,
                is_merging=self.merge_slashes if rule.merge_slashes is None else rule.merge_slashes,
            )
            if not rule.build_only:
                same = self._by_signature.setdefault(bound.signature, [])
                for other in same:
                    refuse_conflict(other.rule, rule)
                same.append(bound)
            self._bound.append(bound)
            if type(bound.parts[0]) is not str:
                self.is_one_domain = False
            self._forget()

    def keep_for_urls(self, rule: Rule) -> None:
        """Let a rule of this map only give URLs from now on, so that another one may answer its paths."""
        with self._lock:
            rule.build_only = True
            for same in self._by_signature.values():
                same[:] = [bound for bound in same if bound.rule is not rule]
            self._forget()

    def is_endpoint_expecting(self, endpoint: str, *arguments: str) -> bool:
        """Return whether a rule of an endpoint binds all of these names, as for a function of `url_defaults`."""
        return any(rule.arguments.issuperset(arguments) for rule in self.iter_rules(endpoint))

    def iter_rules(self, endpoint: str | None = None) -> Iterator[Rule]:
        """Iterate over all rules in the order they were added, or over those of one endpoint."""
        return (bound.rule for bound in list(self._bound) if endpoint is None or bound.rule.endpoint == endpoint)

    def iter_bound(self) -> Iterator[BoundRule]:
        """Iterate over all rules as the map holds them, in the order they were added."""
        return iter(list(self._bound))

    # ---- matching

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
        """Return the `Match` of a path, or the `Miss` that says why there is none. No path makes it raise.

        Args:
            path: the path, decoded.
            method: the request's method.
            host: the request's host. Without it a redirect names no host.
            subdomain: the request's subdomain, if it is not to be read from `host`.
            query: the request's query, undecoded; a redirect keeps it.
            script_name: the path that the application is mounted at, decoded.
            scheme: the request's scheme.
        """
        if self.is_one_domain and subdomain is None:
            # As in find_environ: a call in common would cost a sixth of what a literal path takes.
            known = self._static.get(path)
            if known is not None:
                rule = known.get(method)
                if rule is not None:
                    match = self.match_class()
                    match.rule = rule
                    match.values = {}
                    return match
            found = self._find_quickly(path, method) if path.isascii() or not _has_surrogate(path) else None
            if found is not None:
                return found
        binding = self._binding(host, subdomain, query, script_name, scheme, method)
        return NOT_FOUND if binding is None else self._find_bound(path, method, binding)

    def match(
        self,
        path: str,
        method: str = "GET",
        *,
        host: str | None = None,
        subdomain: str | None = None,
        query: str = "",
        script_name: str = "",
        scheme: str = "http",
    ) -> Match:
        """Return the `Match` of a path; see `find` for the arguments.

        Raises:
            NotFound, MethodNotAllowed, RequestRedirect, BadRequest: Werkzeug's, for each kind of `Miss`.
        """
        found = self.find(
            path, method, host=host, subdomain=subdomain, query=query, script_name=script_name, scheme=scheme
        )
        if isinstance(found, Miss):
            raise found.to_exception()
        return found

    def find_environ(self, environ: Environ, *, raw_path: bool = False) -> Match | Miss:
        """Like `find`, with the path, method, host and query of a request. A redirect stays on the request's host.

        Args:
            environ: the request.
            raw_path: True keeps ``%2F`` apart from ``/``, if the server gives the undecoded path.
        """
        path: str = environ.get("PATH_INFO", "")
        method: str | None = environ.get("REQUEST_METHOD")
        if method is None:  # PEP 3333 wants it; a hand-made environ means GET, and so it is for all that follows
            method = environ["REQUEST_METHOD"] = "GET"
        if raw_path or not path.isascii():
            decoded = path_of(environ, raw_path)
            if decoded is None:
                return BAD_REQUEST
            path = decoded
        if self.is_one_domain:
            known = self._static.get(path)
            if known is not None:
                rule = known.get(method)
                if rule is not None:
                    match = self.match_class()
                    match.rule = rule
                    match.values = {}
                    return match
            # What raw_path marked must be unmarked again, which the long way does.
            found = self._find_quickly(path, method) if not raw_path or ENCODED_SLASH not in path else None
            if found is not None:
                return found
        binding = self._binding(
            None if self.is_one_domain else host_of(environ),
            None,
            environ.get("QUERY_STRING", ""),
            decode_wsgi(environ.get("SCRIPT_NAME", "")) or "",
            environ.get("wsgi.url_scheme", "http"),
            method,
        )
        return NOT_FOUND if binding is None else self._find_bound(path, method, binding)

    def match_environ(self, environ: Environ, raw_path: bool = False) -> Match:
        """Like `match`, with the path, method, host and query of a request; see `find_environ`."""
        found = self.find_environ(environ, raw_path=raw_path)
        if isinstance(found, Miss):
            raise found.to_exception()
        return found

    def allowed_methods(self, path: str, *, host: str | None = None, subdomain: str | None = None) -> list[str]:
        """Return the methods that the rules of a path name, sorted; none where one takes every method."""
        found = self.find(path, "--", host=host, subdomain=subdomain)
        return sorted(found.methods) if isinstance(found, Miss) else []

    def is_far(self, path: str) -> bool:
        """Tell at little cost that no rule is near a path, by its first segment. False decides nothing."""
        home = self._home
        if home is None or home.branches is not None or not self.is_one_domain:
            return False
        end = path.find("/", 1)
        head = path[1:] if end < 0 else path[1:end]
        if head in home.static or (not head and home.extra is not None):
            return False
        return path[:1] == "/" and path.isascii() and "//" not in path

    def _find_quickly(self, path: str, method: str, domain: str | None = None) -> Match | Miss | None:
        """Walk the trie, from the only domain there is or from the one given; None if that doesn't decide."""
        segments = path.split("/")
        count = len(segments)
        if count < 2 or segments[0] or (count > 2 and not segments[1]):
            return None  # not one slash in front
        if domain is None:
            bound = walk(self._home or self._prepare()[1], segments, 1, count, method)
        else:
            segments[0] = domain  # the text before the leading slash has no other use
            bound = walk(self._root or self._prepare()[0], segments, 0, count, method)
        if bound is None:
            return None if "//" in path and self.merge_slashes else NOT_FOUND
        if bound.is_special:
            return None
        match = self.match_class()
        match.rule = bound.rule
        try:
            match.values = bound.bind(segments)
        except ValueError:
            # A ValidationError gives the next rule its turn; int() of too many digits counts as one.
            return None
        return match

    def _find_bound(self, path: str, method: str, binding: Binding) -> Match | Miss:
        """Find the rule of a path in any domain, with all that may come of it."""
        if not self.is_one_domain:
            found = (
                None
                if not path.isascii() and _has_surrogate(path)
                else self._find_quickly(path, method, binding.domain)
            )
            if found is not None:
                return found
        root = self._root or self._prepare()[0]
        builder = self._builder or self._prepare_builder()
        return settle(root, builder, path, method, binding, self.merge_slashes, self.redirect_defaults)

    def _binding(
        self, host: str | None, subdomain: str | None, query: str, script_name: str, scheme: str, method: str
    ) -> Binding | None:
        """Return what is known of a request; None if its host is none that the map serves."""
        if host:
            host = to_idna(host.lower())
            if host is None:
                return None
        else:
            host = None
        if self.host_matching:
            return Binding(host, None, query, script_name, scheme, method)
        name = self.server_name
        if name is not None:
            name = without_default_port(name, scheme)
            if subdomain is None and host is not None:
                host = without_default_port(host, scheme)
                if host != name and not host.endswith(f".{name}"):
                    return None
                subdomain = host[: -len(name)].rstrip(".")
            host = name
        return Binding(
            host, self.default_subdomain if subdomain is None else subdomain, query, script_name, scheme, method
        )

    # ---- making what matching and building need

    def _prepare(self) -> tuple[Node, Node]:
        """Make the trie and the dict of literal paths; return the root and the node of the default domain."""
        with self._lock:
            if self._root is not None and self._home is not None:
                return self._root, self._home
            builder = self._prepare_builder()
            for bound in self._bound:
                bound.is_special = bound.may_redirect or (
                    self.redirect_defaults and bound.rule.endpoint in builder.endpoints_with_defaults
                )
            matching = [bound for bound in self._bound if not bound.rule.build_only]
            root = grow(matching)
            domain = "" if self.host_matching else self.default_subdomain
            home = root.static.get(domain) or Node()
            self._root = root
            self._home = home
            self._static = literal_paths(matching, domain)
            if self.is_one_domain and self.keeps_literal:
                self.literal = {path: rules for path, rules in self._static.items() if path.isascii()}
            return root, home

    def _prepare_builder(self) -> UrlBuilder:
        with self._lock:
            if self._builder is None:
                self._builder = UrlBuilder(
                    self._bound,
                    is_sorted=self.sort_parameters,
                    sort_key=self.sort_key,
                    home=None if self.host_matching or self.server_name is not None else self.default_subdomain,
                )
            return self._builder

    # ---- building

    def build_plain(self, endpoint: str, values: Mapping[str, Any]) -> str | None:
        """Return the path if an endpoint has one rule that needs no more than the values; None asks for `build`."""
        writer = (self._builder or self._prepare_builder()).plain.get(endpoint)
        if writer is None or len(values) != writer.count:
            return None
        return writer.try_plain(values)

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

        It is a path, unless `external` is true or the rule is in another domain than the request.

        Args:
            endpoint: the name of the rule.
            values: for its placeholders; the others go into the query. None counts as not given.
            method: only rules that take it are looked at.
            default_method: the request's method; where `method` is None a rule that takes it is preferred.
            host: the request's host; `external` needs it, or the map's `server_name`.
            subdomain: the request's subdomain, if it is not to be read from `host`.
            script_name: the path that the application is mounted at, decoded.
            scheme: the scheme of a URL with a host; "" leaves it to the page that the URL stands in.
            external: True always names scheme and host.
            anchor: what stands behind the ``#``.
            append_unknown: False drops values that the rule has no place for.

        Raises:
            BuildError: no rule of this name takes these values; it says what is near or missing.
            ApplicationError: the URL needs a host, and none is known.
            ValueError: a converter can't write the value it got.
        """
        if method is None and not external and anchor is None and subdomain is None:
            path = self.build_plain(endpoint, values or {})
            if path is not None:
                return path if not script_name else with_script_name(script_name, path)
        builder = self._builder or self._prepare_builder()
        binding = self._binding(host, subdomain, "", script_name, scheme or "", default_method)
        if binding is None:
            binding = Binding(self.server_name, self.default_subdomain, "", script_name, scheme or "", default_method)
        return builder.build(endpoint, values, binding, method, external, anchor, append_unknown)
