"""Templates of the current request: `render_template` and what goes with it."""

from __future__ import annotations

__all__ = [
    "get_template_attribute",
    "render_template",
    "render_template_string",
    "stream_template",
    "stream_template_string",
]

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from wsgikit.context.locals import current_exchange
from wsgikit.templating.environment import Templates
from wsgikit.views.urls import current_router
from wsgikit.wsgi import ROUTING, TEMPLATES

if TYPE_CHECKING:
    import jinja2

    from wsgikit.routing.router import Router


def current_templates(name: str = "current_templates") -> Templates:
    """Return the templates of the request: those of a `TemplateMiddleware`, then those of the router it is in.

    Args:
        name: the function that asks for them, for the text of the error.

    Raises:
        ApplicationError: it has neither.
    """
    environ = current_exchange(f"{name}()").environ
    templates: Templates | None = environ.get(TEMPLATES)
    record = environ.get(ROUTING)
    router: Router | None = record.router if record is not None else None
    if router is None:
        if templates is not None:
            return templates
        router = current_router(environ, name)
    if templates is not None:
        return templates.with_router(router)
    known = router.extensions.get(Templates)
    if known is None:
        known = router.extensions[Templates] = Templates(router=router, **router.template_options)
    return known


def render_template(name: str | jinja2.Template | list[str | jinja2.Template], /, **context: Any) -> str:
    """Return the text of a template, for a view to return.

    Args:
        name: the template's name, or several of which the first that there is is taken.
        context: its variables.

    Raises:
        MissingTemplate: there is none of that name; the text names the folders.
    """
    return current_templates("render_template").render(name, **context)


def render_template_string(source: str, /, **context: Any) -> str:
    """Return the text of a template that is given as text; it is escaped as HTML."""
    return current_templates("render_template_string").render_string(source, **context)


def stream_template(name: str | jinja2.Template | list[str | jinja2.Template], /, **context: Any) -> Iterator[str]:
    """Return a template's text piece by piece, for a view to return: it is made while it is sent, the locals alive."""
    return current_templates("stream_template").stream(name, **context)


def stream_template_string(source: str, /, **context: Any) -> Iterator[str]:
    """Return the text of a template that is given as text, piece by piece."""
    return current_templates("stream_template_string").stream_string(source, **context)


def get_template_attribute(name: str, attribute: str) -> Any:
    """Return a macro or variable that a template exports."""
    return getattr(current_templates("get_template_attribute").get(name).module, attribute)
