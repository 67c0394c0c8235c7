"""Source in colours: nothing of the text is changed, and strings are told from comments as Python does."""

from __future__ import annotations

import html
import importlib
import io
import linecache
import re
import sys
import tokenize

import pytest

import wsgikit.error_pages.frames
from wsgikit.error_pages.highlight import highlight, highlight_template


def uncoloured(html):
    return re.sub(r"</?span[^>]*>", "", html)


def test_source_is_coloured():
    (line,) = highlight(["    return str(1.5) + f'a{b}'  # why"])
    assert line == (
        '    <span class="k">return</span> <span class="b">str</span>(<span class="n">1.5</span>) + '
        '<span class="s">f&#x27;a{b}&#x27;</span>  <span class="c"># why</span>'
    )


def test_lines_inside_a_long_string_are_text():
    before = ["def f():", '    """Does it.', "", "    It's a doc"]
    assert highlight(["    for you.", '    """', "    return 1"], before) == [
        '<span class="s">    for you.</span>',
        '<span class="s">    &quot;&quot;&quot;</span>',
        '    <span class="k">return</span> <span class="n">1</span>',
    ]


@pytest.mark.parametrize("module", ["json.decoder", "typing", "argparse", "wsgikit.error_pages.frames"])
def test_colours_change_nothing_of_the_text(module):
    lines = linecache.getlines(importlib.import_module(module).__file__)
    lines = [line.rstrip("\n") for line in lines]
    assert [html.unescape(uncoloured(line)) for line in highlight(lines)] == lines


def test_colours_agree_with_pythons_own_tokens():
    module = wsgikit.error_pages.frames
    text = "".join(linecache.getlines(module.__file__))
    expected = [t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.COMMENT]
    coloured = "\n".join(highlight(text.splitlines()))
    assert [html.unescape(found) for found in re.findall(r'<span class="c">(.*?)</span>', coloured)] == expected


TEMPLATE = ["<p title='a'>{% if user %}", "  {{ user.name }} &amp; {# who #}", "", "{% endif %}</p>"]


def test_a_template_is_coloured_by_pygments_and_nothing_of_it_changed():
    lines = highlight_template(TEMPLATE)
    assert [html.unescape(uncoloured(line)) for line in lines] == TEMPLATE
    assert '<span class="k">if</span>' in lines[0]
    assert '<span class="c">{# who #}</span>' in lines[1]


def test_a_template_is_escaped_without_pygments(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygments.lexers.templates", None)
    assert highlight_template(TEMPLATE) == [html.escape(line) for line in TEMPLATE]
