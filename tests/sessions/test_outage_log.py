"""The log of an outage of the store: one traceback, a line for each failure, a line at its end."""

from __future__ import annotations

import pytest
from webtest import TestApp

from wsgikit import ErrorPagesMiddleware, SessionMiddleware, build_stack, use
from wsgikit.sessions.errors import StoreUnavailable
from wsgikit.sessions.stores.memory import MemoryStore


class Failing(MemoryStore):
    """A store that stops answering on demand."""

    is_down = False

    def load(self, key):
        if self.is_down:
            raise StoreUnavailable("store test://: expected an answer from the test, got none")
        return super().load(key)


@pytest.mark.parametrize("answer", ["503", "raise"])
def test_an_outage_is_logged_with_one_traceback_and_an_end(secret, caplog, answer):
    def app(environ, start_response):
        session = environ["wsgikit.session"]
        session["n"] = session.get("n", 0) + 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"counted"]

    store = Failing()
    session = use(SessionMiddleware, secret_key=secret, store=store, on_store_error=answer)
    client = TestApp(build_stack(app, use(ErrorPagesMiddleware), session))
    client.get("/")
    caplog.clear()
    for _ in range(2):
        store.is_down = True
        for _ in range(3):
            client.get("/", status=503)
        store.is_down = False
        client.get("/")
        client.get("/")
        *failures, end = caplog.records
        assert len(failures) == 3
        assert sum(bool(record.exc_info) for record in failures) <= 1
        assert all(record.exc_info or "store test://" in record.getMessage() for record in failures)
        assert end.getMessage() == "SessionMiddleware: the store answers again: 3 failures in 0 s"
        caplog.clear()
