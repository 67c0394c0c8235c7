"""Mistakes that a type checker must find: each line with a comment is an error, none else is."""

from __future__ import annotations

from wsgikit import ErrorPagesMiddleware, SessionMiddleware, build_stack, use
from wsgikit.wsgi import Environ, StartResponse


def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return []


use(SessionMiddleware, secret_kye="x")  # E: call
use(ErrorPagesMiddleware, debug="yes")  # E: argument
use("session")  # E: argument
use(ErrorPagesMiddleware, only=7)  # E: call
build_stack(app, 1)  # E: argument
build_stack("app")  # E: argument
SessionMiddleware(app, cookie_nmae="x")  # E: call
