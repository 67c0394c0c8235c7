"""Jinja2's environment with what pages of a web application use."""

from __future__ import annotations

__all__ = ["MissingTemplate", "Templates"]

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wsgikit.context.locals import current_exchange, g, has_app_context, has_request_context, request, session
from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.json_provider import JsonProvider
from wsgikit.options.flags import check_flags
from wsgikit.routing.dispatch import Matched
from wsgikit.routing.invoke import as_sync
from wsgikit.routing.router import Router
from wsgikit.signals import RECEIVERS, find_sender, send_signal
from wsgikit.views.flashes import get_flashed_messages
from wsgikit.views.security import csp_nonce, csrf_field, csrf_token
from wsgikit.views.urls import url_for
from wsgikit.wsgi import ROUTING, SESSION

if TYPE_CHECKING:
    import jinja2
    from jinja2 import TemplateNotFound

    Folders = str | PathLike[str] | Sequence[str | PathLike[str]]
else:
    try:
        import jinja2
        from jinja2 import TemplateNotFound
    except ModuleNotFoundError as missing:  # an optional package; who uses none of this doesn't need it
        if missing.name != "jinja2":
            raise
        jinja2, TemplateNotFound = None, LookupError

# Templates whose names end so are text; all others are escaped, whatever their name, as most of them become pages.
TEXT_ENDINGS = frozenset(
    [
        *("bash", "cfg", "conf", "css", "csv", "eml", "ics", "ini", "js", "json", "log", "md", "mjs", "py", "rst"),
        *("sh", "sql", "tex", "text", "toml", "ts", "tsv", "txt", "vcf", "yaml", "yml"),
    ]
)
# An editor's ending for templates says nothing about what they make: page.html.j2 makes HTML, mail.txt.j2 text.
TEMPLATE_ENDINGS = frozenset(["j2", "jinja", "jinja2", "tmpl", "tpl"])


class MissingTemplate(ApplicationError, TemplateNotFound):
    """There is no template of that name; the text says where it was looked for."""

    def __init__(self, names: Sequence[str], looked_in: Iterable[object]) -> None:
        folders = [str(place) for place in looked_in]
        text = complaint(
            "template",
            " or ".join(map(str, names)),
            f"a file in {', '.join(folders) or 'a template folder (there is none)'}",
            None,
            "Create it, or name the folder it is in",
        )
        TemplateNotFound.__init__(self, names[0] if names else None, text)
        self.args = (text,)
        self.templates = list(names)

    def __str__(self) -> str:
        return str(self.message)


class Templates:
    """Jinja2's environment with what pages of a web application use.

    In templates there are `request`, `session`, `g`, `url_for`, `get_flashed_messages`, `csrf_token`, `csrf_field` and
    `csp_nonce`, also in macros that are imported without context.

    Args:
        folders: where templates are, the first one that has a name wins.
        router: a router whose folders, context processors, filters, tests and globals are added.
        autoescape: for all templates but those whose name ends as text does, such as ``mail.txt`` or ``data.json.j2``
            (None); for all (True) or none (False); or a function of the name.
        auto_reload: look for changed files at each use; None leaves it to `debug`.
        debug: the default of `auto_reload`.
        bytecode_cache: a folder for compiled templates, so that a new process needn't compile them.
        extensions: Jinja2's extensions.
        context_processors: functions whose dicts are added to the context of every template.
        filters: filters by name.
        tests: tests by name.
        globals: globals by name.
        loader: looked at after the folders.
        options: further options of Jinja2's environment, such as `trim_blocks`.

    Raises:
        ConfigurationError: Jinja2 isn't installed, a folder is not there, or an option is not Jinja2's.
    """

    def __init__(
        self,
        folders: Folders = (),
        *,
        router: Router | None = None,
        autoescape: bool | Callable[[str | None], bool] | None = None,
        auto_reload: bool | None = None,
        debug: bool = False,
        bytecode_cache: str | PathLike[str] | None = None,
        extensions: Sequence[str | type[Any]] = (),
        context_processors: Iterable[Callable[[], Mapping[str, Any]]] = (),
        filters: Mapping[str, Callable[..., Any]] | None = None,
        tests: Mapping[str, Callable[..., Any]] | None = None,
        globals: Mapping[str, Any] | None = None,  # noqa: A002  # Jinja2's name for it
        loader: jinja2.BaseLoader | None = None,
        **options: Any,
    ) -> None:
        if jinja2 is None:
            raise ConfigurationError("Templates: Jinja2 is missing. Install it: pip install 'wsgikit[templates]'.")
        check_flags("Templates", debug=debug)
        if auto_reload is not None:
            check_flags("Templates", auto_reload=auto_reload)
        if not callable(autoescape) and autoescape is not None:
            check_flags("Templates", autoescape=autoescape)
        self._own_folders = _paths(folders)
        for folder in self._own_folders:
            if not folder.is_dir():
                raise ConfigurationError(complaint("Templates", "folders", "a folder that is there", str(folder)))
        self.router = router
        self.folders = (*self._own_folders, *(router.template_folders if router is not None else ()))
        self._loader = loader
        self._options: dict[str, Any] = {
            "autoescape": autoescape,
            "auto_reload": auto_reload,
            "debug": debug,
            "bytecode_cache": bytecode_cache,
            "extensions": extensions,
            "context_processors": tuple(context_processors),
            "filters": filters,
            "tests": tests,
            "globals": globals,
            "loader": loader,
            **options,
        }
        self._context_processors = tuple(context_processors)
        self._with_router: dict[int, Templates] = {}
        loaders: list[jinja2.BaseLoader] = [jinja2.FileSystemLoader([str(folder) for folder in self.folders])]
        if loader is not None:
            loaders.append(loader)
        cache = None
        if bytecode_cache is not None:
            Path(bytecode_cache).mkdir(parents=True, exist_ok=True)
            cache = jinja2.FileSystemBytecodeCache(str(bytecode_cache))
        if autoescape is None:
            autoescape = is_escaped
        try:
            environment = self.environment = jinja2.Environment(
                loader=jinja2.ChoiceLoader(loaders),
                autoescape=autoescape,
                auto_reload=debug if auto_reload is None else auto_reload,
                bytecode_cache=cache,
                extensions=extensions,
                **options,
            )
        except TypeError as error:
            raise ConfigurationError(f"Templates: options: {error}.") from error
        environment.policies["json.dumps_function"] = _dumps_of(router.json if router is not None else JsonProvider())
        environment.globals.update(url_for=url_for, get_flashed_messages=get_flashed_messages)
        environment.globals.update(csrf_token=csrf_token, csrf_field=csrf_field, csp_nonce=csp_nonce)
        # Macros that are imported without context see globals only.
        environment.globals.update(request=request, session=session, g=g)
        # What an outer router registers goes before what those inside it do.
        for scope in reversed([*_scopes_of(router)]):
            environment.filters.update(scope.template_filters)
            environment.tests.update(scope.template_tests)
            environment.globals.update(scope.template_globals)
        environment.filters.update(filters or {})
        environment.tests.update(tests or {})
        environment.globals.update(globals or {})

    def __repr__(self) -> str:
        return f"<Templates {', '.join(map(str, self.folders)) or 'without folders'}>"

    def with_router(self, router: Router) -> Templates:
        """Return these templates and, after them, those of a router; made once for each."""
        if router is self.router:
            return self
        known = self._with_router.get(id(router))
        if known is None:
            known = self._with_router[id(router)] = Templates(self._own_folders, router=router, **self._options)
        return known

    def get(self, name: str | jinja2.Template | Sequence[str | jinja2.Template]) -> jinja2.Template:
        """Return a template, or the first of several that there is.

        Raises:
            MissingTemplate: there is none; the text names the folders.
        """
        with self._naming_places():
            return self.environment.get_or_select_template(name)  # type: ignore[arg-type]  # a list as any sequence

    @contextmanager
    def _naming_places(self) -> Iterator[None]:
        """Name the folders in which a missing template, or one that another extends or includes, was looked for."""
        try:
            yield
        except MissingTemplate:
            raise
        except jinja2.TemplateNotFound as error:
            names = [str(one) for one in getattr(error, "templates", [error.name])]
            places = [*self.folders, *([self._loader] if self._loader is not None else [])]
            raise MissingTemplate(names, places) from error

    def render(self, name: str | jinja2.Template | Sequence[str | jinja2.Template], /, **context: Any) -> str:
        """Return a template's text."""
        return self._guarded(self.get(name), context)

    def render_string(self, source: str, /, **context: Any) -> str:
        """Return the text of a template given as text; it is escaped as HTML."""
        return self._guarded(self.environment.from_string(source), context)

    def stream(self, name: str | jinja2.Template | Sequence[str | jinja2.Template], /, **context: Any) -> Iterator[str]:
        """Return a template's text piece by piece, made while it is sent."""
        return self._streamed(self.get(name), context)

    def stream_string(self, source: str, /, **context: Any) -> Iterator[str]:
        """Return the text of a template given as text, piece by piece."""
        return self._streamed(self.environment.from_string(source), context)

    def _streamed(self, template: jinja2.Template, context: dict[str, Any]) -> Iterator[str]:
        # The context is made now, not when the first piece is sent: what is missing is an error of the view.
        full = self.context(context)
        self._send("before_render_template", template, full)
        return self._pieces(template, full)

    def _pieces(self, template: jinja2.Template, context: dict[str, Any]) -> Iterator[str]:
        with self._naming_places():
            yield from template.generate(context)
        self._send("template_rendered", template, context)

    def _guarded(self, template: jinja2.Template, context: dict[str, Any]) -> str:
        full = self.context(context)
        self._send("before_render_template", template, full)
        with self._naming_places():
            text = template.render(full)
        self._send("template_rendered", template, full)
        return text

    def _send(self, name: str, template: jinja2.Template, context: dict[str, Any]) -> None:
        """Send a signal of a template, from the router of the request."""
        if RECEIVERS:
            sender = find_sender(current_exchange().environ) if has_app_context() else self.router
            send_signal(name, sender, as_sync, template=template, context=context)

    def context(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return the context for a template: the locals, what processors add, and over them what the view gives."""
        full: dict[str, Any] = {}
        if has_request_context():
            environ = current_exchange().environ
            # Proxies, so that a session or request that the template doesn't use isn't made.
            full["request"] = request
            full["g"] = g
            if SESSION in environ:
                full["session"] = session
        for processor in (*self._processors_of_router(), *self._context_processors):
            full.update(processor())
        full.update(context)
        return full

    def _processors_of_router(self) -> Iterator[Callable[[], Mapping[str, Any]]]:
        """Iterate over the context processors of the view's routers; if no view answers, of the router."""
        if not has_app_context():
            return
        matched = current_exchange().environ.get(ROUTING)
        if type(matched) is Matched and matched is not matched.router.nowhere:
            for scope in reversed(matched.plan.scopes):
                yield from scope.context_processors
        elif self.router is not None:
            yield from self.router.app_scope().context_processors


def _paths(folders: Folders) -> tuple[Path, ...]:
    if isinstance(folders, (str, PathLike)):
        folders = [folders]
    return tuple(Path(folder).absolute() for folder in folders)


def is_escaped(name: str | None) -> bool:
    """Return whether a template of that name is escaped as HTML: all are but those of known kinds of text."""
    if name is None:
        return True
    endings = name.lower().rpartition("/")[2].split(".")[1:]
    while endings and endings[-1] in TEMPLATE_ENDINGS:
        endings.pop()
    return not endings or endings[-1] not in TEXT_ENDINGS


def _dumps_of(provider: JsonProvider) -> Callable[..., str]:
    """Return what the filter ``tojson`` writes with: the router's own JSON, so that it takes what views may return."""

    def dumps(value: Any, *, indent: int | None = None, **options: Any) -> str:
        text = provider.dumps(value)
        return text if indent is None else json.dumps(json.loads(text), indent=indent)

    return dumps


def _scopes_of(router: Router | None) -> Iterator[Any]:
    if router is not None:
        yield router.hooks
        yield router.app_hooks
        for inner in router.iter_included():
            yield inner.hooks
            yield inner.app_hooks
