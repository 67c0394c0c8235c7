"""Templates for any application: a layer that provides them."""

from __future__ import annotations

__all__ = ["TemplateMiddleware"]

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wsgikit.onion.exchange import Exchange
from wsgikit.onion.middleware import Middleware
from wsgikit.templating.environment import Templates
from wsgikit.wsgi import TEMPLATES, WSGIApplication


class TemplateMiddleware(Middleware):
    """Gives an application templates: for `render_template`, and as a `Templates` in ``environ["wsgikit.templates"]``.

    Use it if an application uses no `Router`, or if several share templates. A router finds its own without it;
    with it, these come first.

    It stands inside `ContextMiddleware` if one is present; without it, templates have no locals.

    It provides ``wsgikit.templates``.

    Args:
        app: the application.
        folders: where templates are, the first one that has a name wins.
        autoescape: escape all (True) or nothing (False); by default all but those whose names end as text does.
        auto_reload: look for changed files at each use; None leaves it to `debug`.
        debug: the default of `auto_reload`.
        bytecode_cache: a folder for compiled templates.
        context_processors: functions whose dicts are added to the context of every template.
        filters: filters by name.
        tests: tests by name.
        globals: globals by name.

    Raises:
        ConfigurationError: Jinja2 isn't installed, or a folder is not there.

    Example::

        app = TemplateMiddleware(app, folders="templates")
    """

    inside_of = ("ContextMiddleware",)
    outside_of = ("RouterMiddleware",)
    provides = (TEMPLATES,)

    def __init__(
        self,
        app: WSGIApplication,
        *,
        folders: list[str] | tuple[str, ...] | str = ("templates",),
        autoescape: bool | None = None,
        auto_reload: bool | None = None,
        debug: bool = False,
        bytecode_cache: str | None = None,
        context_processors: Sequence[Callable[[], Mapping[str, Any]]] = (),
        filters: Mapping[str, Callable[..., Any]] | None = None,
        tests: Mapping[str, Callable[..., Any]] | None = None,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  # Jinja2's name for it
    ) -> None:
        super().__init__(app)
        self.templates = Templates(
            folders,
            autoescape=autoescape,
            auto_reload=auto_reload,
            debug=debug,
            bytecode_cache=bytecode_cache,
            context_processors=context_processors,
            filters=filters,
            tests=tests,
            globals=globals,
        )

    def before_request(self, exchange: Exchange) -> None:
        """Put the templates into environ."""
        exchange.environ[TEMPLATES] = self.templates
