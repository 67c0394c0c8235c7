"""X3: requests commit as always, and nothing is left after the test; on all three databases."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing.database import rolled_back

pytest_plugins = ["pytester"]


def app(environ, start_response):
    """``/add/<text>`` adds a note, ``/fail/<text>`` too and fails, ``/lose/<text>`` answers 500, ``/`` lists."""
    db = environ["wsgikit.db"]
    _, way, *rest = environ["PATH_INFO"].split("/")
    run = db.cursor().execute if hasattr(db, "cursor") else lambda text: db.execute(sa.text(text))
    if rest:
        run(f"INSERT INTO notes (text) VALUES ('{rest[0]}')")
    if way == "fail":
        raise LookupError(rest[0])
    if hasattr(db, "cursor"):
        cursor = db.cursor()
        cursor.execute("SELECT text FROM notes ORDER BY id")
        texts = [row[0] for row in cursor.fetchall()]
    else:
        texts = db.execute(sa.text("SELECT text FROM notes ORDER BY id")).scalars().all()
    start_response("500 Oops" if way == "lose" else "200 OK", [])
    return [" ".join(texts).encode()]


KINDS = {
    "session": lambda database: {"url": database.url},
    "connection": lambda database: {"url": database.url, "kind": "connection"},
    "engine": lambda database: {"engine": sa.create_engine(database.url)},
    "driver": lambda database: {"connect": database.connect},
    "driver with a pool": lambda database: {"connect": database.connect, "pool_size": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_requests_commit_is_seen_in_the_block_and_gone_after_it(database, layers, call, kind):
    stack = build_stack(app, use(DatabaseMiddleware, **KINDS[kind](database)))
    layers.append(stack)
    call(stack, "/add/before")
    for _ in range(2):
        with rolled_back(stack):
            assert call(stack, "/add/one").body == b"before one"
            with pytest.raises(LookupError):
                call(stack, "/fail/two")
            assert call(stack, "/lose/three").body == b"before one three"
            assert call(stack, "/add/four").body == b"before one four"
            assert database.texts() == ["before"]
        assert call(stack, "/list").body == b"before"
    call(stack, "/add/after")
    assert database.texts() == ["before", "after"]


def test_hooks_of_the_commit_run_in_the_block(database, wrap, call):
    """With a transaction around the test, and no commit at its end, such hooks are often lost."""
    seen = []

    def hooked(environ, start_response):
        environ["wsgikit.db"].on_commit(lambda: seen.append("committed"))
        return app(environ, start_response)

    layer = wrap(hooked, url=database.url)
    with rolled_back(layer):
        call(layer, "/add/one")
    assert seen == ["committed"]


def test_rows_that_the_test_itself_puts_there_are_seen_and_undone(database, wrap, call):
    layer = wrap(app, url=database.url)
    with rolled_back(layer):
        with layer.engine.begin() as connection:
            connection.execute(sa.text("INSERT INTO notes (text) VALUES ('prepared')"))
        assert call(layer, "/add/one").body == b"prepared one"
        with layer.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM notes")) == 2
    assert database.texts() == []


def test_an_engine_of_the_models_own_can_be_given_too(database, call):
    engine = sa.create_engine(database.url)
    with rolled_back(engine), engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
    assert database.texts() == []
    engine.dispose()


def test_an_error_of_the_database_leaves_the_next_request_in_the_block_whole(postgresql, wrap, call):
    def broken(environ, start_response):
        if environ["PATH_INFO"] == "/broken":
            environ["wsgikit.db"].execute(sa.text("SELECT * FROM no_such_table"))
        return app(environ, start_response)

    layer = wrap(broken, url=postgresql.url)
    with rolled_back(layer):
        call(layer, "/add/one")
        with pytest.raises(sa.exc.ProgrammingError):
            call(layer, "/broken")
        assert call(layer, "/add/two").body == b"one two"


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
@pytest.mark.parametrize("place", ["of the engine", "of the request"])
def test_an_isolation_level_is_no_error_in_the_block(database, wrap, call, level, place):
    """It can't be changed in the middle of a transaction; the requests are undone all the same."""

    def strict(environ, start_response):
        environ["wsgikit.db"].connection(execution_options={"isolation_level": level})
        return app(environ, start_response)

    layer = (
        wrap(strict, url=database.url)
        if place == "of the request"
        else wrap(app, url=database.url, isolation_level=level)
    )
    for _ in range(2):
        with rolled_back(layer):
            call(layer, "/add/one")
            assert call(layer, "/add/two").body == b"one two"
        assert database.texts() == []
    call(layer, "/add/three")
    assert database.texts() == ["three"]


def test_a_driver_that_was_told_to_commit_by_itself_is_undone_too(postgresql, wrap, call):
    import psycopg

    def connect():
        url = postgresql.engine.url
        return psycopg.connect(host=url.host, user=url.username, dbname=url.database, autocommit=True)

    layer = wrap(app, connect=connect)
    with rolled_back(layer):
        call(layer, "/add/one")
        assert call(layer, "/add/two").body == b"one two"
    assert postgresql.texts() == []
    call(layer, "/add/three")
    assert postgresql.texts() == ["three"]


@pytest.mark.parametrize(
    "options", [{"retries": 2}, {"manager": True}, {"release": "response"}, {"kind": "connection"}], ids=str
)
def test_retries_managers_and_streams_are_undone_too(database, wrap, call, options):
    """X3: a stream's second transaction is in the test's, too."""

    def streams(environ, start_response):
        handle = environ["wsgikit.db"]
        handle.execute(sa.text("INSERT INTO notes (text) VALUES ('head')"))
        start_response("200 OK", [])

        def stream():
            yield b"1"
            handle.execute(sa.text("INSERT INTO notes (text) VALUES ('stream')"))
            yield b" 2"

        return stream()

    layer = wrap(streams, url=database.url, **options)
    with rolled_back(layer):
        call(layer)
        call(layer, chunks=2)
        with layer.engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT count(*) FROM notes")) == 3
    assert database.texts() == []


def test_a_replica_sees_in_the_block_what_was_just_written(sqlite, tmp_path, wrap, call):
    replica = f"sqlite:///{tmp_path}/replica.db"
    layer = wrap(app, url=sqlite.url, replica_url=replica, secret_key="k0123456789abcde")
    with rolled_back(layer):
        call(layer, "/add/one", method="POST")
        assert call(layer, "/list").body == b"one"


def test_what_has_no_database_is_refused():
    with pytest.raises(ConfigurationError, match="expected a stack with a DatabaseMiddleware, or an engine"):
        with rolled_back(build_stack(app)):
            pass


def test_the_fixture_undoes_at_the_end_of_the_test(sqlite, pytester):
    pytester.makepyfile(
        test_it=f"""
        import sqlalchemy as sa
        from wsgikit.database.middleware import DatabaseMiddleware

        def app(environ, start_response):
            environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"x"]

        layer = DatabaseMiddleware(app, url={sqlite.url!r})

        def test_one(client_for, roll_back):
            roll_back(layer)
            assert client_for(layer).get("/").status_int == 200
        """
    )
    # Its own process: in this one pytester would unload what is first loaded there, and later tests load it again.
    result = pytester.runpytest_subprocess("-p", "no:wsgikit", "-p", "wsgikit.testing.plugin")
    result.assert_outcomes(passed=1)
    assert sqlite.texts() == []
