"""The traceback of an error as data: chain, groups, frames, source, locals as text. It keeps nothing alive."""

from __future__ import annotations

__all__ = ["FIRST_FRAMES", "Frame", "Problem", "is_own_code", "read_problems", "shown_path"]

import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType, TracebackType
from typing import Any

from wsgikit.error_pages.report import origin_of
from wsgikit.error_pages.safe_repr import safe_repr
from wsgikit.http.redact import HIDDEN, Redactor, is_secret_name, tells_a_secret
from wsgikit.onion.hooks import HOOKS
from wsgikit.onion.middleware import Middleware

_OWN_CONTEXT = 5  # lines of source on either side: a screen holds five frames
_LIBRARY_CONTEXT = 2
FIRST_FRAMES = 15  # of an endless recursion this many are shown
_LAST_FRAMES = 45  # and this many of its end
_MOST_PROBLEMS = 12  # in a chain, or parts of a group
_DEEPEST_GROUP = 4
_MOST_LOCALS = 40
_LONGEST_MESSAGE = 4000


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of a traceback.

    Attributes:
        path: the file, as Python names it.
        file: the file as it is shown: relative to the working directory, or to the library's folder.
        line: the number of the line that was running.
        function: the qualified name of the function.
        is_own: whether it is code of the application's, not of a library.
        lines: ``(number, text)`` of the source around.
        marker: spaces and carets that point at the expression, or "".
        hook: ``Layer.hook`` where it is one.
        variables: ``(name, repr)`` of the locals where they were asked for.
        first_line: the number of the line where the function begins.
    """

    path: str
    file: str
    line: int
    function: str
    is_own: bool
    lines: tuple[tuple[int, str], ...]
    marker: str
    hook: str | None
    variables: tuple[tuple[str, str], ...] | None
    first_line: int


@dataclass(frozen=True, slots=True)
class Problem:
    """One exception of a chain.

    Attributes:
        kind: its class, with the module if that is no builtin.
        message: its text.
        notes: what `add_note` added.
        frames: outermost first.
        left_out: how many frames there were between the first and the last ones.
        relation: how the one before it in the list came of it: ``"cause"``, ``"context"`` or "" for the first.
        parts: the exceptions of a group, each with its own chain.
    """

    kind: str
    message: str
    notes: tuple[str, ...]
    frames: tuple[Frame, ...]
    left_out: int
    relation: str
    parts: tuple[tuple[Problem, ...], ...]


def read_problems(error: BaseException, redactor: Redactor, show_locals: bool) -> tuple[Problem, ...]:
    """Return the error and what it came from, the error itself first."""
    _learn_from_locals(error, redactor)
    return tuple(_chain(error, redactor, show_locals, 0))


def _chain(error: BaseException, redactor: Redactor, show_locals: bool, depth: int) -> Iterator[Problem]:
    seen: set[int] = set()
    relation = ""
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < _MOST_PROBLEMS:
        seen.add(id(current))
        yield _problem(current, redactor, show_locals, relation, depth)
        cause, context = origin_of(current)
        current, relation = (context, "context") if cause is None else (cause, "cause")


def _problem(error: BaseException, redactor: Redactor, show_locals: bool, relation: str, depth: int) -> Problem:
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    entries = [*_visible(error.__traceback__)]
    left_out = max(len(entries) - FIRST_FRAMES - _LAST_FRAMES, 0)
    if left_out:
        entries = entries[:FIRST_FRAMES] + entries[-_LAST_FRAMES:]
    frames = [_frame(frame, line, lasti, redactor, show_locals) for frame, line, lasti in entries]
    template = _template_frame(error, redactor)
    if template is not None:
        frames.append(template)
    parts: tuple[tuple[Problem, ...], ...] = ()
    if isinstance(error, BaseExceptionGroup) and depth < _DEEPEST_GROUP:
        some = error.exceptions[:_MOST_PROBLEMS]
        parts = tuple(tuple(_chain(part, redactor, show_locals, depth + 1)) for part in some)
    return Problem(
        kind=name,
        message=_message(error, redactor),
        notes=tuple(redactor.message(note) for note in _notes(error)),
        frames=tuple(frames),
        left_out=left_out,
        relation=relation,
        parts=parts,
    )


def _notes(error: BaseException) -> list[str]:
    try:
        return [note for note in getattr(error, "__notes__", ()) if isinstance(note, str)]
    except BaseException:  # noqa: BLE001 - a property of somebody's
        return []


def _message(error: BaseException, redactor: Redactor) -> str:
    try:
        text = str(error)
    except BaseException as broken:  # noqa: BLE001 - a __str__ that exits must not end the server's worker
        return f"<str() failed with {type(broken).__name__}>"
    shown = redactor.message(text[: 10 * _LONGEST_MESSAGE])  # before it is cut, so that no half of a secret stays
    return shown if len(shown) <= _LONGEST_MESSAGE else f"{shown[:_LONGEST_MESSAGE]}… ({len(text)} characters)"


def _visible(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int, int]]:
    """Yield the frames that don't ask to be left out by a local called ``__traceback_hide__`` (Paste, Werkzeug)."""
    entries: list[tuple[FrameType, int, int]] = []
    while traceback is not None:
        frame = traceback.tb_frame
        code = frame.f_code
        hide = frame.f_locals.get("__traceback_hide__") if "__traceback_hide__" in code.co_varnames else None
        if hide == "before":
            entries.clear()
        if hide == "before" or not hide:
            entries.append((frame, traceback.tb_lineno, traceback.tb_lasti))
        traceback = traceback.tb_next
    yield from entries


def _frame(frame: FrameType, line: int, lasti: int, redactor: Redactor, show_locals: bool) -> Frame:
    code = frame.f_code
    path = code.co_filename
    is_own = is_own_code(path)
    lines = _source(path, line, _OWN_CONTEXT if is_own else _LIBRARY_CONTEXT, frame.f_globals)
    hook = None
    if code.co_name in HOOKS and code.co_argcount:
        owner = frame.f_locals.get(code.co_varnames[0])
        if isinstance(owner, Middleware):
            hook = f"{type(owner).__name__}.{code.co_name}"
    current = next((text for number, text in lines if number == line), "")
    hidden = redactor.code(current) != current
    return Frame(
        path=path,
        file=shown_path(path),
        line=line,
        function=code.co_qualname,
        is_own=is_own,
        lines=_redacted(lines, redactor),
        marker="" if hidden else _marker(code, lasti, line, current),
        hook=hook,
        variables=_variables(frame, redactor) if show_locals else None,
        first_line=code.co_firstlineno,
    )


def _redacted(lines: Sequence[tuple[int, str]], redactor: Redactor) -> tuple[tuple[int, str], ...]:
    """Hide secrets in lines of source: together, as a private key spans several."""
    if not lines:
        return ()
    numbers = [number for number, _ in lines]
    texts = redactor.code("\n".join(text for _, text in lines)).split("\n")
    return tuple(zip(numbers, texts, strict=True))


def _source(path: str, line: int, context: int, namespace: dict[str, Any] | None = None) -> tuple[tuple[int, str], ...]:
    if path.startswith("<") and namespace is not None and "__loader__" not in namespace:
        namespace = None
    linecache.checkcache(path)
    lines = linecache.getlines(path, namespace)
    first = max(line - context, 1)
    return tuple(enumerate((text.rstrip("\r\n") for text in lines[first - 1 : line + context]), first))


def _marker(code: CodeType, lasti: int, line: int, text: str) -> str:
    """Return the carets under the expression that failed (PEP 657), as Python's own traceback has them."""
    if lasti < 0 or not text:
        return ""
    start, end, column, end_column = next(islice(code.co_positions(), lasti // 2, None), (None,) * 4)
    if start != line or column is None or end_column is None:
        return ""
    encoded = text.encode()
    begin = len(encoded[:column].decode(errors="replace"))
    stop = len(text.rstrip()) if end != line else len(encoded[:end_column].decode(errors="replace"))
    # Where it is the whole line, the carets say nothing.
    if stop <= begin or (begin <= len(text) - len(text.lstrip()) and stop >= len(text.rstrip())):
        return ""
    return " " * begin + "^" * (stop - begin)


# ---------------------------------------------------------------------- whose code it is

_WSGIKIT = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "")
_ENGINE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "onion", "")
_LIBRARIES = (
    _WSGIKIT,
    # The longest first: site-packages lies in the standard library's folder.
    *sorted(
        {
            os.path.join(os.path.realpath(folder), "")
            for key in ("stdlib", "platstdlib", "purelib", "platlib")
            if (folder := sysconfig.get_path(key))
        },
        key=len,
        reverse=True,
    ),
)


@lru_cache(maxsize=1024)
def is_own_code(path: str) -> bool:
    """Return whether a file is of the application, not of Python, an installed package or wsgikit."""
    if path.startswith("<frozen ") or "/site-packages/" in path or "/dist-packages/" in path:
        return False
    return not os.path.realpath(path).startswith(_LIBRARIES)


@lru_cache(maxsize=1024)
def shown_path(path: str) -> str:
    """Return a path as short as it can be and still be told apart."""
    if path.startswith("<"):
        return path
    real = os.path.realpath(path)
    for folder in _LIBRARIES:
        if real.startswith(folder):
            return f"{'wsgikit/' if folder is _WSGIKIT else ''}{real[len(folder) :]}"
    here = os.path.join(os.path.realpath(os.getcwd()), "")
    return real[len(here) :] if real.startswith(here) else path


# ---------------------------------------------------------------------- templates


def _template_frame(error: BaseException, redactor: Redactor) -> Frame | None:
    """Return a frame for the line of the template that could not be parsed: no code of it has run.

    An error while a template runs needs none: Jinja2 puts the template's file and line into the traceback itself.
    """
    jinja2 = sys.modules.get("jinja2")
    if jinja2 is None or not isinstance(error, jinja2.TemplateSyntaxError):
        return None
    syntax: Any = error
    path = syntax.filename or syntax.name or "<template>"
    if syntax.source is None:
        lines = _source(path, syntax.lineno, _OWN_CONTEXT)
    else:
        first = max(syntax.lineno - _OWN_CONTEXT, 1)
        lines = tuple(enumerate(syntax.source.splitlines()[first - 1 : syntax.lineno + _OWN_CONTEXT], first))
    shown = _redacted(lines, redactor)
    return Frame(path, shown_path(path), syntax.lineno, "template", True, shown, "", None, None, 1)


# ---------------------------------------------------------------------- locals


def _learn_from_locals(error: BaseException, redactor: Redactor) -> None:
    """Take what stands in locals of secret names for secrets, so that neither message nor source shows them."""
    pending = [error]
    seen: set[int] = set()
    while pending and len(seen) < 50:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        pending += [other for other in origin_of(current) if other is not None]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
        traceback = current.__traceback__
        while traceback is not None:
            for name, value in _locals_of(traceback.tb_frame).items():
                if is_secret_name(name) and isinstance(value, (str, bytes, list, tuple, dict)):
                    # A loop's `key` is seldom a secret: hidden it is, looked for elsewhere only if long.
                    redactor.learn(value, shortest=4 if tells_a_secret(name) else 16)
            traceback = traceback.tb_next


def _locals_of(frame: FrameType) -> dict[str, Any]:
    """Return the locals of a frame; none of the engine's, which are still running.

    To read them makes a copy that stays with a running frame. The engine's has the error in it, and that leads back
    to the frame: the request would be kept alive until the garbage collector comes.
    """
    return {} if frame.f_code.co_filename.startswith(_ENGINE) else frame.f_locals


# The parameters of a statement on their way through SQLAlchemy and a driver: no name says which is a password.
_DRIVERS = ("sqlalchemy", "psycopg", "psycopg2", "pymysql", "MySQLdb", "mysql", "sqlite3", "aiosqlite", "asyncpg")
_PARAMETERS = re.compile(r"param|^(?:args|kwargs|kw|values|vars|binds|context|compiled|elem)$")


def _variables(frame: FrameType, redactor: Redactor) -> tuple[tuple[str, str], ...]:
    found = []
    variables = _locals_of(frame)
    is_driver = str(frame.f_globals.get("__name__", "")).partition(".")[0] in _DRIVERS
    for name, value in islice(variables.items(), _MOST_LOCALS):
        if name.startswith("__") or name == "@py_builtins":
            continue
        shown = (
            HIDDEN
            if is_secret_name(name) or (is_driver and _PARAMETERS.search(name))
            else safe_repr(value, redactor.message)
        )
        found.append((name, shown))
    if len(variables) > _MOST_LOCALS:
        found.append(("…", f"{len(variables) - _MOST_LOCALS} more"))
    return tuple(found)
