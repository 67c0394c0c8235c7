"""Transaction managers: `transaction`, zope.sqlalchemy, repoze.tm2, pyramid_tm, together with the layer."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
import transaction
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(sa.String(100))


@pytest.fixture
def legacy(database):
    """A session as older code has it: global, registered with zope.sqlalchemy."""
    from zope.sqlalchemy import register

    engine = sa.create_engine(database.url)
    sessions: scoped_session[Session] = scoped_session(sessionmaker(engine))
    register(sessions)
    yield sessions
    transaction.abort()
    sessions.remove()
    engine.dispose()


def view(legacy):
    def app(environ, start_response):
        path = environ["PATH_INFO"]
        legacy.add(Note(text="legacy"))
        legacy.flush()  # SQLite lets one write at a time
        if path != "/legacy-only":
            environ["wsgikit.db"].add(Note(text="new"))
        if path == "/raises":
            raise LookupError("view")
        start_response("400 Bad Request" if path == "/400" else "200 OK", [])
        return [b"x"]

    return app


@pytest.mark.parametrize(
    ("path", "texts"), [("/", {"legacy", "new"}), ("/400", set()), ("/raises", set()), ("/legacy-only", {"legacy"})]
)
def test_the_layer_drives_models_of_zope_sqlalchemy(wrap, database, legacy, call, path, texts):
    if database.name == "sqlite":
        path, texts = "/legacy-only", {"legacy"}  # one writer at a time, and these would be two connections
    layer = wrap(view(legacy), url=database.url, manager=True)
    seen = []
    if path == "/raises":
        with pytest.raises(LookupError):
            call(layer, path)
    else:
        call(layer, path, on_start=lambda: seen.append(set(database.texts())))
        assert seen == [texts]
    assert set(database.texts()) == texts
    assert layer.engine.pool.checkedout() == 0


def test_a_layer_inside_repoze_tm_leaves_the_transaction_to_it(wrap, postgresql, call):
    """B57"""
    from repoze.tm import TM

    def app(environ, start_response):
        environ["wsgikit.db"].add(Note(text=environ["PATH_INFO"]))
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/doomed":
            transaction.doom()
        return [b"x"]

    layer = wrap(app, url=postgresql.url, manager=True)
    for path in ("/kept", "/doomed"):
        list(call(TM(layer), path).body)
        assert layer.engine.pool.checkedout() == 0
    assert postgresql.texts() == ["/kept"]


def test_a_failing_response_inside_repoze_tm_dooms_its_transaction(wrap, postgresql, call):
    from repoze.tm import TM

    def app(environ, start_response):
        environ["wsgikit.db"].add(Note(text="lost"))
        start_response("500 Oops", [])
        return [b"x"]

    layer = wrap(app, url=postgresql.url, manager=True)
    call(TM(layer))
    assert postgresql.texts() == []
    assert layer.engine.pool.checkedout() == 0


def test_pyramid_tm_inside_the_layer_steps_back(wrap, postgresql, call):
    """B57: pyramid_tm looks for ``repoze.tm.active``."""
    from pyramid.config import Configurator
    from pyramid.response import Response

    seen = []

    def view(request):
        request.environ["wsgikit.db"].add(Note(text="row"))
        seen.append(request.environ["tm.manager"] is transaction.manager)
        return Response("x", status=request.params.get("status", 200))

    with Configurator() as config:
        config.include("pyramid_tm")
        config.add_route("all", "/")
        config.add_view(view, route_name="all")
        app = config.make_wsgi_app()
    layer = wrap(app, url=postgresql.url, manager=True)
    committed = []
    call(layer, on_start=lambda: committed.append(postgresql.texts()))
    assert committed == [["row"]]
    call(layer, QUERY_STRING="status=404")
    assert postgresql.texts() == ["row"]
    assert seen == [True, True]


class Refuses:
    """A data manager of something else, which can't commit."""

    transaction_manager = None

    def sortKey(self):
        return "a"

    def abort(self, txn):
        pass

    tpc_begin = commit = tpc_finish = tpc_abort = abort

    def tpc_vote(self, txn):
        raise ValueError("disk full")


def test_another_resource_that_refuses_rolls_the_database_back(wrap, postgresql, call):
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.add(Note(text="row"))
        db.on_commit(lambda: seen.append("committed"))
        db.on_rollback(lambda: seen.append("rolled back"))
        transaction.get().join(Refuses())
        start_response("200 OK", [])
        return [b"x"]

    layer = wrap(app, url=postgresql.url, manager=True)
    with pytest.raises(ValueError, match="disk full"):
        call(layer)
    assert (postgresql.texts(), seen) == ([], ["rolled back"])
    assert layer.engine.pool.checkedout() == 0


def test_hooks_run_when_all_have_committed(wrap, postgresql, call):
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.add(Note(text="row"))
        db.on_commit(lambda: seen.append(postgresql.texts()))
        start_response("200 OK", [])
        return [b"x"]

    call(wrap(app, url=postgresql.url, manager=True))
    assert seen == [["row"]]


def test_a_stream_under_a_manager_has_its_second_transaction(wrap, postgresql, call):
    def app(environ, start_response):
        environ["wsgikit.db"].add(Note(text="head"))
        start_response("200 OK", [])

        def stream():
            yield b"1"
            environ["wsgikit.db"].add(Note(text="stream"))
            environ["wsgikit.db"].flush()
            yield b"2"

        return stream()

    layer = wrap(app, url=postgresql.url, manager=True)
    call(layer, chunks=2)
    assert postgresql.texts() == ["head"]
    call(layer)
    assert postgresql.texts() == ["head", "head", "stream"]


def test_savepoints_of_the_manager_reach_the_session(wrap, postgresql, call):
    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.add(Note(text="kept"))
        db.flush()
        savepoint = transaction.savepoint()
        db.add(Note(text="undone"))
        db.flush()
        savepoint.rollback()
        start_response("200 OK", [])
        return [b"x"]

    call(wrap(app, url=postgresql.url, manager=True))
    assert postgresql.texts() == ["kept"]


def test_a_manager_of_the_requests_own_is_asked_for_by_a_function(wrap, postgresql, call):
    managers = []

    def make(environ):
        managers.append(transaction.TransactionManager(explicit=True))
        return managers[-1]

    def app(environ, start_response):
        environ["wsgikit.db"].add(Note(text="row"))
        assert environ["tm.manager"] is managers[-1]
        start_response("200 OK", [])
        return [b"x"]

    layer = wrap(app, url=postgresql.url, manager=make)
    call(layer)
    call(layer)
    assert len(managers) == 2
    assert postgresql.texts() == ["row", "row"]


def test_a_conflict_under_a_manager_is_repeated(wrap, postgresql, call):
    attempts = []

    def app(environ, start_response):
        attempts.append(1)
        db = environ["wsgikit.db"]
        db.execute(sa.text("SELECT count(*) FROM notes")).scalar()
        if len(attempts) == 1:
            other = sa.create_engine(postgresql.url, isolation_level="SERIALIZABLE", poolclass=sa.NullPool)
            with other.begin() as connection:
                connection.execute(sa.text("SELECT count(*) FROM notes")).scalar()
                connection.execute(sa.text("INSERT INTO notes (text) VALUES ('other')"))
        db.add(Note(text="mine"))
        start_response("200 OK", [])
        return [b"x"]

    options = {"isolation_level": "SERIALIZABLE", "retries": 1, "retry_backoff_seconds": 0}
    assert call(wrap(app, url=postgresql.url, manager=True, **options)).code == 200
    assert (attempts, postgresql.texts()) == ([1, 1], ["other", "mine"])


def test_what_is_no_manager_is_refused():
    with pytest.raises(ConfigurationError, match="manager: expected a transaction manager, a function of environ"):
        DatabaseMiddleware(view(None), url="sqlite://", manager=3)
