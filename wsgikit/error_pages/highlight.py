"""Colour lines of Python source: spans with a class for keywords, texts, numbers, comments, builtins, decorators."""

from __future__ import annotations

__all__ = ["highlight", "highlight_template"]

import builtins
import keyword
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from html import escape

# Only what can hide a quote sign from us: strings and comments. It finds out what a window of lines begins inside of.
_LONG = r"(?:[rbfuRBFU]{0,2}(?P<quote>'''|\"\"\"))"
_SHORT = r"[rbfuRBFU]{0,2}(?:'(?:[^'\\\n]|\\.)*'?|\"(?:[^\"\\\n]|\\.)*\"?)"
_OPENERS = re.compile(rf"{_LONG}|{_SHORT}|#[^\n]*")
_TOKEN = re.compile(
    rf"(?P<long>{_LONG})|(?P<s>{_SHORT})|(?P<c>#[^\n]*)"
    r"|(?P<d>(?<![^\s])@[\w.]+)|(?P<n>\b(?:0[xXbBoO][\w]+|\d[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?j?))"
    r"|(?P<name>[^\W\d]\w*)|(?P<other>[^\w#'\"@]+|.)"
)
_KEYWORDS = frozenset(keyword.kwlist) | {"match", "case", "self", "cls"}
_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))
_FARTHEST = 400  # lines back that are looked at for an open string; a docstring is seldom longer


def highlight(lines: Sequence[str], before: Sequence[str] = ()) -> list[str]:
    """Return each line as HTML.

    Args:
        lines: the lines to be shown.
        before: the lines that come before them, from a place where no string is open.
    """
    state = _open_quote(before[-_FARTHEST:])
    coloured = []
    for line in lines:
        pieces, state = _line(line, state)
        coloured.append(pieces)
    return coloured


# Our class for each kind of token of Pygments; the nearest kind above counts.
_PYGMENTS = (
    ("Comment", "c"),
    ("Keyword", "k"),
    ("String", "s"),
    ("Number", "n"),
    ("Name.Tag", "b"),
    ("Operator.Word", "k"),
)


def highlight_template(lines: Sequence[str]) -> list[str]:
    """Return each line of a Jinja2 template as HTML: in colours if Pygments is installed, else only escaped."""
    try:
        from pygments.lexers.templates import HtmlDjangoLexer  # for developers, if they have it
        from pygments.token import string_to_tokentype
    except ImportError:
        return [escape(line) for line in lines]
    kinds = [(string_to_tokentype(name), css) for name, css in _PYGMENTS]
    coloured = [""]
    for token, text in HtmlDjangoLexer(stripnl=False, ensurenl=False).get_tokens("\n".join(lines)):
        css = next((css for kind, css in kinds if token in kind), "")
        for number, part in enumerate(text.split("\n")):
            if number:
                coloured.append("")
            coloured[-1] += (_span(css, part) if css else escape(part)) if part else ""
    return coloured if len(coloured) == len(lines) else [escape(line) for line in lines]


def _open_quote(lines: Sequence[str]) -> str:
    state = ""
    for line in lines:
        place = 0
        if state:
            end = line.find(state)
            if end < 0:
                continue
            place, state = end + 3, ""
        while found := _OPENERS.search(line, place):
            place = found.end()
            if quote := found["quote"]:
                end = line.find(quote, place)
                if end < 0:
                    state = quote
                    break
                place = end + 3
    return state


@lru_cache(maxsize=4096)  # the same lines come again: in a recursion, in the next error
def _line(line: str, state: str) -> tuple[str, str]:
    pieces: list[str] = []
    place = 0
    if state:
        end = line.find(state)
        if end < 0:
            return _span("s", line), state
        place = end + 3
        pieces.append(_span("s", line[:place]))
        state = ""
    for kind, text, quote in _tokens(line, place):
        state = quote
        pieces.append(_span(kind, text) if kind else escape(text))
    return "".join(pieces), state


def _tokens(line: str, place: int) -> Iterator[tuple[str, str, str]]:
    while place < len(line):
        found = _TOKEN.match(line, place)
        if found is None:  # a line break in the middle: not what linecache gives
            yield "", line[place:], ""
            return
        kind, text = found.lastgroup or "", found[0]
        place = found.end()
        if quote := found["quote"]:
            end = line.find(quote, place)
            place = len(line) if end < 0 else end + 3
            yield "s", line[found.start() : place], quote if end < 0 else ""
        elif kind == "name":
            known = "k" if text in _KEYWORDS else "b" if text in _BUILTINS else ""
            yield known, text, ""
        elif kind == "other":
            yield "", text, ""
        else:
            yield kind, text, ""


def _span(kind: str, text: str) -> str:
    return f'<span class="{kind}">{escape(text)}</span>' if text else ""
