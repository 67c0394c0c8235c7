"""The traceback page: what a developer is shown of an error, as HTML, as problem+json or as text."""

from __future__ import annotations

__all__ = ["editor_pattern", "render_traceback_page"]

import linecache
import os
import secrets
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby
from urllib.parse import quote

from wsgikit.error_pages.debug import DebugView, OnionLayer
from wsgikit.error_pages.debug_formats import as_dict, as_markdown, as_text
from wsgikit.error_pages.frames import Frame, Problem
from wsgikit.error_pages.highlight import highlight, highlight_template
from wsgikit.error_pages.render import Rendered, fill, html_headers, load_asset, raw, render_problem, text_page
from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean

# How editors are asked to open a file. {path} is absolute and quoted.
_EDITORS = {
    "vscode": "vscode://file{path}:{line}",
    "vscodium": "vscodium://file{path}:{line}",
    "cursor": "cursor://file{path}:{line}",
    "zed": "zed://file{path}:{line}",
    "pycharm": "pycharm://open?file={path}&line={line}",
    "idea": "idea://open?file={path}&line={line}",
    "sublime": "subl://open?url=file://{path}&line={line}",
    "textmate": "txmt://open?url=file://{path}&line={line}",
    "emacs": "emacs://open?url=file://{path}&line={line}",
    "vim": "vim://open?url=file://{path}&line={line}",
}


def editor_pattern(editor: str | None) -> str | None:
    """Return the link pattern of an editor, or the pattern that was given.

    Raises:
        ConfigurationError: the name is not known, and it is no pattern either.
    """
    if editor is None or editor in _EDITORS:
        return _EDITORS[editor] if editor else None
    if (
        ("{path}" in editor or "{file}" in editor)
        and "://" in editor
        and not editor.lower().startswith(("javascript:", "data:"))
    ):
        return editor
    expected = f"one of {', '.join(_EDITORS)}, or a link with {{path}} and {{line}}"
    raise ConfigurationError(
        complaint("ErrorPagesMiddleware", "editor", expected, editor, did_you_mean(editor, _EDITORS))
    )


def render_traceback_page(view: DebugView, editor: str | None, nonce: str | None = None) -> Rendered:
    """Write the page in the form that the client asked for."""
    if view.page.form == "json":
        return render_problem(view.page, {"debug": as_dict(view)})
    if view.page.form == "text":
        return text_page(as_text(view))
    nonce = nonce or secrets.token_urlsafe(16)
    pattern = editor_pattern(editor)
    first = view.problems[0]
    facts = dict(view.request)
    body = fill(
        load_asset("traceback.html"),
        {
            "nonce": nonce,
            "css": raw(load_asset("traceback.css")),
            "js": raw(load_asset("traceback.js")),
            "status": view.page.status,
            "method": facts["Method"],
            "path": facts["Path"],
            "kind": first.kind,
            "heading": raw(_kind(first.kind)),
            "message": raw(_message(first)),
            "where": view.where,
            "error_id": view.page.error_id or "",
            "fingerprint": view.fingerprint,
            "problems": raw("".join(_problem(p, pattern, heading=index > 0) for index, p in enumerate(view.problems))),
            "facts": raw("".join(_facts(view))),
            "versions": view.versions,
            "markdown": as_markdown(view),
        },
    )
    body = body.encode("utf-8", "backslashreplace").decode()
    return Rendered(body.encode(), "text/html; charset=utf-8", html_headers(nonce, f"'nonce-{nonce}'"))


def _kind(kind: str) -> str:
    module, dot, name = kind.rpartition(".")
    return f'<span class="module">{escape(module)}.</span>{escape(name)}' if dot else escape(name)


def _message(problem: Problem) -> str:
    message = f'<p class="message">{escape(problem.message)}</p>' if problem.message else ""
    return message + "".join(f'<p class="note">{escape(note)}</p>' for note in problem.notes)


def _problem(problem: Problem, pattern: str | None, heading: bool, level: int = 3) -> str:
    pieces = []
    if heading:
        relation = "Caused by" if problem.relation == "cause" else "Raised while handling" if problem.relation else ""
        pieces.append(f"<h{level}>{relation} {escape(problem.kind)}</h{level}>{_message(problem)}")
    pieces.append(_frames(problem, pattern))
    if problem.parts:
        count = len(problem.parts)
        for number, chain in enumerate(problem.parts, 1):
            title = f"<h{level}>{number} of {count}: {escape(chain[0].kind)}</h{level}>{_message(chain[0])}"
            inside = "".join(
                _problem(part, pattern, heading=index > 0, level=min(level + 1, 6)) for index, part in enumerate(chain)
            )
            pieces.append(f'<div class="part">{title}{inside}</div>')
    return "".join(pieces)


def _frames(problem: Problem, pattern: str | None) -> str:
    if not problem.frames:
        return ""
    frames = list(reversed(problem.frames))
    opened = {index for index, frame in enumerate(frames) if frame.is_own} or {0}
    pieces = ['<ol class="frames">']
    for is_open, group in groupby(enumerate(frames), lambda entry: entry[0] in opened):
        members = [frame for _, frame in group]
        if is_open:
            pieces += [f"<li>{_frame(frame, pattern, is_open=True)}</li>" for frame in members]
            continue
        inner = "".join(f"<li>{_frame(frame, pattern, is_open=False)}</li>" for frame in members)
        names = ", ".join(dict.fromkeys(frame.file.split("/")[0].removesuffix(".py") for frame in members))
        count = f"{len(members)} library frame{'s' if len(members) > 1 else ''}"
        summary = f'{count} <span class="place">{escape(names)}</span>'
        pieces.append(
            f'<li><details class="folded"><summary>{summary}</summary><ol class="frames">{inner}</ol></details></li>'
        )
    if problem.left_out:
        pieces.append(f'<li class="hint">{problem.left_out} frames in between are left out.</li>')
    pieces.append("</ol>")
    return "".join(pieces)


def _frame(frame: Frame, pattern: str | None, is_open: bool) -> str:
    badge = f'<span class="badge">layer {escape(frame.hook.partition(".")[0])}</span>' if frame.hook else ""
    summary = (
        f'<summary><span class="function">{escape(frame.function)}</span>'
        f'<span class="place">{escape(frame.file)}:{frame.line}</span>{badge}</summary>'
    )
    tools = ""
    if pattern is not None and os.path.isabs(frame.path):
        path = quote(frame.path if frame.path.startswith("/") else f"/{frame.path}", safe="/:")
        link = pattern.replace("{path}", path).replace("{file}", path).replace("{line}", str(frame.line))
        label = f"Open {frame.file}, line {frame.line}, in the editor"
        tools = f'<p class="tools"><a href="{escape(link)}" aria-label="{escape(label)}">Open in editor</a></p>'
    return (
        f'<details class="frame"{" open data-open" if is_open else ""}>{summary}'
        f"{_source(frame)}{tools}{_variables(frame)}</details>"
    )


def _source(frame: Frame) -> str:
    if not frame.lines:
        return '<p class="tools">There is no source.</p>'
    texts = [text for _, text in frame.lines]
    if frame.function == "template" or not frame.path.endswith(".py"):
        coloured = highlight_template(texts)
    else:
        first = frame.lines[0][0]
        start = frame.first_line if frame.first_line < first else first
        coloured = highlight(texts, linecache.getlines(frame.path)[start - 1 : first - 1])
    rows = []
    for (number, _), html in zip(frame.lines, coloured, strict=True):
        hit = number == frame.line
        rows.append(f'<span class="row{" hit" if hit else ""}"><span class="no">{number}</span>{html or " "}</span>')
        if hit and frame.marker:
            carets = f'<span class="no"> </span><span class="at">{frame.marker}</span>'
            rows.append(f'<span class="row hit" aria-hidden="true">{carets}</span>')
    label = escape(f"Source of {frame.file} around line {frame.line}")
    return f'<pre tabindex="0" role="group" aria-label="{label}"><code>{"".join(rows)}</code></pre>'


def _variables(frame: Frame) -> str:
    if not frame.variables:
        return ""
    summary = f"<summary>{len(frame.variables)} local variables</summary>"
    return f'<details class="locals">{summary}{_table(frame.variables)}</details>'


def _table(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in pairs)
    return f'<table class="vars"><tbody>{rows}</tbody></table>'


def _facts(view: DebugView) -> Iterator[str]:
    yield _card("onion", "The onion", _onion(view.onion))
    yield _card("request", "Request", _table(view.request))
    if view.route:
        yield _card("route", "Route", _table(view.route))
    yield _card("headers", "Request headers", _table(view.headers))
    if view.session_keys is not None:
        keys = ", ".join(f"<code>{escape(key)}</code>" for key in view.session_keys) or "none"
        yield _card("session", "Session keys", f"<p>{keys}</p>")
    if view.statements:
        items = "".join(
            f'<li>{escape(statement)} <span class="ms">{ms:.2f} ms</span></li>' for statement, ms in view.statements
        )
        total = sum(ms for _, ms in view.statements)
        hint = f'<span class="hint">{len(view.statements)} statements, {total:.1f} ms</span>'
        yield _card("sql", f"SQL of this request {hint}", f'<ol class="sql">{items}</ol>')


def _card(name: str, title: str, html: str) -> str:
    heading = f'<h2 id="{name}-title">{title}</h2>'
    return f'<section class="card" aria-labelledby="{name}-title">{heading}{html}</section>'


def _onion(layers: tuple[OnionLayer, ...]) -> str:
    html = ""
    for layer in reversed(layers):
        options = f' <span class="options">{escape(layer.options)}</span>' if layer.options else ""
        site = f' <span class="site">← {escape(layer.hook)}</span>' if layer.hook else ""
        html = f'<ul class="onion"><li>{escape(layer.name)}{options}{site}{html}</li></ul>'
    return html
