"""Templates by Jinja2: for routers, and for any application through a layer.

A router's templates are in ``templates/`` beside its module, those of included routers after them. `render_template`
finds them from the current request; with `TemplateMiddleware` any application has them, under ``wsgikit.templates``.
"""

from __future__ import annotations

__all__ = [
    "MissingTemplate",
    "TemplateMiddleware",
    "Templates",
    "get_template_attribute",
    "render_template",
    "render_template_string",
    "stream_template",
    "stream_template_string",
]

from wsgikit.templating.environment import MissingTemplate, Templates
from wsgikit.templating.middleware import TemplateMiddleware
from wsgikit.templating.rendering import (
    get_template_attribute,
    render_template,
    render_template_string,
    stream_template,
    stream_template_string,
)
