"""A refusal answers in the form that the client accepts, and error pages put their page in its place."""

from __future__ import annotations

import json

import pytest

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ApplicationError
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.refusal import Refusal
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing.probes import answering


class Refuse(Middleware):
    def before_request(self, exchange):
        return Refusal(403, "Not <you>.", [("X-Why", "rule")])


class Append(Middleware):
    def after_request(self, exchange):
        exchange.body = [*exchange.body, b"more"]


APP = answering([b"inside"])


@pytest.mark.parametrize(
    ("accept", "content_type", "part"),
    [
        ("text/html", "text/html; charset=utf-8", b"<p>Not &lt;you&gt;.</p>"),
        ("application/json", "application/problem+json", b'"detail": "Not <you>."'),
        ("*/*", "text/plain; charset=utf-8", b"403 Forbidden\n\nNot <you>.\n"),
        ("\x00;q=x,,", "text/plain; charset=utf-8", b"Not <you>."),
    ],
    ids=["html", "json", "anything", "unreadable"],
)
def test_the_body_is_in_the_form_that_the_client_accepts(call, accept, content_type, part):
    answer = call(Refuse(APP), HTTP_ACCEPT=accept).finish()
    assert answer.status == "403 Forbidden"
    assert answer.get_all("Content-Type") == [content_type]
    assert answer.get_all("X-Why") == ["rule"]
    assert answer.get_all("Vary") == ["Accept"]
    assert answer.get_all("Content-Length") == [str(len(answer.content))]
    assert part in answer.content


def test_head_has_the_headers_of_get_and_no_body(call):
    get = call(Refuse(APP), HTTP_ACCEPT="text/html").finish()
    head = call(Refuse(APP), HTTP_ACCEPT="text/html", REQUEST_METHOD="HEAD").finish()
    assert head.content == b""
    assert head.headers == get.headers


def test_error_pages_outside_put_their_page_in_its_place(call):
    stack = build_stack(APP, use(ErrorPagesMiddleware), Refuse)
    answer = call(stack, HTTP_ACCEPT="text/html").finish()
    assert answer.status == "403 Forbidden"
    assert b"<main>" in answer.content
    assert b"Not &lt;you&gt;." in answer.content
    assert answer.get_all("X-Why") == ["rule"]
    assert answer.get_all("Cache-Control") == ["no-store"]
    problem = json.loads(call(stack, HTTP_ACCEPT="application/json").finish().content)
    assert (problem["status"], problem["detail"]) == (403, "Not <you>.")


def test_a_page_of_your_own_is_used_for_a_refusal(call):
    stack = build_stack(APP, use(ErrorPagesMiddleware, pages={403: lambda page: f"mine: {page.text}"}), Refuse)
    assert call(stack, HTTP_ACCEPT="text/html").finish().content == b"mine: Not <you>."


def test_error_pages_leave_a_refusal_that_a_layer_between_changed(call):
    stack = build_stack(APP, use(ErrorPagesMiddleware), Append, Refuse)
    assert call(stack).finish().content == b"403 Forbidden\n\nNot <you>.\nmore"


@pytest.mark.parametrize("status", [200, 399, 99, "no status"])
def test_a_status_that_refuses_nothing_is_an_error(status):
    with pytest.raises(ApplicationError, match="Refusal: status: expected a status from 400 to 999"):
        Refusal(status, "no")
