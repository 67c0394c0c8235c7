"""The Flask way: Flask's beginners' example and ours answer the same over HTTP."""

from __future__ import annotations

import difflib
from pathlib import Path

import httpx
import pytest

FOLDER = Path(__file__).parents[2] / "recipes" / "flask_way"
REQUESTS = [
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/post/1"),
    ("GET", "/post/2"),
    ("GET", "/post/3"),
    ("GET", "/post/x"),
    ("GET", "/post/"),
    ("GET", "/nowhere"),
    ("POST", "/"),
    ("OPTIONS", "/post/1"),
]


@pytest.mark.server
def test_both_answer_the_same(start_server, tmp_path):
    urls = [
        start_server(["gunicorn", "--bind=127.0.0.1:{port}", f"{module}:app"], FOLDER, tmp_path / f"{module}.log")
        for module in ("flask_app", "app")
    ]
    for method, path in REQUESTS:
        theirs, ours = (httpx.request(method, url + path) for url in urls)
        place = f"{method} {path}"
        assert ours.status_code == theirs.status_code, place
        assert sorted(ours.headers.get("allow", "").split(", ")) == sorted(theirs.headers.get("allow", "").split(", "))
        assert ours.headers.get("content-type") == theirs.headers.get("content-type"), place
        if ours.status_code != 405:  # the page of a 405 is nobody's own
            assert ours.text == theirs.text, place
    for module in ("flask_app", "app"):
        assert "/post/2" in (tmp_path / f"{module}.log").read_text(), "url_for works in a request context"


def test_they_differ_in_nothing_but_how_they_begin_and_end():
    theirs, ours = ((FOLDER / name).read_text(encoding="utf-8") for name in ("flask_app.py", "app.py"))
    lines = difflib.ndiff(theirs.splitlines(), ours.replace("@router.", "@app.").splitlines())
    changed = [line for line in lines if line.startswith("+ ")]
    assert [line[2:] for line in changed] == [
        '"""The posts of every Flask beginner, in wsgikit."""',
        "from wsgikit import ContextMiddleware, Router, abort, build_stack, render_template, url_for, use",
        "router = Router(__name__)",
        "app = build_stack(router, use(ContextMiddleware))",
        "",
        "with app.request_context():",
    ]
