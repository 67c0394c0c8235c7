"""B50, Q2: what of a stream is in the transaction of its head, and what in that of the stream."""

from __future__ import annotations

import pytest
import sqlalchemy as sa


def two_chunks(after_first=lambda: None):
    yield b"1"
    after_first()
    yield b"2"


@pytest.mark.parametrize("change", ["new", "dirty", "deleted"])
def test_objects_that_wait_for_a_flush_are_committed_at_the_head(wrap, database, call, note, change):
    """B50: they are something written, though no statement has said so yet; the client leaves after the first chunk."""

    def app(environ, start_response):
        session = environ["wsgikit.db"]
        if change == "new":
            session.add(note(text="added"))
        else:
            (one,) = session.scalars(sa.select(note)).all()
            if change == "dirty":
                one.text = "changed"
            else:
                session.delete(one)
        start_response("200 OK", [])
        return two_chunks()

    if change != "new":
        database.run("INSERT INTO notes (text) VALUES ('there')")
    call(wrap(app, url=database.url), chunks=1)
    assert database.texts() == {"new": ["added"], "dirty": ["changed"], "deleted": []}[change]


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_lock_on_rows_does_not_outlive_the_head(wrap, database_of, call, note, name, kind):
    """B50: ``SELECT … FOR UPDATE`` writes nothing, but others wait for it."""
    database = database_of(name)
    database.clear()
    database.run("INSERT INTO notes (text) VALUES ('there')")
    seen = []

    def lock():
        with database.engine.begin() as other:
            seen.append(other.execute(sa.select(note.text).with_for_update(nowait=True)).scalar())

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.select(note.text).with_for_update()).all()
        start_response("200 OK", [])
        return two_chunks(lock)

    call(wrap(app, url=database.url, kind=kind))
    assert seen == ["there"]


def test_a_cursor_that_was_opened_after_a_commit_of_the_applications_own_survives_the_head(
    wrap, postgresql, call, insert
):
    """B50: what was written is committed; what is open since only reads."""

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        for number in range(20):
            insert(environ, f"n{number}")
        handle.commit()
        rows = handle.execute(sa.text("SELECT text FROM notes ORDER BY id"), execution_options={"yield_per": 7})
        start_response("200 OK", [])
        return (text.encode() for (text,) in rows)

    assert call(wrap(app, url=postgresql.url)).chunks == [b"n%d" % number for number in range(20)]


@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
def test_functions_that_a_stream_registers_are_called_at_its_end(wrap, database, call, kind):
    """B61: with no statement after them, too."""
    seen = []

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        start_response("200 OK", [])
        return two_chunks(lambda: handle.on_commit(lambda: seen.append("committed")))

    options = {"connect": database.connect} if kind == "driver" else {"url": database.url, "kind": kind}
    layer = wrap(app, **options)
    call(layer)
    call(layer, chunks=2)
    assert seen == ["committed"]


def test_a_rule_that_fails_at_the_end_of_a_stream_rolls_it_back(wrap, database, call, insert):
    """D3: functions of ``on_rollback`` are told."""
    seen = []
    asked = []

    def rule(exchange):
        asked.append(1)
        if len(asked) == 2:
            raise LookupError("rule")
        return True

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def write():
            insert(environ, "stream")
            environ["wsgikit.db"].on_rollback(lambda: seen.append("rolled back"))

        return two_chunks(write)

    with pytest.raises(LookupError, match="rule"):
        call(wrap(app, url=database.url, commit=rule))
    assert (database.texts(), seen) == (["head"], ["rolled back"])


def test_a_commit_that_fails_at_the_end_of_a_stream_is_raised_to_the_server(wrap, postgresql, call, insert):
    """D4: the head has left, so it can't become a page; it isn't lost, and the connection is given back."""
    postgresql.run(
        "DROP TABLE IF EXISTS once",
        "CREATE TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    )

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])
        return two_chunks(lambda: environ["wsgikit.db"].execute(sa.text("INSERT INTO once VALUES (1), (1)")))

    layer = wrap(app, url=postgresql.url, pool_size=1, max_overflow=0, pool_timeout=1)
    for _ in range(2):
        with pytest.raises(sa.exc.IntegrityError):
            call(layer)
    assert postgresql.texts() == ["head", "head"]
    assert layer.engine.pool.checkedout() == 0
    postgresql.run("DROP TABLE once")


@pytest.mark.parametrize(
    ("status", "asked", "texts"),
    [("500 Oops", "commit", ["head", "stream"]), ("200 OK", "abort", []), ("200 OK", None, ["head", "stream"])],
    ids=["commit", "abort", "not asked"],
)
def test_a_veto_of_repoze_tm_is_that_of_the_stream_too(wrap, sqlite, call, insert, status, asked, texts):
    """B56: the header is taken off at the head; what it said is remembered."""
    from wsgikit.database.rules import commit_unless_vetoed

    def app(environ, start_response):
        insert(environ, "head")
        start_response(status, [] if asked is None else [("X-Tm", asked)])
        return two_chunks(lambda: insert(environ, "stream"))

    answer = call(wrap(app, url=sqlite.url, commit=commit_unless_vetoed))
    assert (sqlite.texts(), answer.headers) == (texts, [])
