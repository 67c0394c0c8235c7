"""Fixtures for pytest, there wherever wsgikit is installed."""

from __future__ import annotations

__all__ = ["client_for"]

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from wsgikit.testing.client import TestClient
    from wsgikit.wsgi import WSGIApplication


@pytest.fixture
def client_for() -> Iterator[Callable[..., TestClient]]:
    """A function that makes a `TestClient` for an application; the test fails where it leaves a stream unclosed.

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
