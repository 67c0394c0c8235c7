"""The layer that gives each request its locals."""

from __future__ import annotations

__all__ = ["ContextMiddleware"]

from typing import ClassVar

from wsgikit.onion.middleware import Middleware


class ContextMiddleware(Middleware):
    """Gives each request its own context, and binds `request`, `g`, `session`, `db` and `current_app` in it.

    The application, the layers inside this one and every step of a lazy body run in that `contextvars.Context`, on
    whatever thread the server takes them. So two streams that a thread steps by turns never see each other, an
    abandoned one leaves nothing behind, and context variables that the application sets end with the request.

    Use it if anything in the stack uses the locals. Leave it out if nothing does: layers get the exchange as
    their argument and need no locals.

    It belongs outside the layers whose hooks use locals: outermost but for error pages and what only looks at heads.

    Needs no environ key, provides none, has no options.

    Example::

        from wsgikit import ContextMiddleware, build_stack, g, use

        def app(environ, start_response):
            g.visits = g.get("visits", 0) + 1
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"visit %d" % g.visits]

        stack = build_stack(app, use(ContextMiddleware))
    """

    own_context: ClassVar[bool] = True
