"""Functions that wait for the head or for the commit: `on_response`, `before_commit`."""

from __future__ import annotations

import logging

import pytest

from wsgikit.onion.middleware import Middleware


def answering(body=(b"x",), status="200 OK"):
    def app(environ, start_response):
        start_response(status, [("Content-Type", "text/plain")])
        return body

    return app


def failing(environ, start_response):
    raise ValueError("failed")


def writing(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])(b"written")
    return []


def lazy(environ, start_response):
    def generate():
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"x"

    return generate()


class ErrorPage(Middleware):
    def handle_exception(self, exchange, error):
        return exchange.reply(500, f"page: {error}")


def add_header(value):
    return lambda exchange: exchange.headers.add("X-Order", value)


@pytest.mark.parametrize("app", [answering(), lazy, writing], ids=["list", "lazy", "write"])
def test_functions_of_on_response_run_after_all_hooks_last_first(app, recording, onion, call):
    def register(value):
        return lambda exchange: exchange.on_response(add_header(value))

    outer = recording("outer", before=register("1"), after=add_header("hook"))
    inner = recording("inner", before=register("2"))
    answer = call(onion(app, outer, inner)).finish()
    assert [value for name, value in answer.headers if name == "X-Order"] == ["hook", "2", "1"]


def test_function_registered_on_the_way_in_sees_the_error_page_of_an_outer_layer(recording, onion, call):
    layer = recording("layer", before=lambda exchange: exchange.on_response(add_header(exchange.environ["PATH_INFO"])))
    answer = call(onion(failing, ErrorPage, layer)).finish()
    assert answer.status.startswith("500")
    assert ("X-Order", "/") in answer.headers


def test_function_registered_in_after_request_is_dropped_with_its_response(recording, onion, call):
    replace = recording("replace", after=lambda exchange: exchange.reply(404))
    inner = recording("inner", after=lambda exchange: exchange.on_response(add_header("inner")))
    answer = call(onion(answering(), replace, inner)).finish()
    assert "X-Order" not in dict(answer.headers)


@pytest.mark.parametrize("app", [answering(), lazy, writing], ids=["list", "lazy", "write"])
def test_error_in_a_function_of_on_response_becomes_an_error_page(app, recording, onion, call):
    calls = []

    def fail(exchange):
        calls.append(exchange.status)
        raise ValueError("late")

    layer = recording("layer", before=lambda exchange: exchange.on_response(fail))
    answer = call(onion(app, ErrorPage, layer)).finish()
    assert (answer.status, answer.content) == ("500 Internal Server Error", b"page: late")
    assert calls == ["200 OK"]


def test_layer_that_registers_a_failing_function_with_each_answer_is_asked_once(onion, call):
    def fail(exchange):
        raise ValueError("again")

    class Endless(Middleware):
        def before_request(self, exchange):
            exchange.on_response(fail)

        def handle_exception(self, exchange, error):
            exchange.on_response(fail)
            return exchange.reply(500)

    assert str(call(Endless(Endless(answering()))).finish().error) == "again"


def test_functions_of_before_commit_run_without_a_database_before_on_response(recording, onion, call, log):
    def register(exchange):
        exchange.on_response(lambda exchange: log.append("on_response"))
        exchange.before_commit(lambda exchange: log.append("first"))
        exchange.before_commit(lambda exchange: log.append("second"))

    call(onion(answering(), recording("outer"), recording("inner", before=register))).finish()
    assert log[log.index("outer after") :][:4] == ["outer after", "first", "second", "on_response"]


def test_error_in_a_function_of_before_commit_becomes_an_error_page_once(recording, onion, call, log):
    def fail(exchange):
        log.append("fail")
        raise ValueError("can't be saved")

    def register(exchange):
        exchange.before_commit(lambda exchange: lambda: log.append("undone"))
        exchange.before_commit(fail)

    answer = call(onion(answering(), ErrorPage, recording("layer", before=register))).finish()
    assert answer.content == b"page: can't be saved"
    assert [event for event in log if event in ("fail", "undone")] == ["fail", "undone"]


class Committing(Middleware):
    """Commits as a database layer does."""

    def before_request(self, exchange):
        exchange.claim_commit()

    def after_request(self, exchange):
        if exchange.status_code < 400:
            exchange.run_before_commit()
            if exchange.environ.get("commit fails"):
                exchange.undo_before_commit()
                raise ValueError("commit failed")
            exchange.environ["log"].append("commit")


def test_layer_that_claims_the_commit_runs_the_functions_before_it(recording, onion, call, log):
    layer = recording("layer", before=lambda exchange: exchange.before_commit(lambda e: log.append("saved")))
    call(onion(answering(), layer, Committing, Committing), log=log).finish()
    assert [event for event in log if " " not in event] == ["saved", "commit", "commit"]


def test_functions_of_before_commit_do_not_run_if_the_claiming_layer_rolls_back(recording, onion, call, log):
    layer = recording("layer", before=lambda exchange: exchange.before_commit(lambda e: log.append("saved")))
    call(onion(answering(status="404 Not Found"), layer, Committing), log=log).finish()
    assert "saved" not in log


def test_failed_commit_undoes_what_ran_before_it_last_first(recording, onion, call, log, caplog):
    def fail():
        raise OSError("store down")

    def register(exchange):
        exchange.before_commit(lambda exchange: lambda: log.append("undo 1"))
        exchange.before_commit(lambda exchange: fail)
        exchange.before_commit(lambda exchange: lambda: log.append("undo 3"))

    layer = recording("layer", before=register)
    with caplog.at_level(logging.ERROR):
        answer = call(onion(answering(), ErrorPage, layer, Committing), log=log, **{"commit fails": True}).finish()
    assert answer.content == b"page: commit failed"
    assert [event for event in log if event.startswith("undo")] == ["undo 3", "undo 1"]
    assert "while undoing what ran before a failed commit" in caplog.text


def test_functions_run_in_the_context_that_they_were_registered_in(onion, call, recording):
    from wsgikit import ContextMiddleware, g

    seen = []

    def register(exchange):
        g.name = "ours"
        exchange.on_response(lambda exchange: seen.append(g.name))

    call(onion(answering(), recording("outer"), ContextMiddleware, recording("inner", before=register))).finish()
    assert seen == ["ours"]
