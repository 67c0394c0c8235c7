"""The process is killed between the commit and the answer: the effect happens once, and the answer isn't lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.middleware.cache.conftest import call
from wsgikit import DatabaseMiddleware, IdempotencyMiddleware, build_stack, use

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture
def kill(database):
    """Answer a request in a process that is killed: ``kill(key, "after")``."""
    url = database.engine.url.render_as_string(hide_password=False)
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("killed_server.py")), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def kill(key, moment):
        server.stdin.write(f"{key} {moment}\n")
        server.stdin.flush()
        assert server.stdout.readline().strip() == str(int(signal.SIGKILL))

    with server:
        yield kill
        server.stdin.close()


@pytest.fixture
def repeat(database):
    """Repeat a request, in this process."""

    def app(environ, start_response):
        key = environ["HTTP_IDEMPOTENCY_KEY"]
        environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES (:key)"), {"key": key})
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"again"]

    stack = build_stack(app, use(IdempotencyMiddleware, anonymous=True), use(DatabaseMiddleware, url=database.url))
    yield lambda key: call(stack, "/orders", "POST", body=b"tea", CONTENT_LENGTH="3", HTTP_IDEMPOTENCY_KEY=key)
    stack.close()


def test_killed_after_the_commit_the_first_answer_comes_again(database, kill, repeat, soak):
    keys = [uuid.uuid4().hex for _ in range(soak(200))]
    for key in keys:
        kill(key, "after")
        answer = repeat(key)
        assert (answer.status, answer.body, answer["Idempotent-Replayed"]) == ("201 Created", key.encode(), "true")
    assert sorted(database.texts()) == sorted(keys)


def test_killed_before_the_commit_the_request_runs_after_the_lease(database, kill, repeat, soak, monkeypatch):
    now = time.time()
    for _ in range(soak(20)):
        key = uuid.uuid4().hex
        kill(key, "before")
        monkeypatch.setattr(time, "time", lambda: now)
        assert repeat(key).code == 409
        assert key not in database.texts()
        monkeypatch.setattr(time, "time", lambda: now + 120)
        assert repeat(key).body == b"again"
        assert database.texts().count(key) == 1
        monkeypatch.undo()
