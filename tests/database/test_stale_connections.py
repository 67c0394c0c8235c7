"""D9: connections that the server has ended while they waited in the pool, or in the middle of a request."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa

KINDS = ("session", "connection", "driver")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request, database_of):
    """Each database that has connections to end."""
    one = database_of(request.param)
    one.clear()
    return one


def end_connections(database):
    """End all connections to a database but the one that says so."""
    if database.name == "postgresql":
        find = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        end = "SELECT pg_terminate_backend({})"
    else:
        find = "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        end = "KILL {}"
    with database.engine.connect() as connection:
        for number in connection.exec_driver_sql(find).scalars().all():
            connection.exec_driver_sql(end.format(number))


def run(environ, statement):
    handle = environ["wsgikit.db"]
    if not hasattr(handle, "cursor"):
        handle.execute(sa.text(statement))
        return
    cursor = handle.cursor()
    cursor.execute(statement)
    cursor.close()


@pytest.fixture
def make(wrap, server):
    """A layer with a pool of one connection."""

    def make(app, kind, **options):
        if kind == "driver":
            return wrap(app, connect=server.connect, pool_size=1, pool_timeout=1, **options)
        return wrap(app, url=server.url, kind=kind, pool_size=1, max_overflow=0, pool_timeout=1, **options)

    return make


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ping", [True, False], ids=["ping", "no ping"])
def test_a_connection_that_ended_in_the_pool_costs_one_request_at_the_most(make, server, call, kind, ping):
    """D9: with ``ping`` not even one: the next request works, and its statement is run once."""
    runs = []

    def app(environ, start_response):
        runs.append(environ["PATH_INFO"])
        run(environ, f"INSERT INTO notes (text) VALUES ('{environ['PATH_INFO']}')")
        start_response("200 OK", [])
        return [b"x"]

    layer = make(app, kind, ping=ping)
    call(layer, "/first")
    end_connections(server)
    with (
        contextlib.nullcontext() if ping else pytest.raises(Exception, match=r"(?i)terminat|lost|gone|clos|reset|pipe")
    ):
        call(layer, "/second")
    call(layer, "/third")
    assert runs == ["/first", "/second", "/third"]
    assert server.texts() == (runs if ping else ["/first", "/third"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_ended_in_the_request_commits_no_half(make, server, call, kind):
    """D9, D4: though the application ignores what it is told; the next request has a living one."""

    def app(environ, start_response):
        run(environ, "INSERT INTO notes (text) VALUES ('first half')")
        if environ["PATH_INFO"] == "/ended":
            end_connections(server)
            for _ in range(3):
                with contextlib.suppress(Exception):
                    run(environ, "INSERT INTO notes (text) VALUES ('second half')")
        start_response("200 OK", [])
        return [b"saved"]

    layer = make(app, kind)
    with pytest.raises(Exception, match=r"(?i)rolled back|terminat|lost|gone|clos|reset|pipe|\(0, ''\)"):
        call(layer, "/ended")
    assert server.texts() == []
    assert call(layer, "/whole").body == b"saved"
    assert server.texts() == ["first half"]
