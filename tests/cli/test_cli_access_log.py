"""`wsgikit serve --access-log`, with each of its servers."""

from __future__ import annotations

import json
import logging

import pytest

from wsgikit import AccessLogMiddleware, ContextMiddleware, build_stack, use
from wsgikit.cli.access_lines import with_access_log
from wsgikit.middleware.access_log.lines import FIELDS

SERVERS = ["dev", "waitress", "gunicorn"]


def requested(output):
    return [line for line in output.splitlines() if "/posts/3" in line or "/broken" in line]


@pytest.mark.server
@pytest.mark.parametrize("server_name", SERVERS)
def test_serve_logs_a_json_line_for_each_request(serve, server_name):
    arguments = ["app.ini", "--server", server_name, "--set", "http_port=1", "--access-log", "json"]
    if server_name == "dev":
        arguments.append("--no-reload")
    server = serve("wsgikit", "serve", *arguments, "--port", "PORT")
    server.get("/posts/3?token=x")
    server.get("/broken")
    lines = [json.loads(line) for line in requested(server.stop()) if line.startswith("{")]
    assert [tuple(line) for line in lines] == [FIELDS, FIELDS]
    assert [(line["path"], line["query"], line["status"], line["outcome"]) for line in lines] == [
        ("/posts/3", "token=***", 200, "complete"),
        ("/broken", "", 500, "complete"),
    ]
    assert [(line["route"], line["answered_by"]) for line in lines] == [
        ("/posts/<int:post_id>", "RouterMiddleware"),
        ("/broken", "ErrorPagesMiddleware"),
    ]


@pytest.mark.server
def test_the_default_is_one_combined_line_for_each_request(serve):
    server = serve("wsgikit", "serve", "cli_app:router", "--port", "PORT", "--no-reload")
    server.get("/posts/3")
    (line,) = requested(server.stop())
    assert '] "GET /posts/3 HTTP/1.1" 200 6 "-" "' in line


@pytest.mark.server
def test_off_logs_nothing(serve):
    server = serve("wsgikit", "serve", "cli_app:router", "--port", "PORT", "--no-reload", "--access-log", "off")
    server.get("/posts/3")
    assert requested(server.stop()) == []


def app(environ, start_response):
    start_response("200 OK", [])
    return []


def test_a_stack_with_an_access_log_keeps_its_own():
    stack = build_stack(app, use(AccessLogMiddleware, format="json"))
    assert with_access_log(stack, "combined") is stack


def test_lines_go_to_the_handler_that_somebody_has_set():
    logger = logging.getLogger("wsgikit.access")
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        logged = with_access_log(build_stack(app), "json")
        assert isinstance(logged, AccessLogMiddleware)
        assert logger.handlers == [handler]
    finally:
        logger.removeHandler(handler)


def test_closing_the_log_closes_the_stack():
    closed = []

    class Pool(ContextMiddleware):
        def close(self):
            closed.append("closed")

    logger = logging.getLogger("wsgikit.access")
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        with_access_log(build_stack(app, use(Pool)), "json").close()
    finally:
        logger.removeHandler(handler)
    assert closed == ["closed"]
