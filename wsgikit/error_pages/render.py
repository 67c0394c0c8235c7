"""Write the page that a visitor gets: ours in HTML, problem+json or text, or one of the user's own."""

from __future__ import annotations

__all__ = ["ErrorPage", "Page", "Rendered", "fill", "load_asset", "load_pages", "render_visitor_page"]

import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from typing import Any, TypeAlias

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.http.accept import Form
from wsgikit.wsgi import HeaderList, WSGIApplication

_HERE = os.path.dirname(os.path.abspath(__file__))
_PLACE = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
_JINJA_ENDINGS = (".j2", ".jinja", ".jinja2")
_RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What a page may say of an error. A snapshot: nothing in it can reach the session, the database or the exception.

    Attributes:
        status_code: such as 404.
        status: such as ``"404 Not Found"``.
        title: a heading in the visitor's language.
        text: a sentence or two in the visitor's language, or what the HTTP exception said.
        error_id: by which the one on call finds the record in the log; None if nothing was logged.
        request_id: what a request id layer gave, or None.
        language: the language of `title`, `text` and `labels`, such as ``"de"``.
        labels: the words for ``error_id``, ``request_id`` and ``home``.
        form: what the client asked for: ``"html"``, ``"json"`` or ``"text"``.
        method: the method of the request.
        home_url: where the application begins.
    """

    status_code: int
    status: str
    title: str
    text: str
    error_id: str | None
    request_id: str | None
    language: str
    labels: Mapping[str, str]
    form: Form
    method: str
    home_url: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """A page as bytes, with the headers that belong to it."""

    body: bytes
    content_type: str
    headers: HeaderList


# What a page of the user's returns: HTML, a problem document's members, a whole WSGI app, or None for our own page.
PageResult: TypeAlias = "str | bytes | Mapping[str, Any] | WSGIApplication | None"
Page: TypeAlias = Callable[[ErrorPage], PageResult]


def render_visitor_page(page: ErrorPage, nonce: str | None = None) -> Rendered:
    """Write our own page in the form that the client asked for."""
    if page.form == "json":
        return render_problem(page)
    if page.form == "text":
        return _as_text(page)
    nonce = nonce or secrets.token_urlsafe(16)
    body = fill(
        load_asset("visitor.html"),
        {
            **_values(page),
            "nonce": nonce,
            "ids": _Raw(_ids(page)),
            "css": _Raw(load_asset("visitor.css")),
            "direction": "rtl" if page.language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr",
        },
    )
    headers = [*html_headers(nonce, "'none'"), ("Content-Language", page.language)]
    return Rendered(body.encode(), "text/html; charset=utf-8", headers)


def html_headers(nonce: str, script: str) -> HeaderList:
    """Return the headers of an HTML page of ours: nothing but what is in the page itself may be loaded or run."""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src {script}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return [("Content-Security-Policy", policy), ("X-Content-Type-Options", "nosniff")]


def render_problem(page: ErrorPage, extra: Mapping[str, Any] | None = None) -> Rendered:
    """Write a problem document (RFC 9457) with further members."""
    # §4.2.1: with "about:blank" the title is the status's own phrase.
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": page.status[4:],
        "status": page.status_code,
        "detail": page.text,
    }
    problem |= {key: value for key, value in (("error_id", page.error_id), ("request_id", page.request_id)) if value}
    problem |= extra or {}
    body = json.dumps(problem, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
    headers = [("X-Content-Type-Options", "nosniff"), ("Content-Language", page.language)]
    return Rendered(body, "application/problem+json", headers)


def _as_text(page: ErrorPage) -> Rendered:
    lines = [page.status, "", f"{page.title}. {page.text}"]
    if page.error_id or page.request_id:
        lines.append("")
    if page.error_id:
        lines.append(f"{page.labels['error_id']}: {page.error_id}")
    if page.request_id:
        lines.append(f"{page.labels['request_id']}: {page.request_id}")
    rendered = text_page("\n".join(lines) + "\n")
    return replace(rendered, headers=[*rendered.headers, ("Content-Language", page.language)])


def text_page(text: str) -> Rendered:
    """Wrap plain text."""
    body = text.encode("utf-8", "backslashreplace")
    return Rendered(body, "text/plain; charset=utf-8", [("X-Content-Type-Options", "nosniff")])


def _ids(page: ErrorPage) -> str:
    pairs = [
        f"<dt>{escape(page.labels[name])}</dt><dd><code>{escape(value)}</code></dd>"
        for name, value in (("error_id", page.error_id), ("request_id", page.request_id))
        if value
    ]
    return f"<dl>{''.join(pairs)}</dl>" if pairs else ""


def _values(page: ErrorPage) -> dict[str, object]:
    return {
        "status_code": page.status_code,
        "status": page.status,
        "title": page.title,
        "text": page.text,
        "error_id": page.error_id or "",
        "request_id": page.request_id or "",
        "language": page.language,
        "home_url": page.home_url,
        "home": page.labels["home"],
    }


# ---------------------------------------------------------------------- templates of our own


class _Raw(str):
    """Text that is HTML already."""


def fill(template: str, values: Mapping[str, object]) -> str:
    """Put values, escaped, in the place of ``{{ name }}``; what isn't a known name stays as it is."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match[1], match[0])
        return found if isinstance(found, _Raw) else escape(str(found))

    return _PLACE.sub(value, template)


def raw(html: str) -> str:
    """Mark text as HTML that `fill` is not to escape."""
    return _Raw(html)


@lru_cache(maxsize=16)
def load_asset(name: str) -> str:
    """Return one of the files beside this module."""
    with open(os.path.join(_HERE, name), encoding="utf-8") as file:
        return file.read()


# ---------------------------------------------------------------------- pages of the user's


def load_pages(pages: Mapping[Any, Any]) -> dict[str, Page]:
    """Return what `pages` names as functions, by ``"404"`` or ``"5xx"``.

    Files are read and templates are compiled here, once.

    Raises:
        ConfigurationError: a key is no status ≥ 400 and no class, or a page is missing or of an unknown kind.
    """
    loaded: dict[str, Page] = {}
    for key, page in pages.items():
        name = str(key).strip().lower()
        if not re.fullmatch(r"[45](?:\d\d|xx)", name):
            raise _wrong("pages", "statuses such as 404, or '4xx' and '5xx'", key)
        loaded[name] = _load_page(name, page)
    return loaded


def find_page(pages: Mapping[str, Page], status_code: int) -> Page | None:
    """Return the user's page for a status: its own, else that of its class."""
    return pages.get(str(status_code)) or pages.get(f"{status_code // 100}xx")


def _load_page(key: str, page: Any) -> Page:
    if isinstance(page, (str, os.PathLike)):
        path = os.path.abspath(os.fspath(page))
        if not os.path.isfile(path):
            raise _wrong(f"pages[{key}]", "a file that exists, a template or a callable", os.fspath(page))
        if path.endswith(_JINJA_ENDINGS):
            return _from_template(_compile(path, key))
        with open(path, encoding="utf-8") as file:
            return _from_text(file.read())
    if callable(getattr(page, "render", None)):
        return _from_template(page)
    if callable(page):
        return page  # type: ignore[no-any-return]  # what it returns is checked where it is used
    raise _wrong(f"pages[{key}]", "a path, a template or a callable that takes an ErrorPage", page)


def _from_text(text: str) -> Page:
    return lambda page: fill(text, {**_values(page), "labels": ""}) if page.form == "html" else None


def _from_template(template: Any) -> Page:
    def render(page: ErrorPage) -> str | None:
        return str(template.render(page=page, labels=page.labels, **_values(page))) if page.form == "html" else None

    return render


def _compile(path: str, key: str) -> Any:
    try:
        import jinja2  # an extra
    except ImportError as error:
        raise ConfigurationError(
            f"ErrorPagesMiddleware: pages[{key}]: {os.path.basename(path)!r} is a Jinja2 template, and Jinja2 is not "
            "installed. Install wsgikit[templates], or write a .html file."
        ) from error
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(os.path.dirname(path)), autoescape=True)
    try:
        return environment.get_template(os.path.basename(path))
    except jinja2.TemplateError as error:
        raise _wrong(f"pages[{key}]", f"a template that compiles ({error})", path) from error


def _wrong(what: str, expected: str, got: object) -> ConfigurationError:
    return ConfigurationError(complaint("ErrorPagesMiddleware", what, expected, got))
