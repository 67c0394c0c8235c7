"""URLs of endpoints, in this router and across those that it is mounted in or that are mounted in it."""

from __future__ import annotations

__all__ = ["build_url"]

from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import BadRequest
from wsgikit.routing.matcher import BuildError
from wsgikit.routing.mount import Mount, Mounted, router_in
from wsgikit.routing.request_path import host_of
from wsgikit.wsgi import ROUTING, Environ

if TYPE_CHECKING:
    from wsgikit.routing.router import Router


def build_url(
    router: Router,
    endpoint: str,
    values: dict[str, Any],
    environ: Environ | None,
    anchor: str | None = None,
    method: str | None = None,
    scheme: str | None = None,
    external: bool | None = None,
) -> str:
    """Return the URL of an endpoint; see `Router.url_for`."""
    if external is None:
        external = scheme is not None
    elif scheme is not None and not external:
        raise ValueError("url_for: _scheme: expected with _external=True, got it with _external=False.")
    if environ is None:
        if endpoint[:1] == ".":
            endpoint = endpoint[1:]
        return _build(router, endpoint, values, "", None, None, anchor, method, scheme, external)
    record = environ.get(ROUTING)
    script_name = environ.get("SCRIPT_NAME", "")
    if record is not None:
        if record.router is not router:
            record = None
        elif type(record) is Mounted:  # the current application is mounted in the router: its own prefix is longer
            script_name = record.script_name
    if endpoint[:1] == ".":
        current = record.endpoint if record is not None else None
        endpoint = f"{current.rpartition('.')[0]}{endpoint}" if current and "." in current else endpoint[1:]
    if record is not None and record.parent is not None and not _has(router, endpoint):
        # Not here: a router that this one is mounted in may have it.
        outer = record.parent
        while outer is not None:
            if _has(outer.router, endpoint):
                router = outer.router
                script_name = getattr(outer, "script_name", script_name)
                break
            outer = outer.parent
    host = host_of(environ)
    if not host and external and "HTTP_HOST" in environ:
        raise BadRequest("The Host header of the request names no host, and a URL was to begin with it.")
    return _build(router, endpoint, values, script_name, host, environ, anchor, method, scheme, external)


def _build(
    router: Router,
    endpoint: str,
    values: dict[str, Any],
    script_name: str,
    host: str | None,
    environ: Environ | None,
    anchor: str | None,
    method: str | None,
    scheme: str | None,
    external: bool,
) -> str:
    """Return the URL of an endpoint of a router that is under a prefix, or of a router mounted in it."""
    if not router.has_endpoint(endpoint):
        found = _mounted(router, endpoint)
        if found is not None:
            mount, inner, rest = found
            prefix = script_name if mount.keep_path else script_name.rstrip("/") + mount.prefix
            if mount.host is not None and (host is None or mount.host not in (host, host.partition(":")[0])):
                host, external = mount.host, True
            return _build(inner, rest, values, prefix, host, environ, anchor, method, scheme, external)
    for function in router.url_defaults_of(endpoint):
        function(endpoint, values)
    if not script_name.isascii():  # environ holds the bytes of UTF-8 as latin-1 (PEP 3333)
        script_name = script_name.encode("latin-1").decode("utf-8", "replace")
    try:
        return router.map.build(
            endpoint,
            values,
            method=method,
            default_method=environ.get("REQUEST_METHOD", "GET") if environ is not None else "GET",
            host=host or router.server_name,
            script_name=script_name,
            scheme=scheme or (environ["wsgi.url_scheme"] if environ is not None else "http"),
            external=external,
            anchor=anchor,
        )
    except BuildError as error:
        if not router.url_build_error_handlers:
            raise
        told = {**values, "_anchor": anchor, "_method": method, "_scheme": scheme, "_external": external}
        for handler in router.url_build_error_handlers:
            url = handler(error, endpoint, told)
            if url is not None:
                return url
        raise


def _has(router: Router, endpoint: str) -> bool:
    return router.has_endpoint(endpoint) or _mounted(router, endpoint) is not None


def _mounted(router: Router, endpoint: str) -> tuple[Mount, Router, str] | None:
    """Return the mount whose name begins the endpoint, the router in it, and the endpoint there."""
    for mount in router.mounts.mounts:
        if mount.name and mount.pattern is None and endpoint.startswith(f"{mount.name}."):
            inner = router_in(mount.app)
            rest = endpoint[len(mount.name) + 1 :]
            if inner is not None and _has(inner, rest):
                return mount, inner, rest
    return None
