"""Where the database layer meets what goes wrong around it: layers, hooks, threads, old sessions, odd drivers."""

from __future__ import annotations

import contextlib
import threading

import pytest
import sqlalchemy as sa

from wsgikit import ContextMiddleware, DatabaseMiddleware, ErrorPagesMiddleware, Middleware, build_stack, g, use
from wsgikit.exceptions import ApplicationError, ConfigurationError

# ---------------------------------------------------------------------- sessions that outlive their transaction


def test_a_session_that_is_kept_past_its_request_takes_no_connection(wrap, sqlite, call, insert, ok, counted):
    """D1: such a connection would never be given back."""
    kept = []

    def app(environ, start_response):
        kept.append(environ["wsgikit.db"].__wsgikit_open__())
        insert(environ, "a")
        return ok(start_response)

    layer = wrap(app, url=sqlite.url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    counts = counted(layer)
    call(layer)
    with pytest.raises(ApplicationError, match="the request has ended"):
        kept[0].execute(sa.text("SELECT 1"))
    assert counts == {"out": 1, "in": 1}
    assert layer.source.describe()["holders"] == []


def test_a_stream_may_go_on_with_the_session_that_was_given_back_at_the_head(wrap, database, call, counted, note):
    """D2, D1: ``release="response"``, and a generator that closed over the session itself."""

    def app(environ, start_response):
        session = environ["wsgikit.db"].__wsgikit_open__()
        session.add(note(text="head"))
        start_response("200 OK", [])

        def stream():
            yield b"1"
            session.add(note(text="stream"))
            session.flush()
            yield b"2"

        return stream()

    layer = wrap(app, url=database.url, release="response", pool_size=1, max_overflow=0, pool_timeout=0.1)
    counts = counted(layer)
    for _ in range(2):
        call(layer)
    assert counts == {"out": 4, "in": 4}
    assert database.texts() == ["head", "stream", "head", "stream"]


def test_a_session_that_an_error_page_still_has_is_given_back(layers, sqlite, call, insert, counted):
    """D6: the page works with the session of the failed view, not with a new one."""
    kept = []

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            count = kept[-1].execute(sa.text("SELECT count(*) FROM notes")).scalar()
            return exchange.reply(500, f"{count} notes")

    def app(environ, start_response):
        kept.append(environ["wsgikit.db"].__wsgikit_open__())
        insert(environ, "a")
        raise RuntimeError("broken")

    stack = build_stack(app, Page, use(DatabaseMiddleware, url=sqlite.url, pool_size=1, max_overflow=0, pool_timeout=1))
    layers.append(stack)
    counts = counted(stack.find(DatabaseMiddleware))
    for _ in range(3):
        assert call(stack).body == b"0 notes"
    assert counts["out"] == counts["in"]


def test_two_threads_that_send_the_first_statement_at_once_take_one_connection(wrap, postgresql, call, ok, counted):
    """D1, D10: each of the two would take one, and one be given back."""
    together = threading.Barrier(2)

    def app(environ, start_response):
        session = environ["wsgikit.db"].__wsgikit_open__()

        def bind():
            together.wait()
            session.get_bind()

        threads = [threading.Thread(target=bind) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return ok(start_response)

    layer = wrap(app, url=postgresql.url, pool_size=2, max_overflow=0)
    sa.event.listen(layer.engine, "checkout", lambda *_: threading.Event().wait(0.01))
    counts = counted(layer)
    for _ in range(5):
        call(layer)
    assert counts == {"out": 5, "in": 5}


# ---------------------------------------------------------------------- rules, hooks, other layers


def test_an_error_page_after_a_rule_that_failed_sees_nothing_of_the_transaction(layers, postgresql, call, insert, ok):
    """D6: the transaction is undone before the page asks the database."""

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            count = exchange.environ["wsgikit.db"].execute(sa.text("SELECT count(*) FROM notes")).scalar()
            return exchange.reply(500, f"{count} notes")

    def rule(exchange):
        raise RuntimeError("the rule failed")

    def app(environ, start_response):
        insert(environ, "a")
        return ok(start_response)

    stack = build_stack(app, Page, use(DatabaseMiddleware, url=postgresql.url, commit=rule))
    layers.append(stack)
    assert call(stack).body == b"0 notes"
    assert postgresql.texts() == []


def test_a_hook_of_the_commit_runs_before_the_head_of_a_stream_that_only_reads(wrap, database, call):
    """B61: the mail is sent though the client leaves."""
    seen = []

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        handle.execute(sa.text("SELECT 1")).all()
        handle.on_commit(lambda: seen.append("commit"))
        start_response("200 OK", [])

        def stream():
            yield b"1"
            yield b"2"

        return stream()

    call(wrap(app, url=database.url), chunks=1, on_start=lambda: seen.append("head"))
    assert seen == ["commit", "head"]


def test_a_layer_outside_that_fails_after_the_commit_leaves_a_clean_page_and_pool(
    layers, database, call, insert, ok, counted
):
    """The commit has happened: what the layer outside makes of the response can't undo it."""

    class Fails(Middleware):
        def after_request(self, exchange):
            raise RuntimeError("outside")

    def app(environ, start_response):
        insert(environ, "a")
        return ok(start_response)

    stack = build_stack(app, ErrorPagesMiddleware, Fails, use(DatabaseMiddleware, url=database.url, pool_size=1))
    layers.append(stack)
    counts = counted(stack.find(DatabaseMiddleware))
    assert call(stack).code == 500
    assert database.texts() == ["a"]
    assert counts == {"out": 1, "in": 1}


def test_what_only_read_before_a_failed_commit_is_not_called_a_disagreement(
    layers, sqlite, postgresql, call, caplog, ok
):
    """D15: nothing was written to the first database, so nothing disagrees."""
    postgresql.run(
        "DROP TABLE IF EXISTS once",
        "CREATE TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    )

    def app(environ, start_response):
        environ["wsgikit.db.inner"].execute(sa.text("SELECT count(*) FROM notes")).scalar()
        environ["wsgikit.db"].execute(sa.text("INSERT INTO once VALUES (1), (1)"))
        return ok(start_response)

    stack = build_stack(
        app,
        ErrorPagesMiddleware,
        use(DatabaseMiddleware, url=postgresql.url),
        use(DatabaseMiddleware, url=sqlite.url, name="inner"),
    )
    layers.append(stack)
    assert call(stack).code == 500
    assert "disagree" not in caplog.text


@pytest.mark.parametrize("fails", ["view", "commit"])
def test_what_an_error_page_writes_is_not_kept(layers, postgresql, call, insert, fails):
    """D6: the page has a connection, which is given back; the request has failed, whatever the rule says of it."""
    postgresql.run(
        "DROP TABLE IF EXISTS once",
        "CREATE TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)",
    )

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            insert(exchange.environ, "page")
            return exchange.reply(500, type(error).__name__)

    def app(environ, start_response):
        insert(environ, "view")
        if fails == "view":
            raise LookupError
        environ["wsgikit.db"].execute(sa.text("INSERT INTO once VALUES (1), (1)"))
        start_response("200 OK", [])
        return [b"x"]

    options = {"commit": "no-exception", "pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    stack = build_stack(app, Page, use(DatabaseMiddleware, url=postgresql.url, **options))
    layers.append(stack)
    assert call(stack).body == (b"LookupError" if fails == "view" else b"IntegrityError")
    assert postgresql.texts() == []
    assert stack.find(DatabaseMiddleware).engine.pool.checkedout() == 0


def test_a_session_that_can_not_be_closed_gives_its_connection_back(
    wrap, sqlite, call, insert, ok, counted, monkeypatch, caplog
):
    """D1"""
    from wsgikit.database.orm import RequestSession

    def close(self):
        raise RuntimeError("close failed")

    def app(environ, start_response):
        insert(environ, "a")
        return ok(start_response)

    layer = wrap(app, url=sqlite.url)
    counts = counted(layer)
    with monkeypatch.context() as patch:
        patch.setattr(RequestSession, "close", close)
        call(layer)
    assert counts == {"out": 1, "in": 1}
    assert "closing the session on 'default' failed: RuntimeError('close failed')" in caplog.text
    assert sqlite.texts() == ["a"]


def test_a_connection_that_can_not_be_given_back_is_dropped_and_its_place_is_free(
    wrap, sqlite, call, insert, ok, monkeypatch, caplog
):
    """D1: the page goes out, for the commit has happened."""
    from wsgikit.database.connections import RequestConnection

    failed = []

    def close(self, close=RequestConnection.close):
        if not failed:
            failed.append(1)
            raise RuntimeError("close failed")
        close(self)

    def app(environ, start_response):
        insert(environ, environ["PATH_INFO"])
        return ok(start_response)

    monkeypatch.setattr(RequestConnection, "close", close, raising=False)
    layer = wrap(app, url=sqlite.url, kind="connection", pool_size=1, max_overflow=0, pool_timeout=0.1)
    assert call(layer, "/one").code == 200
    assert "giving the connection to 'default' back failed: RuntimeError('close failed')" in caplog.text
    assert call(layer, "/two").code == 200
    assert sqlite.texts() == ["/one", "/two"]
    assert layer.engine.pool.checkedout() == 0


def test_models_that_are_bound_to_another_engine_are_committed_with_the_request(
    wrap, sqlite, postgresql, call, note, insert
):
    """D15: ``binds`` of SQLAlchemy's session; the request ends for all of them."""
    other = sa.create_engine(postgresql.url, poolclass=sa.NullPool)

    def app(environ, start_response):
        insert(environ, "text")  # of no model: on the engine of the layer
        environ["wsgikit.db"].add(note(text="model"))
        start_response(environ["PATH_INFO"][1:] + " X", [])
        return [b""]

    layer = wrap(app, url=sqlite.url, session_options={"binds": {note: other}})
    call(layer, "/500")
    assert (sqlite.texts(), postgresql.texts()) == ([], [])
    call(layer, "/200")
    assert (sqlite.texts(), postgresql.texts()) == (["text"], ["model"])


# ---------------------------------------------------------------------- the replica


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
@pytest.mark.parametrize("commit", ["manual", "success"])
def test_who_wrote_by_a_commit_of_the_applications_own_is_sticky_too(
    wrap, sqlite, tmp_path, call, commit, status, insert
):
    """A read of the replica after it would not find what was written."""

    def app(environ, start_response):
        insert(environ, "a")
        environ["wsgikit.db"].commit()
        start_response(status, [])
        return [b""]

    options = {"replica_url": f"sqlite:///{tmp_path}/replica.db", "secret_key": "k0123456789abcde", "commit": commit}
    answer = call(wrap(app, url=sqlite.url, **options), method="POST")
    assert "wsgikit_wrote=" in dict(answer.headers).get("Set-Cookie", "")


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_who_wrote_in_a_block_of_its_own_is_sticky_too(wrap, sqlite, tmp_path, call, insert, ok, kind):
    """``with db.begin():`` commits without a word to the layer."""

    def app(environ, start_response):
        with environ["wsgikit.db"].begin():
            insert(environ, "a")
        return ok(start_response)

    options = {
        "replica_url": f"sqlite:///{tmp_path}/replica.db",
        "secret_key": "k0123456789abcde",
        "commit": "manual",
    }
    answer = call(wrap(app, url=sqlite.url, kind=kind, **options), method="POST")
    assert sqlite.texts() == ["a"]
    assert "wsgikit_wrote=" in dict(answer.headers).get("Set-Cookie", "")


def test_part_of_a_second_is_rounded_up_to_a_cookie_that_lives(wrap, sqlite, tmp_path, call, insert, ok):
    """``Max-Age=0`` would delete it."""

    def app(environ, start_response):
        insert(environ, "a")
        return ok(start_response)

    options = {
        "replica_url": f"sqlite:///{tmp_path}/replica.db",
        "secret_key": "k0123456789abcde",
        "sticky_seconds": 0.5,
    }
    answer = call(wrap(app, url=sqlite.url, **options), method="POST")
    assert "Max-Age=1;" in dict(answer.headers)["Set-Cookie"]


def test_an_insert_within_a_select_counts_as_writing(wrap, postgresql, call, insert, note):
    """D4: a stream that began with it would lose the row where the client leaves."""
    notes = note.__table__

    def app(environ, start_response):
        added = sa.insert(notes).values(text="a").returning(notes.c.id).cte("added")
        environ["wsgikit.db"].execute(sa.select(added.c.id)).all()
        start_response("200 OK", [])

        def stream():
            yield b"1"
            yield b"2"

        return stream()

    call(wrap(app, url=postgresql.url), chunks=1)
    assert postgresql.texts() == ["a"]


# ---------------------------------------------------------------------- retries


def test_what_layers_outside_put_on_g_is_there_in_every_attempt(layers, postgresql, call, ok):
    """D13: each attempt begins with what was there when the first did, and with nothing of the one before."""
    seen = []

    class Outside(Middleware):
        def before_request(self, exchange):
            g.user = "ann"

        def after_request(self, exchange):
            seen.append(("outside", g.get("user"), g.get("attempt")))

    class Lost(Exception):
        sqlstate = "40001"

    def app(environ, start_response):
        seen.append((environ["wsgikit.db.attempt"], g.get("user"), g.get("attempt")))
        g.attempt = environ["wsgikit.db.attempt"]
        if environ["wsgikit.db.attempt"] == 1:
            raise Lost
        return ok(start_response)

    stack = build_stack(
        app,
        ContextMiddleware,
        Outside,
        use(DatabaseMiddleware, url=postgresql.url, retries=1, retry_backoff_seconds=0),
    )
    layers.append(stack)
    assert call(stack).code == 200
    assert seen == [(1, "ann", None), (2, "ann", None), ("outside", "ann", 2)]


def test_a_large_body_that_an_attempt_closed_is_read_again(wrap, postgresql, call, ok):
    """D13: frameworks close ``wsgi.input`` here and there."""
    seen = []

    class Lost(Exception):
        sqlstate = "40001"

    def app(environ, start_response):
        seen.append(len(environ["wsgi.input"].read()))
        environ["wsgi.input"].close()
        if len(seen) == 1:
            raise Lost
        return ok(start_response)

    layer = wrap(app, url=postgresql.url, retries=1, retry_backoff_seconds=0)
    assert call(layer, method="PUT", body=b"x" * 1_000_000).code == 200
    assert seen == [1_000_000, 1_000_000]


# ---------------------------------------------------------------------- more seams


def test_a_chunked_body_is_read_again_as_servers_give_it(wrap, postgresql, call, ok):
    """D13, B54: no CONTENT_LENGTH, and ``wsgi.input_terminated`` as gunicorn and waitress say it."""
    seen = []

    class Lost(Exception):
        sqlstate = "40P01"

    def app(environ, start_response):
        environ["PATH_INFO"] = "/moved"
        environ["SCRIPT_NAME"] = "/there"
        seen.append((environ["wsgi.input"].read(), environ.get("mark")))
        environ["mark"] = True
        if len(seen) < 3:
            raise Lost
        return ok(start_response)

    layer = wrap(app, url=postgresql.url, retries=2, retry_backoff_seconds=0)
    answer = call(layer, method="PUT", body=b"chunked", **{"CONTENT_LENGTH": "", "wsgi.input_terminated": True})
    assert answer.code == 200
    assert seen == [(b"chunked", None)] * 3


@pytest.mark.parametrize("order", ["session inside", "session outside"])
def test_retries_beside_a_session_layer(layers, postgresql, call, order, ok):
    """B54: the session of a lost attempt is forgotten."""
    from wsgikit import SessionMiddleware, session

    class Lost(Exception):
        sqlstate = "40001"

    def app(environ, start_response):
        session["count"] = session.get("count", 0) + 1
        if environ["wsgikit.db.attempt"] == 1:
            raise Lost
        return ok(start_response, str(session["count"]).encode())

    sessions = use(SessionMiddleware, secret_key="k0123456789abcde")
    database = use(DatabaseMiddleware, url=postgresql.url, retries=1, retry_backoff_seconds=0)
    inner = [database, sessions] if order == "session inside" else [sessions, database]
    stack = build_stack(app, ContextMiddleware, *inner)
    layers.append(stack)
    answer = call(stack)
    assert answer.body == b"1"
    assert len([name for name, _ in answer.headers if name == "Set-Cookie"]) == 1


def test_two_applications_in_a_process_have_nothing_in_common(layers, sqlite, postgresql, call, insert, ok):
    def app(environ, start_response):
        insert(environ, environ["PATH_INFO"])
        return ok(start_response)

    one = build_stack(app, use(DatabaseMiddleware, url=sqlite.url))
    other = build_stack(app, use(DatabaseMiddleware, url=postgresql.url))
    layers.extend([one, other])
    call(one, "/one")
    call(other, "/other")
    one.close()
    call(other, "/more")
    assert (sqlite.texts(), postgresql.texts()) == (["/one"], ["/other", "/more"])


@pytest.mark.parametrize("status", ["200 OK", "304 Not Modified", "204 No Content"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_responses_without_a_body_commit_before_the_head(wrap, database, call, status, method, insert):
    seen = []

    def app(environ, start_response):
        insert(environ, "a")
        start_response(status, [])
        return []

    call(wrap(app, url=database.url), method=method, on_start=lambda: seen.extend(database.texts()))
    assert seen == ["a"]


def test_an_application_that_begins_blocks_of_its_own_is_committed_too(wrap, database, call, insert, ok, counted):
    """``with db.begin_nested():`` around what may fail, and its own commit in between."""

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        insert(environ, "kept")
        handle.commit()
        with contextlib.suppress(RuntimeError), handle.begin_nested():
            insert(environ, "undone")
            raise RuntimeError
        insert(environ, "last")
        return ok(start_response)

    layer = wrap(app, url=database.url)
    counts = counted(layer)
    call(layer)
    assert database.texts() == ["kept", "last"]
    assert counts == {"out": 1, "in": 1}


def test_closing_the_session_in_the_view_gives_the_connection_back_once(wrap, database, call, insert, ok, counted):
    """The application's own ``db.close()`` drops what wasn't committed; what follows is a transaction again."""

    def app(environ, start_response):
        insert(environ, "dropped")
        environ["wsgikit.db"].close()
        insert(environ, "kept")
        return ok(start_response)

    layer = wrap(app, url=database.url, pool_size=1, max_overflow=0, pool_timeout=1)
    counts = counted(layer)
    for _ in range(2):
        call(layer)
    assert database.texts() == ["kept", "kept"]
    assert counts["out"] == counts["in"]


def test_a_connection_that_the_server_ended_in_the_request_is_an_error_and_not_the_next_ones(
    wrap, postgresql, call, insert, ok
):
    """D9: no statement is run again behind the application's back; the next request has a living one."""

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        insert(environ, "lost")
        if environ["PATH_INFO"] == "/cut":
            pid = handle.execute(sa.text("SELECT pg_backend_pid()")).scalar()
            postgresql.run(f"SELECT pg_terminate_backend({pid})")
        insert(environ, "second")
        return ok(start_response)

    layer = wrap(app, url=postgresql.url, pool_size=1, max_overflow=0, pool_timeout=1)
    with pytest.raises(sa.exc.OperationalError):
        call(layer, "/cut")
    assert postgresql.texts() == []
    assert call(layer).code == 200
    assert postgresql.texts() == ["lost", "second"]


def test_a_lost_connection_that_the_application_swallows_commits_no_half(wrap, postgresql, call, insert, ok):
    """D9, D4: after it, a session would connect again, and only what came later would be committed."""

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        insert(environ, "first half")
        pid = handle.execute(sa.text("SELECT pg_backend_pid()")).scalar()
        postgresql.run(f"SELECT pg_terminate_backend({pid})")
        for _ in range(2):
            try:
                insert(environ, "second half")
            except sa.exc.SQLAlchemyError:
                pass
        return ok(start_response)

    layer = wrap(app, url=postgresql.url)
    with pytest.raises(Exception, match="rolled back|reconnect"):
        call(layer)
    assert postgresql.texts() == []


@pytest.mark.parametrize(
    "use_it",
    [
        pytest.param(lambda handle: setattr(handle, "autoflush", False), id="set an attribute"),
        pytest.param(list, id="iterate"),
        pytest.param(lambda handle: 1 in handle, id="in"),
        pytest.param(lambda handle: handle.__enter__(), id="with"),
    ],
)
def test_the_database_of_an_excluded_path_says_so_however_it_is_used(wrap, sqlite, call, use_it):
    """D14."""
    layer = wrap(lambda environ, start_response: use_it(environ["wsgikit.db"]), url=sqlite.url, exclude_paths=["/s"])
    with pytest.raises(ApplicationError, match="exclude_paths= names"):
        call(layer, "/s")


@pytest.mark.parametrize(
    "option", ["retries", "max_age_seconds", "sticky_seconds", "max_queries", "held_warning_seconds"]
)
@pytest.mark.parametrize("value", ["3", -1, True])
def test_what_is_no_number_is_refused_while_building(option, value, ok):
    with pytest.raises(ConfigurationError, match=f"{option}: expected 0 or more, got {value!r}"):
        DatabaseMiddleware(ok, url="sqlite://", **{option: value})


def test_of_two_layers_that_repeat_each_counts_its_own_attempts(layers, sqlite, tmp_path, call):
    """D13, D15: the last attempt of the outer one sends its page, though it is the first of the inner one."""
    seen = []

    class Lost(Exception):
        sqlstate = "40001"

    def app(environ, start_response):
        seen.append(environ["wsgikit.db.attempt"])
        environ["wsgikit.db"]._work().conflict = Lost()
        start_response("409 Conflict", [])
        return [b"sorry"]

    stack = build_stack(
        app,
        use(DatabaseMiddleware, url=sqlite.url, retries=1, retry_backoff_seconds=0),
        use(DatabaseMiddleware, url=f"sqlite:///{tmp_path}/other.db", name="other", retries=3),
    )
    layers.append(stack)
    assert call(stack).body == b"sorry"
    assert seen == [1, 1]


# ---------------------------------------------------------------------- what SQLAlchemy allows besides


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_a_sequence_gives_its_value(wrap, postgresql, call, ok, kind):
    def app(environ, start_response):
        return ok(start_response, str(environ["wsgikit.db"].scalar(sa.Sequence("notes_id_seq"))).encode())

    assert call(wrap(app, url=postgresql.url, kind=kind)).body.isdigit()


def test_a_listener_to_a_recorded_statement_may_run_another(wrap, sqlite, call, insert, ok):
    def app(environ, start_response):
        insert(environ, "a")
        return ok(start_response)

    def listen(connection, cursor, statement, *_):
        if statement != "SELECT 1":
            connection.exec_driver_sql("SELECT 1")

    layer = wrap(app, url=sqlite.url, record_queries=True)
    sa.event.listen(layer.engine, "before_cursor_execute", listen)
    assert call(layer).code == 200
    assert sqlite.texts() == ["a"]
