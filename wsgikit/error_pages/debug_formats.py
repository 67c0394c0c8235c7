"""What a developer is shown of an error, as plain data, as text, and as Markdown."""

from __future__ import annotations

__all__ = ["as_dict", "as_markdown", "as_text"]

from collections.abc import Iterator
from typing import Any

from wsgikit.error_pages.debug import DebugView
from wsgikit.error_pages.frames import FIRST_FRAMES, Problem


def as_dict(view: DebugView) -> dict[str, Any]:
    """Return the view as plain data, for clients that want JSON."""
    found: dict[str, Any] = {
        "where": view.where,
        "fingerprint": view.fingerprint,
        "exceptions": [_problem_dict(problem) for problem in view.problems],
        "onion": [{"layer": layer.name, "options": layer.options, "raised_in": layer.hook} for layer in view.onion],
        "request": dict(view.request),
        "headers": dict(view.headers),
        "route": dict(view.route),
        "session_keys": view.session_keys,
        "sql": [{"statement": statement, "milliseconds": round(ms, 3)} for statement, ms in view.statements],
        "versions": view.versions,
    }
    return found


def _problem_dict(problem: Problem) -> dict[str, Any]:
    return {
        "type": problem.kind,
        "message": problem.message,
        "notes": list(problem.notes),
        "relation": problem.relation or None,
        "frames": [
            {
                "file": frame.path,
                "line": frame.line,
                "function": frame.function,
                "own": frame.is_own,
                "source": next((text.strip() for number, text in frame.lines if number == frame.line), None),
                **({"hook": frame.hook} if frame.hook else {}),
                **({"locals": dict(frame.variables)} if frame.variables is not None else {}),
            }
            for frame in problem.frames
        ],
        **({"group": [[_problem_dict(part) for part in chain] for chain in problem.parts]} if problem.parts else {}),
    }


def as_text(view: DebugView) -> str:
    """Return the view as text, the traceback in the order that Python prints it."""
    lines = [view.page.status, "", *_traceback_lines(view.problems), ""]
    lines += [f"Raised in: {view.where}", f"Error id: {view.page.error_id}", f"Fingerprint: {view.fingerprint}"]
    for title, pairs in (("Request", view.request), ("Headers", view.headers), ("Route", view.route)):
        if pairs:
            lines += ["", f"{title}:", *(f"  {name}: {value}" for name, value in pairs)]
    lines += ["", "Onion:", *_onion_lines(view)]
    if view.session_keys is not None:
        lines += ["", f"Session keys: {', '.join(view.session_keys) or 'none'}"]
    if view.statements:
        lines += ["", "SQL:", *(f"  {ms:8.2f} ms  {statement}" for statement, ms in view.statements)]
    return "\n".join([*lines, "", view.versions, ""])


def as_markdown(view: DebugView) -> str:
    """Return the view as Markdown, to be pasted into an issue."""
    first = view.problems[0]
    facts = dict(view.request)
    heading = f"{first.kind}: {first.message}".splitlines()[0]
    lines = [
        f"## {heading}",
        "",
        f"`{facts.get('Method', '')} {facts.get('URL', '')}` → {view.page.status}; raised in {view.where}",
        "",
        *_fenced("\n".join(_traceback_lines(view.problems)), "pytb"),
        "",
        *_fenced("\n".join(_onion_lines(view)), ""),
    ]
    if view.statements:
        lines += ["", *_fenced("\n".join(statement for statement, _ in view.statements), "sql")]
    return "\n".join(
        [*lines, "", f"Error id {view.page.error_id}, fingerprint {view.fingerprint}; {view.versions}", ""]
    )


def _fenced(text: str, language: str) -> list[str]:
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence + language, text, fence]


def _onion_lines(view: DebugView) -> Iterator[str]:
    for depth, layer in enumerate(view.onion):
        mark = f"   ← {layer.hook}" if layer.hook else ""
        options = f"({layer.options})" if layer.options else ""
        yield f"{'  ' * (depth + 1)}{layer.name}{options}{mark}"


_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"


def _traceback_lines(problems: tuple[Problem, ...], indent: str = "") -> Iterator[str]:
    # Python prints the first cause first; the relation stands on the problem that the next one came of.
    for index in range(len(problems) - 1, -1, -1):
        problem = problems[index]
        if problem.frames:
            yield f"{indent}Traceback (most recent call last):"
        for number, frame in enumerate(problem.frames):
            if problem.left_out and number == FIRST_FRAMES:
                yield f"{indent}  … {problem.left_out} frames left out …"
            yield f'{indent}  File "{frame.path}", line {frame.line}, in {frame.function}'
            source = next((text for at, text in frame.lines if at == frame.line), "")
            if source.strip():
                yield f"{indent}    {source.strip()}"
                if frame.marker:
                    margin = len(source) - len(source.lstrip())
                    yield f"{indent}    {frame.marker[margin:]}"
            for name, value in frame.variables or ():
                yield f"{indent}      {name} = {value}"
        message = f": {problem.message}" if problem.message else ""
        yield from (f"{indent}{line}" for line in f"{problem.kind}{message}".splitlines())
        yield from (f"{indent}{line}" for note in problem.notes for line in note.splitlines())
        for number, chain in enumerate(problem.parts, 1):
            yield f"{indent}  +---------------- {number} ----------------"
            yield from _traceback_lines(chain, f"{indent}  | ")
        if index:
            yield ""
            yield f"{indent}{_CAUSE if problem.relation == 'cause' else _CONTEXT}"
            yield ""
