"""Answers each request in a process that is killed on the way: ``python killed_server.py URL``.

Each line of the input is a key and a moment, ``before`` or ``after`` the commit. The answer is a line with the signal.
"""

from __future__ import annotations

import io
import os
import signal
import sys

import sqlalchemy as sa

from wsgikit import DatabaseMiddleware, IdempotencyMiddleware, Middleware, build_stack, use


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Dies(Middleware):
    """Stands outside: when it sees the response, the transaction is committed and nothing was sent."""

    def after_request(self, exchange):
        die()


def app(environ, start_response):
    key = environ["HTTP_IDEMPOTENCY_KEY"]
    environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES (:key)"), {"key": key})
    if environ["HTTP_X_MOMENT"] == "before":
        die()
    start_response("201 Created", [("Content-Type", "text/plain")])
    return [key.encode()]


# Built before the fork, and connected after it.
stack = build_stack(
    app, use(Dies), use(IdempotencyMiddleware, anonymous=True), use(DatabaseMiddleware, url=sys.argv[1])
)


def serve(key, moment):
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/orders",
        "QUERY_STRING": "",
        "CONTENT_LENGTH": "3",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.com",
        "HTTP_IDEMPOTENCY_KEY": key,
        "HTTP_X_MOMENT": moment,
        "wsgi.input": io.BytesIO(b"tea"),
        "wsgi.errors": sys.stderr,
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": True,
    }
    stack(environ, lambda *given: None)


for line in sys.stdin:
    key, moment = line.split()
    child = os.fork()
    if not child:
        try:
            serve(key, moment)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    print(os.WTERMSIG(status), flush=True)
