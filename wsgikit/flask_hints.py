"""What to write here in place of a name of Flask's, for the errors that somebody sees who knows Flask."""

from __future__ import annotations

__all__ = ["missing_attribute"]

_APPLICATION = "Routes are in a Router(__name__), and build_stack(router, …) puts layers around it"
_RUN = "Write `wsgikit serve module:app` in a shell, or serve it by any WSGI server: it is a WSGI application"
_LOGGER = "Write logging.getLogger(__name__)"
_CONFIG = "Options are arguments of the layers, or values in an ini file"
_BLUEPRINT = "A Router is its own blueprint: router.include(other_router, prefix='/blog')"

# The names of the module `flask`, then those of its class `Flask`.
_MODULE = {
    "Flask": _APPLICATION,
    "Blueprint": _BLUEPRINT,
    "Config": _CONFIG,
    "copy_current_request_context": "Its name here is copy_current_context",
    "stream_with_context": "It isn't needed: a stream keeps the context of its request",
    "json": "Return a dict from the view, or use jsonify. Router(json=JsonProvider(…)) says how JSON is written",
}
_APP = {
    "run": _RUN,
    "logger": _LOGGER,
    "config": _CONFIG,
    "debug": "Write `debug=True` for ErrorPagesMiddleware; `wsgikit serve` loads changes by itself",
    "secret_key": "Write use(SessionMiddleware, secret_key=…)",
    "permanent_session_lifetime": "Write use(SessionMiddleware, idle_timeout_seconds=…)",
    "register_blueprint": "Write router.include(other_router, prefix='/blog')",
    "wsgi_app": "It is a WSGI application itself: use(…) puts a middleware around it",
    "test_client": "Write wsgikit.testing.TestClient(app)",
    "test_request_context": "Write `with stack.request_context('/'):`, with a stack that has a ContextMiddleware",
    "jinja_env": "Write Router(template_options={…}), or add filters by @router.template_filter()",
}
_BY_OWNER = {"wsgikit": _MODULE, "Stack": _APP, "Router": _APP}


def missing_attribute(owner: str, name: str) -> AttributeError:
    """Return the error for a name that isn't there, with a hint if the name is one of Flask's.

    Args:
        owner: ``"wsgikit"``, ``"Stack"`` or ``"Router"``.
        name: the name that was asked for.
    """
    begin = f"module {owner!r} has" if owner == "wsgikit" else f"{owner!r} object has"
    hint = _BY_OWNER[owner].get(name)
    return AttributeError(f"{begin} no attribute {name!r}{f', which is of Flask. {hint}.' if hint else ''}", name=name)
