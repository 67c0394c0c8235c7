"""Middleware that is known to be wrong, and which scenarios each of them fails: exactly those.

Together they fail every scenario, so that each is known to be able to fail.
"""

from __future__ import annotations

import contextvars
import functools
import re
import sys
import threading
from itertools import chain
from urllib.parse import parse_qsl, urlencode

import pytest
from repoze.tm import TM
from werkzeug.wsgi import ClosingIterator

from wsgikit.testing import ConformanceError, assert_conforms, conformance_scenarios

# What goes with not closing the app's iterable at all.
UNCLOSED = {
    "close_once_after_the_whole_body",
    "close_once_when_never_started",
    "close_once_when_a_lazy_app_is_never_started",
    "close_once_after_an_error_in_the_stream",
    "close_once_after_an_error_in_the_first_chunk",
    "close_once_where_no_body_is_sent",
    "close_of_the_iterable_not_its_iterator",
    "falsy_body_is_closed",
    "list_with_close_is_closed",
    "failing_close_is_called_once",
    "file_wrapper_works",
    "file_wrapper_is_closed_when_never_sent",
    "base_exceptions_pass_the_stream",
    "steps_may_be_on_other_threads",
    "passes_wsgiref_validate",
    "passes_webtest_lint",
}
CLOSED_EARLY = {"close_once_when_the_client_leaves", "close_may_be_on_another_thread"}
EXC_INFO = {
    "exc_info_replaces_the_head",
    "exc_info_replaces_the_head_of_a_stream",
    "exc_info_replaces_the_head_after_an_empty_chunk",
    "exc_info_is_raised_again_after_the_head",
}
WRONG: dict[str, tuple] = {}


def fails(*names):
    """Enter a wrong middleware, with the scenarios that it must fail."""

    def enter(factory):
        WRONG[factory.__name__] = (factory, frozenset().union(*({n} if isinstance(n, str) else n for n in names)))
        return factory

    return enter


def close(body):
    if hasattr(body, "close"):
        body.close()


def closed_late(body, chunks):
    """Chunks in the place of a body, which is closed as it should be."""
    return ClosingIterator((chunk for chunk in chunks), [functools.partial(close, body)])


# ---------------------------------------------------------------- the four that the suite was made for


@fails(UNCLOSED, "close_once_after_write", "start_response_is_called_during_the_call")
class GeneratorAsCall:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        yield from self.app(environ, start_response)


# The transaction manager of repoze.tm2 is such a generator function.
fails(UNCLOSED, "close_once_after_write", "start_response_is_called_during_the_call")(TM)


@fails(UNCLOSED, CLOSED_EARLY, "close_once_after_write")
def forgets_close(app):
    return lambda environ, start_response: (chunk for chunk in app(environ, start_response))


@fails(
    "nothing_is_buffered",
    "first_chunk_is_not_delayed",
    "endless_body_streams",
    "empty_chunks_are_kept",
    "exc_info_is_raised_again_after_the_head",
    "error_in_the_stream_reaches_the_server",
)
def joins_the_body(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        try:
            return [b"".join(body)]
        finally:
            close(body)

    return middleware


@fails(
    "closing_raises_nothing",
    "requests_by_turns_do_not_mix",
    "steps_may_be_on_other_threads",
    "close_may_be_on_another_thread",
    "passes_wsgiref_validate",
    "passes_webtest_lint",
)
def closing_iterator_with_a_failing_callback(app):
    def fail():
        raise RuntimeError("the callback")

    return lambda environ, start_response: ClosingIterator(app(environ, start_response), [fail])


# ---------------------------------------------------------------- close


@fails(
    "close_once_when_never_started",
    "close_once_when_a_lazy_app_is_never_started",
    "file_wrapper_is_closed_when_never_sent",
    "start_response_is_called_during_the_call",
)
def closes_in_a_finally_of_a_generator(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        try:
            for chunk in body:  # noqa: UP028  # the wrong way to be shown
                yield chunk
        finally:
            close(body)

    return middleware


@fails("close_of_the_iterable_not_its_iterator", "list_with_close_is_closed")
def closes_the_iterator(app):
    def middleware(environ, start_response):
        return ClosingIterator(iter(app(environ, start_response)))

    return middleware


@fails("falsy_body_is_closed")
def closes_what_is_true(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        return closed_late(body if body else (), iter(body))

    return middleware


@fails("list_with_close_is_closed")
def takes_any_list_for_plain(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        return list(body) if isinstance(body, list) else body

    return middleware


@fails("body_without_close_is_taken")
def calls_close_unasked(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        if isinstance(body, (list, tuple)):
            return body
        return ClosingIterator((chunk for chunk in body), [body.close])

    return middleware


@fails(
    CLOSED_EARLY,
    "close_once_after_the_whole_body",
    "close_once_where_no_body_is_sent",
    "close_once_after_write",
    "close_of_the_iterable_not_its_iterator",
    "falsy_body_is_closed",
    "list_with_close_is_closed",
    "failing_close_is_called_once",
    "file_wrapper_works",
    "steps_may_be_on_other_threads",
)
def closes_at_the_end_and_again(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)

        def chunks():
            yield from iter(body)
            close(body)

        return closed_late(body, chunks())

    return middleware


# ---------------------------------------------------------------- the body


@fails(
    "body_arrives_whole",
    "list_body_arrives_whole",
    "body_without_close_is_taken",
    "iterable_is_iterated_once",
    "nothing_is_buffered",
    "first_chunk_is_not_delayed",
    "endless_body_streams",
    "empty_chunks_are_kept",
    "write_works",
    "file_wrapper_works",
    "lazy_start_response_works",
    "content_length_is_right",
    "exc_info_is_raised_again_after_the_head",
    "error_in_the_stream_reaches_the_server",
    "requests_on_threads_do_not_mix",
    "requests_by_turns_do_not_mix",
    "abandoned_request_does_not_poison_the_next",
    "request_inside_a_request_is_its_own",
    "steps_may_be_on_other_threads",
    "instances_share_nothing",
)
def loses_the_last_chunk(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)

        def chunks():
            held = []
            for chunk in body:
                held.append(chunk)
                if len(held) > 1:
                    yield held.pop(0)

        return closed_late(body, chunks())

    return middleware


@fails("iterable_is_iterated_once")
def looks_into_the_body_first(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        iter(body)
        return body

    return middleware


@fails("empty_chunks_are_kept")
def drops_empty_chunks(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        return closed_late(body, (chunk for chunk in body if chunk))

    return middleware


@fails(
    "write_works",
    "write_alone_is_a_body",
    "write_streams",
    "close_once_after_write",
    "error_after_write_reaches_the_server",
)
def returns_no_write(app):
    def middleware(environ, start_response):
        def start(*args):
            start_response(*args)

        return app(environ, start)

    return middleware


@fails("write_streams", "close_once_after_write", "error_after_write_reaches_the_server")
def collects_what_is_written(app):
    def middleware(environ, start_response):
        written = []

        def start(*args):
            start_response(*args)
            return written.append

        body = app(environ, start)
        return [*written, *body] if written else body

    return middleware


# ---------------------------------------------------------------- the head


@fails(EXC_INFO, "start_response_takes_exc_info", "first_head_may_have_exc_info")
def takes_two_arguments(app):
    return lambda environ, start_response: app(environ, lambda status, headers: start_response(status, headers))


@fails(EXC_INFO)
def loses_exc_info(app):
    def middleware(environ, start_response):
        return app(environ, lambda status, headers, exc_info=None: start_response(status, headers))

    return middleware


@fails(
    "close_once_when_a_lazy_app_is_never_started",
    "lazy_start_response_works",
    "lazy_start_response_of_an_empty_body_works",
    "exc_info_replaces_the_head_after_an_empty_chunk",
    "exc_info_is_raised_again_after_the_head",
)
def wants_the_head_at_once(app):
    def middleware(environ, start_response):
        heads = []
        body = app(environ, lambda *args: heads.append(args) or start_response(*args))
        assert heads, "the app did not call start_response"
        return body

    return middleware


@fails(
    "write_works",
    "write_alone_is_a_body",
    "write_streams",
    "start_response_is_called_during_the_call",
    "lazy_start_response_of_an_empty_body_works",
    "head_request_has_no_body",
    "no_content_has_no_body",
    "not_modified_has_no_body",
    "exc_info_is_raised_again_after_the_head",
    "error_after_write_reaches_the_server",
    "passes_wsgiref_validate",
    "passes_webtest_lint",
)
def calls_start_response_late(app):
    def middleware(environ, start_response):
        heads = []
        body = app(environ, lambda *args: heads.append(args) or bytes)

        def chunks():
            for chunk in body:
                if heads:
                    start_response(*heads.pop())
                yield chunk

        return closed_late(body, chunks())

    return middleware


@fails(
    "write_alone_is_a_body",
    "write_streams",
    "close_once_after_an_error_in_the_first_chunk",
    "close_once_where_no_body_is_sent",
    "falsy_body_is_closed",
    "lazy_start_response_of_an_empty_body_works",
    "head_request_has_no_body",
    "no_content_has_no_body",
    "not_modified_has_no_body",
    "passes_wsgiref_validate",
    "passes_webtest_lint",
)
def wants_a_first_chunk(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        chunks = iter(body)
        return closed_late(body, chain([next(chunks)], chunks))

    return middleware


def changing(change):
    """A middleware that passes each head through `change`."""

    def factory(app):
        def middleware(environ, start_response):
            return app(environ, lambda status, headers, *rest: start_response(*change(status, headers), *rest))

        return middleware

    return factory


@fails("repeated_headers_are_kept")
def puts_headers_through_a_dict(app):
    return changing(lambda status, headers: (status, list(dict(headers).items())))(app)


@fails("head_is_plain", "repeated_headers_are_kept", "passes_wsgiref_validate", "passes_webtest_lint")
def passes_headers_as_a_dict(app):
    return changing(lambda status, headers: (status, dict(headers)))(app)


@fails("headers_keep_order_and_case", "repeated_headers_are_kept")
def writes_headers_its_own_way(app):
    return changing(lambda status, headers: (status, sorted((k.title(), v) for k, v in headers)))(app)


@fails("status_line_is_kept")
def writes_the_status_its_own_way(app):
    return changing(lambda status, headers: (status[:3] + " As I Say", headers))(app)


@fails("no_hop_by_hop_header_is_added")
def closes_the_connection(app):
    return changing(lambda status, headers: (status, [*headers, ("Connection", "close")]))(app)


@fails(
    "body_arrives_whole",
    "list_body_arrives_whole",
    "body_without_close_is_taken",
    "iterable_is_iterated_once",
    "empty_chunks_are_kept",
    "write_works",
    "write_alone_is_a_body",
    "file_wrapper_works",
    "lazy_start_response_works",
    "lazy_start_response_of_an_empty_body_works",
    "content_length_is_right",
    "head_request_has_no_body",
    "no_content_has_no_body",
    "not_modified_has_no_body",
    "requests_on_threads_do_not_mix",
    "requests_by_turns_do_not_mix",
    "abandoned_request_does_not_poison_the_next",
    "request_inside_a_request_is_its_own",
    "steps_may_be_on_other_threads",
    "instances_share_nothing",
)
def appends_to_every_body(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        return closed_late(body, chain(body, [b"<!-- served by me -->"]))

    return middleware


@fails("content_length_is_right", "head_request_has_no_body", "no_content_has_no_body", "not_modified_has_no_body")
def gives_every_answer_a_length(app):
    def factory(status, headers):
        kept = [(name, value) for name, value in headers if name not in ("Content-Length", "ETag")]
        return status, [*kept, ("Content-Length", "0")]

    return changing(factory)(app)


# ---------------------------------------------------------------- errors


@fails("error_in_the_app_is_not_lost", "error_after_start_response_is_not_lost")
def makes_an_empty_page_of_errors(app):
    def middleware(environ, start_response):
        try:
            return app(environ, start_response)
        except Exception:
            start_response("200 OK", [("Content-Type", "text/html")], sys.exc_info())
            return []

    return middleware


@fails("error_after_start_response_is_not_lost", "error_after_write_reaches_the_server")
def keeps_errors_to_itself(app):
    def middleware(environ, start_response):
        try:
            return app(environ, start_response)
        except Exception:
            return []

    return middleware


@fails("error_page_for_head_has_no_body", "base_exceptions_pass_the_call")
def makes_a_page_of_everything(app):
    def middleware(environ, start_response):
        try:
            return app(environ, start_response)
        except BaseException:
            start_response("500 Oh", [("Content-Type", "text/html")], sys.exc_info())
            return [b"a page, for HEAD too"]

    return middleware


@fails(
    CLOSED_EARLY,
    "exc_info_is_raised_again_after_the_head",
    "error_in_the_first_chunk_is_not_lost",
    "error_in_the_stream_reaches_the_server",
    "base_exceptions_pass_the_stream",
)
def ends_a_stream_that_fails(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)

        def chunks():
            try:
                yield from body
            except (Exception, SystemExit, KeyboardInterrupt):
                yield b"<!-- an error -->"

        return closed_late(body, chunks())

    return middleware


# ---------------------------------------------------------------- environ


@fails("latin1_path_is_kept", "undecodable_path_is_no_server_error")
def decodes_the_path(app):
    def middleware(environ, start_response):
        environ["PATH_INFO"] = environ["PATH_INFO"].encode("latin-1").decode("utf-8")
        return app(environ, start_response)

    return middleware


@fails(
    "empty_path_is_kept",
    "double_slashes_are_kept",
    "script_name_is_kept",
    "query_string_is_kept",
    "passes_wsgiref_validate",
)
def tidies_the_path(app):
    def middleware(environ, start_response):
        whole = environ.pop("SCRIPT_NAME", "") + environ["PATH_INFO"]
        environ["PATH_INFO"] = re.sub("//+", "/", whole) or "/"
        environ["QUERY_STRING"] = urlencode(parse_qsl(environ.get("QUERY_STRING", "")))
        return app(environ, start_response)

    return middleware


@fails("small_environ_is_enough")
def needs_more_than_a_server_gives(app):
    def middleware(environ, start_response):
        environ["HTTP_HOST"]
        return app(environ, start_response)

    return middleware


@fails("request_body_reaches_the_app")
def reads_the_request(app):
    def middleware(environ, start_response):
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return app(environ, start_response)

    return middleware


@fails("keys_of_the_server_reach_the_app")
def passes_on_what_it_knows(app):
    known = ("REQUEST_METHOD", "PATH_INFO", "SCRIPT_NAME", "QUERY_STRING", "SERVER", "CONTENT", "wsgi.", "HTTP_X_NAME")

    def middleware(environ, start_response):
        return app({key: value for key, value in environ.items() if key.startswith(known)}, start_response)

    return middleware


@fails("app_may_rewrite_the_path")
def logs_the_path_afterwards(app):
    def middleware(environ, start_response):
        body = app(environ, start_response)
        environ.get("PATH_INFO", "").encode("latin-1")
        return body

    return middleware


@fails(
    CLOSED_EARLY,
    UNCLOSED - {"failing_close_is_called_once", "passes_webtest_lint", "passes_wsgiref_validate"},
    "write_streams",
    "close_once_after_write",
    "error_after_write_reaches_the_server",
    "request_body_reaches_the_app",
    "app_is_called_once",
)
def calls_the_app_twice(app):
    def middleware(environ, start_response):
        close(app(dict(environ), lambda *args: bytes))
        return app(environ, start_response)

    return middleware


# ---------------------------------------------------------------- requests side by side


@fails(
    "requests_on_threads_do_not_mix",
    "requests_by_turns_do_not_mix",
    "request_inside_a_request_is_its_own",
    "request_leaves_nothing_on_the_instance",
)
class KeepsTheRequestOnItself:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        self.name = environ.get("HTTP_X_NAME")
        body = self.app(environ, start_response)
        return closed_late(body, (chunk if self.name is None else self.name.encode() for chunk in body))


@fails("request_inside_a_request_is_its_own", "request_leaves_nothing_on_the_instance")
def keeps_the_request_around_it(app):
    start = print

    def middleware(environ, start_response):
        nonlocal start
        start = start_response
        return app(environ, lambda *args: start(*args))

    return middleware


@fails(
    "iterable_is_iterated_once",
    "requests_by_turns_do_not_mix",
    "steps_may_be_on_other_threads",
    "close_may_be_on_another_thread",
)
def keeps_the_request_of_the_thread(app):
    of_this_thread = threading.local()

    def middleware(environ, start_response):
        of_this_thread.__dict__.setdefault("requests", []).append(environ)
        body = app(environ, start_response)

        def chunks():
            for chunk in body:
                yield of_this_thread.requests[-1].get("HTTP_X_NAME", "").encode() or chunk

        return closed_late(ClosingIterator(body, [lambda: of_this_thread.requests.remove(environ)]), chunks())

    return middleware


@fails("steps_may_be_on_other_threads", "close_may_be_on_another_thread")
def resets_a_variable_when_closed(app):
    variable = contextvars.ContextVar("variable")

    def middleware(environ, start_response):
        token = variable.set(environ)
        return ClosingIterator(app(environ, start_response), [lambda: variable.reset(token)])

    return middleware


@fails("requests_on_threads_do_not_mix", "requests_by_turns_do_not_mix", "abandoned_request_does_not_poison_the_next")
def refuses_to_work_while_it_works(app):
    busy = []

    def middleware(environ, start_response):
        assert not busy, "a request is under way"
        body = app(environ, start_response)
        busy.append(body)
        return ClosingIterator(body, [busy.clear])

    return middleware


@fails("requests_on_threads_do_not_mix", "requests_by_turns_do_not_mix", "request_inside_a_request_is_its_own")
def holds_one_request_at_a_time(app):
    current = []

    def middleware(environ, start_response):
        current[:] = [environ]
        body = app(environ, start_response)
        return closed_late(body, (chunk for chunk in body if current[0] is environ))

    return middleware


@fails("instances_share_nothing")
class KeepsTheAppOnTheClass:
    app = None

    def __init__(self, app):
        type(self).app = staticmethod(app)

    def __call__(self, environ, start_response):
        return self.app(environ, start_response)


# ---------------------------------------------------------------- the tests


@pytest.mark.parametrize(("factory", "names"), WRONG.values(), ids=WRONG)
def test_wrong_middleware_fails_these_scenarios_and_no_other(factory, names):
    with pytest.raises(ConformanceError) as raised:
        assert_conforms(factory)
    assert {failure.name for failure in raised.value.failures} == names


def test_every_scenario_is_failed_by_some_wrong_middleware():
    can_fail = frozenset().union(*(names for _, names in WRONG.values()))
    assert {scenario.name for scenario in conformance_scenarios()} - can_fail == set()
