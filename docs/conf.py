"""The documentation site: `python -m sphinx -W --keep-going -c docs . docs/_build`.

The source is the root of the repository, so that the links between docs/, recipes/ and README.md are the same on the
site and in a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_extensions")]

import wsgikit  # noqa: E402  # after the path

project = "wsgikit"
author = "the wsgikit maintainers"
version = release = wsgikit.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "public_names",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "recipes/README.md",
    "recipes/**/README.md",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = ["docs/README.md", "docs/_*", "**/.venv", "**/build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

# Docstrings put code between single backquotes.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_display_short_literal_types = True
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
nitpicky = False

html_theme = "furo"
html_title = f"wsgikit {release}"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_additional_pages = {"index": "home.html", "404": "404.html"}
html_css_files = ["wsgikit.css"]
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4ee", "color-brand-content": "#7cc4ee"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
