"""The layer held to the conformance suite: PEP 3333 on both sides, bodies closed once, responses left as they are."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.testing import assert_conforms

OPTIONS = {
    "session": {},
    "connection": {"kind": "connection"},
    "given back at the head": {"release": "response"},
    "retries": {"retries": 2},
    "manager": {"manager": True},
    "replica": {"replica_url": "sqlite://", "secret_key": "k0123456789abcde"},
    "excluded": {"exclude_paths": ["/"]},
}


@pytest.mark.parametrize("options", OPTIONS)
def test_the_layer_conforms(options):
    """D1, B60"""
    assert_conforms(lambda app: DatabaseMiddleware(app, url="sqlite://", **OPTIONS[options]))


def test_the_layer_conforms_where_the_application_uses_the_database(sqlite):
    """D1, B60"""

    def factory(app):
        def using(environ, start_response):
            environ["wsgikit.db"].execute(sa.text("SELECT 1"))
            return app(environ, start_response)

        return DatabaseMiddleware(using, url=sqlite.url, pool_size=50)

    assert_conforms(factory)


def test_the_layer_around_a_driver_conforms(sqlite):
    """D1, B60"""

    def factory(app):
        def using(environ, start_response):
            environ["wsgikit.db"].execute("SELECT 1")
            return app(environ, start_response)

        return DatabaseMiddleware(using, connect=sqlite.connect, pool_size=50)

    assert_conforms(factory)
