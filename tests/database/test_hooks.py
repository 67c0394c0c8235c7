"""B61: what `on_commit` and `on_rollback` call, and when."""

from __future__ import annotations

import contextlib

import pytest
import sqlalchemy as sa


def insert(environ, text="row", key="wsgikit.db"):
    environ[key].execute(sa.text("INSERT INTO notes (text) VALUES (:text)"), {"text": text})


@pytest.mark.parametrize("kind", ["session", "connection"])
def test_hooks_of_the_commit_run_after_it_in_order_and_before_the_head(wrap, database, call, kind, caplog):
    """B61: one that fails is logged, the others run."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.on_commit(lambda: seen.append(("first", database.texts())))
        db.on_commit(lambda: 1 / 0)
        insert(environ)
        db.__wsgikit_open__().on_commit(lambda: seen.append("second"))
        db.on_rollback(lambda: seen.append("rolled back"))
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=database.url, kind=kind), on_start=lambda: seen.append("head"))
    assert seen == [("first", ["row"]), "second", "head"]
    assert "a function of on_commit() on 'default' failed" in caplog.text


def test_hooks_of_a_driver_connection_run_too(wrap, database, call):
    """B61"""
    seen = []

    def app(environ, start_response):
        environ["wsgikit.db"].on_commit(lambda: seen.append("committed"))
        environ["wsgikit.db"].cursor().close()
        start_response(environ["PATH_INFO"][1:] + " X", [])
        environ["wsgikit.db"].on_rollback(lambda: seen.append("rolled back"))
        return [b""]

    layer = wrap(app, connect=database.connect)
    call(layer, "/200")
    call(layer, "/500")
    assert seen == ["committed", "rolled back"]


def test_hooks_without_a_statement_follow_the_rule(wrap, sqlite, call):
    """B61"""
    seen = []

    def app(environ, start_response):
        environ["wsgikit.db"].on_commit(lambda: seen.append("committed"))
        environ["wsgikit.db"].on_rollback(lambda: seen.append("rolled back"))
        start_response(environ["PATH_INFO"][1:] + " X", [])
        return [b""]

    layer = wrap(app, url=sqlite.url)
    call(layer, "/200")
    call(layer, "/500")
    assert seen == ["committed", "rolled back"]
    assert layer.engine.pool.checkedin() == 0


def test_a_rollback_by_the_application_drops_what_waited_for_the_commit(wrap, sqlite, call):
    """B61"""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.on_commit(lambda: seen.append("mail for the lost row"))
        insert(environ, "lost")
        db.rollback()
        insert(environ, "kept")
        db.on_commit(lambda: seen.append("mail for the kept row"))
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=sqlite.url))
    assert seen == ["mail for the kept row"]
    assert sqlite.texts() == ["kept"]


@pytest.mark.parametrize(
    ("kind", "way"), [("session", "close"), ("session", "reset"), ("session", "invalidate"), ("connection", "close")]
)
def test_what_the_application_closes_without_a_commit_is_rolled_back(wrap, sqlite, call, kind, way):
    """``with db:`` closes at its end."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.on_commit(lambda: seen.append("committed"))
        db.on_rollback(lambda: seen.append("rolled back"))
        insert(environ, "lost")
        getattr(db, way)()
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=sqlite.url, kind=kind))
    assert seen == ["rolled back"]
    assert sqlite.texts() == []


@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
def test_a_commit_drops_what_waited_for_a_rollback(wrap, postgresql, call, kind):
    """B61: what a stream loses afterwards is another transaction."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.execute("SELECT 1" if kind == "driver" else sa.text("SELECT 1"))
        db.on_rollback(lambda: seen.append("the head's"))
        db.on_commit(lambda: seen.append("committed"))
        start_response("200 OK", [])

        def stream():
            yield b"1"
            db.on_rollback(lambda: seen.append("the stream's"))
            raise RuntimeError("broke off")

        return stream()

    options = {"connect": postgresql.connect} if kind == "driver" else {"url": postgresql.url, "kind": kind}
    with pytest.raises(RuntimeError):
        call(wrap(app, **options))
    assert seen == ["committed", "the stream's"]


def test_a_function_of_the_commit_may_write_in_a_transaction_of_its_own(wrap, database, call):
    """B61: as with Django's, what it does is committed, too."""

    def app(environ, start_response):
        insert(environ, "first")
        environ["wsgikit.db"].on_commit(lambda: insert(environ, f"after {database.texts()}"))
        start_response("200 OK", [])
        return [b""]

    layer = wrap(app, url=database.url)
    call(layer)
    assert database.texts() == ["first", "after ['first']"]
    assert layer.engine.pool.checkedout() == 0


def raise_in_a_block(db, environ):
    with contextlib.suppress(ValueError), db.begin():
        insert(environ)
        raise ValueError


def roll_back_by_the_transaction(db, environ):
    insert(environ)
    db.get_transaction().rollback()


@pytest.mark.parametrize("kind", ["session", "connection"])
@pytest.mark.parametrize("undo", [raise_in_a_block, roll_back_by_the_transaction])
@pytest.mark.parametrize("goes_on", [False, True])
def test_what_was_rolled_back_in_other_words_is_not_told_as_committed(wrap, database, call, kind, undo, goes_on):
    """B61: the end of a block that raised, or a transaction's own method; with more in the request, or none."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"].__wsgikit_open__()
        db.on_commit(lambda: seen.append("committed"))
        db.on_rollback(lambda: seen.append("rolled back"))
        undo(db, environ)
        if goes_on:
            insert(environ, "after")
            db.on_commit(lambda: seen.append("then committed"))
        start_response("200 OK", [])
        return [b""]

    call(wrap(app, url=database.url, kind=kind))
    assert seen == (["rolled back", "then committed"] if goes_on else ["rolled back"])
    assert database.texts() == (["after"] if goes_on else [])
