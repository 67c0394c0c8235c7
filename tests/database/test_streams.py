"""B50, D2, Q2: what of a stream is in the transaction of its head, and what in that of the stream."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.database.rules import commit_unless_vetoed
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use


def insert(environ, text="row", key="wsgikit.db"):
    environ[key].execute(sa.text("INSERT INTO notes (text) VALUES (:text)"), {"text": text})


class Answers500(Middleware):
    """An error page, as short as can be."""

    def handle_exception(self, exchange, error):
        return exchange.reply(500, f"{type(error).__name__}")


def count_checkouts(layer):
    counts = []
    sa.event.listen(layer.engine, "checkout", lambda *_: counts.append(1))
    return counts


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

    def app(environ, start_response):
        insert(environ, "head")
        start_response(status, [] if asked is None else [("X-Tm", asked)])
        return two_chunks(lambda: insert(environ, "stream"))

    answer = call(wrap(app, url=sqlite.url, commit=commit_unless_vetoed))
    assert (sqlite.texts(), answer.headers) == (texts, [])


def rows_around(environ, start_response):
    """A row before the head and one in the stream, which may break off."""
    insert(environ, "head")
    start_response("200 OK", [])

    def stream():
        yield b"1"
        insert(environ, "stream")
        yield b"2"
        if environ["PATH_INFO"] == "/breaks":
            raise RuntimeError("broke off")

    return stream()


@pytest.mark.parametrize(
    ("path", "chunks", "texts"),
    [("/", None, ["head", "stream"]), ("/breaks", None, ["head"]), ("/", 2, ["head"]), ("/", 1, ["head"])],
    ids=["to its end", "raises", "client leaves after the second row", "client leaves before it"],
)
@pytest.mark.parametrize("release", ["complete", "close", "response"])
def test_what_a_stream_writes_is_a_transaction_of_its_own(wrap, database, call, path, chunks, texts, release):
    """B50, Q2"""
    layer = wrap(rows_around, url=database.url, release=release)
    seen = []
    try:
        call(layer, path, chunks=chunks, on_start=lambda: seen.append(database.texts()))
    except RuntimeError:
        assert path == "/breaks"
    assert seen == [["head"]]
    assert database.texts() == texts
    assert layer.engine.pool.checkedout() == 0


def test_a_stream_that_raises_before_its_first_chunk_keeps_what_the_head_committed(layers, database, call):
    """The hooks of after_request run a second time, on the error page."""

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def stream():
            insert(environ, "stream")
            raise RuntimeError("broke off")
            yield b""

        return stream()

    stack = build_stack(app, use(Answers500), use(DatabaseMiddleware, url=database.url))
    layers.append(stack)
    assert call(stack).body == b"RuntimeError"
    assert database.texts() == ["head"]


@pytest.mark.parametrize("release", ["complete", "close", "response"])
def test_a_connection_stays_with_the_stream_or_is_given_back_at_the_head(wrap, sqlite, call, release):
    """D2, Q1"""
    held = []

    def app(environ, start_response):
        insert(environ)
        start_response("200 OK", [])

        def stream():
            held.append(layer.engine.pool.checkedout())
            yield b"1"

        return stream()

    layer = wrap(app, url=sqlite.url, release=release)
    call(layer)
    assert held == [0 if release == "response" else 1]


def test_a_stream_uses_one_connection_from_beginning_to_end(wrap, database, call):
    """B51: not one before the body and another in it."""
    layer = wrap(rows_around, url=database.url)
    counts = count_checkouts(layer)
    call(layer)
    assert counts == [1]


def test_objects_stay_attached_for_a_late_template(wrap, database, call, note):
    """B53: what is read lazily after the commit at the head is read, on the same connection."""

    def app(environ, start_response):
        session = environ["wsgikit.db"]
        late = note(text="late")
        session.add(late)
        start_response("200 OK", [])

        def stream():
            yield b"1"
            yield late.text.encode()  # the commit has expired it

        return stream()

    layer = wrap(app, url=database.url, pool_size=1, max_overflow=0, pool_timeout=1)
    counts = count_checkouts(layer)
    assert call(layer).body == b"1late"
    assert counts == [1]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_exception_rolls_a_stream_back_too(wrap, database, call, error):
    """B58"""

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def stream():
            yield b"1"
            insert(environ, "stream")
            raise error

        return stream()

    layer = wrap(app, url=database.url)
    with pytest.raises(error):
        call(layer)
    assert database.texts() == ["head"]
    assert layer.engine.pool.checkedout() == 0


def test_a_flag_that_a_stream_sets_decides_about_the_stream(wrap, sqlite, call):
    """B50"""

    def app(environ, start_response):
        insert(environ, "head")
        start_response("200 OK", [])

        def stream():
            yield b"1"
            insert(environ, "stream")
            environ["wsgikit.db.commit"] = False
            yield b"2"

        return stream()

    call(wrap(app, url=sqlite.url))
    assert sqlite.texts() == ["head"]


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_cursor_on_the_server_survives_the_head(wrap, postgresql, call, kind):
    """B50: an export that only reads is not committed under its own feet."""
    postgresql.run("INSERT INTO notes (text) SELECT 'n' || i FROM generate_series(1, 50) i")

    def app(environ, start_response):
        start_response("200 OK", [])
        statement = sa.text("SELECT text FROM notes ORDER BY id")
        for (text,) in environ["wsgikit.db"].execute(statement, execution_options={"yield_per": 7}):
            yield text.encode()

    answer = call(wrap(app, url=postgresql.url, kind=kind))
    assert answer.chunks == [b"n%d" % i for i in range(1, 51)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT replace(text, 'a', 'b') FROM notes WHERE text = 'for sale'", False),
        ("  with x as (select 1) select * from x", False),
        ("SHOW TABLES", False),
        ("PRAGMA table_info(notes)", False),
        ("SELECT 1 FROM notes FOR UPDATE", True),
        ("SELECT 1 FROM notes FOR SHARE", True),
        ("WITH x AS (DELETE FROM notes RETURNING id) SELECT * FROM x", True),
        ("SELECT 1 INTO other", True),
        ("EXPLAIN ANALYZE DELETE FROM notes", True),
        ("VACUUM", True),
        ("REPLACE INTO notes VALUES (1, 'a')", True),
        ("CALL do_it()", True),
    ],
)
def test_whether_a_statement_may_write_is_told_by_its_words(statement, expected):
    """B50: if it can't be told, it may."""
    from wsgikit.database.connections import may_write

    assert may_write(statement) is expected
    assert may_write(sa.text(statement)) is expected


def test_a_connection_held_long_by_a_stream_is_one_line_in_the_log(wrap, sqlite, call, caplog):
    """D2"""
    layer = wrap(rows_around, url=sqlite.url, held_warning_seconds=0)
    call(layer, "/events\n")
    assert [record.getMessage().split(" for ")[0] for record in caplog.records] == [
        "GET /events\\n: held a connection of 'default'"
    ]


def test_what_is_written_through_write_before_the_end_is_committed(wrap, sqlite, call):
    """The head leaves at the first write(); what comes later is the second transaction."""

    def app(environ, start_response):
        insert(environ, "head")
        write = start_response("200 OK", [])
        write(b"1")
        insert(environ, "later")
        return []

    seen = []
    assert call(wrap(app, url=sqlite.url), on_start=lambda: seen.append(sqlite.texts())).body == b"1"
    assert seen == [["head"]]
    assert sqlite.texts() == ["head", "later"]


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_transaction_that_only_read_ends_at_the_head(wrap, database, call, kind, method):
    """Flask's and Django's ordinary page is an iterator. A slow client must not keep the transaction open."""
    seen = []

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        seen.append(handle.execute(sa.text("SELECT count(*) FROM notes")).scalar())
        start_response("200 OK", [])
        return two_chunks(lambda: seen.append(handle.in_transaction()))

    call(wrap(app, url=database.url, kind=kind), method=method)
    assert seen == [0, False]


@pytest.mark.parametrize(
    ("read", "is_open"),
    [
        (lambda rows: rows.all(), False),
        (lambda rows: rows.first(), False),
        (lambda rows: list(rows), False),
        (lambda rows: rows.fetchone(), True),
        (lambda rows: rows.close(), False),
        (lambda rows: None, True),
    ],
    ids=["all", "first", "iterated", "one of several", "closed", "unread"],
)
def test_a_cursor_is_open_until_its_last_row_is_read(wrap, database, call, read, is_open):
    database.run("INSERT INTO notes (text) VALUES ('a')", "INSERT INTO notes (text) VALUES ('b')")
    seen = []

    def app(environ, start_response):
        rows = environ["wsgikit.db"].execute(sa.text("SELECT text FROM notes"))
        read(rows)
        start_response("200 OK", [])

        def stream():
            yield b"1"
            seen.append(environ["wsgikit.db"].in_transaction())
            yield str(rows.closed).encode()

        return stream()

    call(wrap(app, url=database.url))
    assert seen == [is_open]


def test_objects_that_were_only_read_keep_their_values_after_the_head(wrap, database, call, note):
    """Else a template that is rendered in the stream would load each of them again."""
    database.run("INSERT INTO notes (text) VALUES ('a')", "INSERT INTO notes (text) VALUES ('b')")

    def app(environ, start_response):
        notes = environ["wsgikit.db"].scalars(sa.select(note).order_by(note.id)).all()
        queries = environ["wsgikit.exchange"].state["wsgikit.db.queries"]
        start_response("200 OK", [])
        return (f"{one.text} {queries.count} ".encode() for one in notes)

    assert call(wrap(app, url=database.url)).body == b"a 1 b 1 "
