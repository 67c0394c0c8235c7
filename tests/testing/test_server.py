"""The server of the suite: what it refuses, what it notes, what it lets be."""

from __future__ import annotations

import pytest

from wsgikit.testing.server import Call, ServerError

TEXT = [("Content-Type", "text/plain")]


class Text(str):
    pass


class Data(bytes):
    pass


def app_with(status="200 OK", headers=TEXT, body=(b"one",)):
    def app(environ, start_response):
        start_response(status, headers)
        return body

    return app


def serve(app):
    return Call(app, {}).start().finish()


def test_plain_response_is_served_without_a_note():
    call = serve(app_with())
    assert (call.status, call.code, call.headers, call.content) == ("200 OK", 200, TEXT, b"one")
    assert (call.error, call.close_error, call.notes, call.steps) == (None, None, [], 1)
    assert call.is_exhausted
    assert call.describe() == "'200 OK' with b'one'"


NOTES = {
    "status of a subclass": (app_with(status=Text("200 OK")), "the status is a Text, not a str"),
    "headers in a tuple": (app_with(headers=tuple(TEXT)), "the headers are a tuple, not a list"),
    "headers in a dict": (app_with(headers=dict(TEXT)), "the headers are a dict, not a list"),
    "header in a list": (app_with(headers=[["X-One", "1"]]), "a header is not a tuple of two"),
    "header of three": (app_with(headers=[("X-One", "1", "2")]), "a header is not a tuple of two"),
    "value as a number": (app_with(headers=[("X-One", 1)]), "the name or value of a header is not a plain str"),
    "chunk of a subclass": (app_with(body=[Data(b"one")]), "a chunk is a Data, not bytes"),
    "body of bytes": (app_with(body=b""), "the body is a bytes: each character would be a chunk"),
}


@pytest.mark.parametrize(("app", "note"), NOTES.values(), ids=NOTES)
def test_what_servers_let_pass_is_noted(app, note):
    call = serve(app)
    assert call.notes == [note]
    assert call.error is None


def started_twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)


ERRORS = {
    "no head": (lambda environ, start_response: [], "the body ended, and start_response was never called"),
    "chunk before the head": (
        lambda environ, start_response: [b"one"],
        "a chunk came before start_response was called",
    ),
    "two heads": (started_twice, "start_response was called a second time without exc_info"),
    "text": (app_with(body=["one"]), "a chunk is a str, not bytes"),
    "no end": (app_with(body=iter(lambda: b"one", None)), "the body had no end after 300 chunks"),
}


@pytest.mark.parametrize(("app", "text"), ERRORS.values(), ids=ERRORS)
def test_what_servers_refuse_is_an_error(app, text):
    call = serve(app)
    assert isinstance(call.error, ServerError)
    assert str(call.error) == text
    assert call.describe().startswith(f"ServerError: {text}")


def test_body_that_is_no_iterable_is_an_error():
    call = serve(app_with(body=None))
    assert call.describe().startswith("TypeError: 'NoneType' object is not iterable")


def test_request_that_was_not_started_has_no_head():
    call = Call(app_with(), {})
    assert (call.has_head, call.status, call.code, call.headers, call.describe()) == (False, "", 0, [], "no head")


def test_error_of_close_is_kept_apart():
    class Body(list):
        def close(self):
            raise RuntimeError("in close()")

    call = serve(app_with(body=Body([b"one"])))
    assert call.error is None
    assert str(call.close_error) == "in close()"
    assert call.close() is call


def test_nothing_is_taken_after_close():
    call = Call(app_with(body=[b"one", b"two"]), {}).start().take(1).close()
    assert not call.step()
    assert (call.content, call.is_exhausted) == (b"one", False)
