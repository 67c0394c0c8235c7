"""`url_for` on the current request."""

from __future__ import annotations

__all__ = ["current_router", "url_for"]

from typing import Any

from wsgikit.context.locals import current_exchange
from wsgikit.exceptions import ApplicationError, complaint
from wsgikit.onion.ending import CURRENT
from wsgikit.routing.build import with_script_name
from wsgikit.routing.dispatch import Matched
from wsgikit.routing.mount import router_in
from wsgikit.routing.router import Router
from wsgikit.routing.urls import build_url
from wsgikit.wsgi import ROUTING, STACK, STATIC, Environ


def url_for(
    endpoint: str,
    *,
    _anchor: str | None = None,
    _method: str | None = None,
    _scheme: str | None = None,
    _external: bool | None = None,
    **values: Any,
) -> str:
    """Return the URL of an endpoint of the router that the request is in.

    It is found across included and mounted routers, also from inside a mounted one, and begins with the prefix that the
    application is under.

    Args:
        endpoint: the endpoint's name; ``"name.endpoint"`` in an included or mounted router, ``".endpoint"`` beside the
            current one.
        _anchor: put behind ``#``.
        _method: choose the rule of the endpoint that has this method.
        _scheme: the scheme of an external URL.
        _external: with scheme and host.
        values: for the rule's variables; what it has none of goes into the query string. None is left out. For static
            files ``v="auto"`` makes the URL change with the content of the file.

    Raises:
        OutsideRequestError: there is no request; a router's own `url_for` needs none.
        BuildError: there is no such endpoint, or a value is missing.
    """
    exchange = CURRENT.get(None) or current_exchange("url_for()")  # the second says what is missing
    environ = exchange.environ
    if endpoint == "static" and STATIC in environ and not _external and _anchor is None:
        url = _url_of_layer(environ, values)
        if url is not None:
            return url
    matched = environ.get(ROUTING)
    if type(matched) is Matched and _scheme is None and _anchor is None and _method is None and not _external:
        # What build_url does, without what only others need.
        router = matched.plan.router
        script_name = environ.get("SCRIPT_NAME", "")
        if endpoint in router.plain_endpoints and matched.rule is not None and script_name.isascii():
            path = router.map.build_plain(endpoint, values)
            if path is not None:
                return path if not script_name else with_script_name(script_name, path)
    return build_url(current_router(environ), endpoint, values, environ, _anchor, _method, _scheme, _external)


def _url_of_layer(environ: Environ, values: dict[str, Any]) -> str | None:
    """Return the URL of a file that a `StaticMiddleware` around serves; None if it has no such file."""
    layer, script_name = environ[STATIC]
    filename = values.get("filename")
    if values.keys() - {"filename", "v"} or not isinstance(filename, str) or layer.find_version(filename) is None:
        return None
    decoded = script_name.encode("latin-1").decode("utf-8", "replace")
    url: str = layer.url_for(filename, v=values.get("v"), script_name=decoded)
    return url


def current_router(environ: Environ, where: str = "url_for") -> Router:
    """Return the router that the request is in.

    Args:
        where: what asks for it, for the text of the error.

    Raises:
        ApplicationError: it is in none.
    """
    record = environ.get(ROUTING)
    if record is not None:
        return record.router  # type: ignore[no-any-return]  # environ is untyped
    # A request context is entered without the application: its router is found through the stack.
    router = router_in(environ.get(STACK))
    if router is None:
        raise ApplicationError(
            complaint(where, "router", "a RouterMiddleware or Router around this request", None, "Add one to the stack")
        )
    return router  # type: ignore[no-any-return]  # router_in is untyped, for it asks any object
