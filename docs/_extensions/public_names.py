"""The directive `public-names`: the reference of the public names of one page of docs/reference/api.

The page `others` has the names that no other page lists, so that a new name is never missing.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Parser
from docutils.utils import new_document
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import wsgikit
import wsgikit.testing

# The modules that have a page in docs/reference/api, page by page. Public modules have `wsgikit` itself as their home.
PAGES = {
    "composition": ("wsgikit.onion", "wsgikit"),
    "locals": ("wsgikit.context",),
    "requests": ("wsgikit.http",),
    "routing": ("wsgikit.routing", "wsgikit.views", "wsgikit.templating"),
    "sessions": ("wsgikit.sessions",),
    "database": ("wsgikit.database",),
    "error-pages": ("wsgikit.error_pages",),
    "middlewares": ("wsgikit.middleware",),
}
# Locals mean the current request: there is no request while the documentation is built.
LOCALS = {"request", "g", "session", "db", "current_app", "user"}
HOOKS = ("before_request", "before_view", "after_request", "handle_exception", "teardown_request")


def page_of(module: str) -> str | None:
    """Return the page that lists the names of a module; None if it is the page of the other names."""
    for page, prefixes in PAGES.items():
        if module in prefixes or module.startswith(tuple(f"{prefix}." for prefix in prefixes if prefix != "wsgikit")):
            return page
    return None


def names_of(page: str) -> list[str]:
    """Return the public names of a page as they are imported, `wsgikit.Router`, in the order of the alphabet."""
    if page == "testing":
        return [f"wsgikit.testing.{name}" for name in wsgikit.testing.__all__]
    wanted = None if page == "others" else page
    return [
        f"wsgikit.{name}"
        for name in wsgikit.__all__
        if name not in LOCALS and page_of(wsgikit._HOME_OF[name]) == wanted
    ]


def reference_of(name: str) -> str:
    """Return the autodoc directive of a public name."""
    module, _, attribute = name.rpartition(".")
    value = getattr(wsgikit.testing if module == "wsgikit.testing" else wsgikit, attribute)
    if isinstance(value, type):
        return f".. autoclass:: {name}\n   :members:\n{members_of(value)}"
    if isinstance(value, ModuleType):
        return f".. automodule:: {name}\n   :members:\n"
    if callable(value):
        return f".. autofunction:: {name}\n"
    return f".. autodata:: {name}\n   :no-value:\n"


def members_of(public: type) -> str:
    """Return the options of autodoc for the members of a class: our base classes count, other packages' don't."""
    if issubclass(public, wsgikit.Middleware) and public is not wsgikit.Middleware and public is not wsgikit.Router:
        return f"   :exclude-members: {', '.join(HOOKS)}\n"
    foreign = {base.__name__ for base in public.__mro__[1:] if not base.__module__.startswith("wsgikit")}
    return f"   :inherited-members: {', '.join(sorted(foreign))}\n"


class PublicNames(SphinxDirective):
    """Insert the reference of the public names of one page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the references as reStructuredText, also in a Markdown page."""
        document = new_document(self.env.doc2path(self.env.docname), self.state.document.settings)
        Parser().parse("\n".join(map(reference_of, names_of(self.arguments[0]))) or "There are none.", document)
        return list(document.children)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True}
