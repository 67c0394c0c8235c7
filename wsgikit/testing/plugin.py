"""Fixtures for pytest, there wherever wsgikit is installed."""

from __future__ import annotations

__all__ = ["client_for", "roll_back"]

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wsgikit.testing.client import TestClient
    from wsgikit.wsgi import WSGIApplication


@pytest.fixture
def client_for() -> Iterator[Callable[..., TestClient]]:
    """A function that makes a `TestClient` for an application; the test fails if it leaves a stream unclosed.

    Its further options are those of `TestClient`::

        def test_the_front_page(client_for):
            assert client_for(app).get("/").status_int == 200
    """
    from wsgikit.testing.client import TestClient  # WebTest is loaded by the tests that use it

    clients: list[TestClient] = []

    def make(app: WSGIApplication, **options: Any) -> TestClient:
        clients.append(TestClient(app, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.check_streams()


@pytest.fixture
def roll_back() -> Iterator[Callable[..., None]]:
    """A function that has everything undone, at the end of the test, that requests to a stack write to its databases.

    See `wsgikit.testing.database.rolled_back`::

        def test_a_note_is_added(client_for, roll_back):
            roll_back(stack)
            client_for(stack).post("/notes", {"text": "hello"})
    """
    from contextlib import ExitStack  # with the next, only for tests that use a database

    from wsgikit.testing.database import rolled_back

    with ExitStack() as undo:
        yield lambda *apps: undo.enter_context(rolled_back(*apps))
