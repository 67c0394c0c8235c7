"""Transaction managers: `transaction`, zope.sqlalchemy, repoze.tm2, pyramid_tm, together with the layer."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
import transaction
from repoze.tm import TM
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.stack import build_stack, use

MANAGERS = {"of the thread": True, "of the request": lambda environ: transaction.TransactionManager(explicit=True)}


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
    """B57: what it decides after the layer has ended is what counts; the session is given back then."""
    kept = []

    def app(environ, start_response):
        kept.append(environ["wsgikit.db"].__wsgikit_open__())  # so that the garbage collector gives nothing back
        environ["wsgikit.db"].add(Note(text=environ["PATH_INFO"]))
        environ["wsgikit.db"].flush()
        start_response("200 OK", [("X-Path", environ["PATH_INFO"])])
        if environ["PATH_INFO"] == "/doomed":
            transaction.doom()
        return [b"x"]

    def veto(environ, status, headers):
        assert postgresql.texts() == ["/kept"][: len(kept) - 1]
        return dict(headers)["X-Path"] == "/vetoed"

    layer = wrap(app, url=postgresql.url, manager=True)
    for path in ("/kept", "/doomed", "/vetoed"):
        call(TM(layer, veto), path)
        assert layer.engine.pool.checkedout() == 0
    assert postgresql.texts() == ["/kept"]


def test_a_failing_response_inside_repoze_tm_dooms_its_transaction(wrap, postgresql, call):
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


@pytest.mark.parametrize("is_written", [True, False], ids=["after a write", "without a statement"])
def test_a_doomed_transaction_is_aborted_and_the_response_goes_out(wrap, database, call, is_written):
    """B57: so do repoze.tm2 and pyramid_tm; ``request.tm.doom()`` is how their users say that nothing should stay."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.on_commit(lambda: seen.append("committed"))
        db.on_rollback(lambda: seen.append("rolled back"))
        if is_written:
            db.add(Note(text="row"))
        environ["tm.manager"].doom()
        start_response("200 OK", [])
        return [b"x"]

    layer = wrap(app, url=database.url, manager=True)
    assert call(layer).code == 200
    assert (database.texts(), seen) == ([], ["rolled back"])
    assert layer.engine.pool.checkedout() == 0


@pytest.mark.parametrize("around", [lambda app: app, lambda app: TM(app)], ids=["by itself", "inside repoze.tm2"])
@pytest.mark.parametrize(
    ("path", "expected"), [("/200", "committed"), ("/500", "rolled back"), ("/doomed", "rolled back")]
)
def test_functions_that_wait_for_the_end_need_no_statement(wrap, sqlite, call, around, path, expected):
    """B61: a mail can wait for a commit in which only another resource takes part."""
    seen = []

    def app(environ, start_response):
        environ["wsgikit.db"].on_commit(lambda: seen.append("committed"))
        environ["wsgikit.db"].on_rollback(lambda: seen.append("rolled back"))
        start_response("500 Oops" if path == "/500" else "200 OK", [])
        if path == "/doomed":
            transaction.doom()
        return [b"x"]

    layer = wrap(app, url=sqlite.url, manager=True)
    call(around(layer), path)
    assert seen == [expected]
    assert layer.engine.pool.checkedin() == 0


COMMANDS = {"/ok": 200, "/found": 302, "/bad": 400, "/doomed": 200, "/stream": 200}


@pytest.fixture
def starter(database):
    """An application as Pyramid's cookiecutter makes it: pyramid_tm, zope.sqlalchemy, a manager for each request."""
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPFound
    from pyramid.response import Response
    from zope.sqlalchemy import register

    engine = sa.create_engine(database.url)
    factory = sessionmaker(engine)

    def get_tm_session(request):
        session = factory(info={"request": request})
        register(session, transaction_manager=request.tm)
        return session

    def view(request):
        request.dbsession.add(Note(text=request.path))
        match request.path:
            case "/found":
                raise HTTPFound("/")
            case "/doomed":
                request.tm.doom()
            case "/raises":
                raise LookupError("view")
            case "/stream":
                return Response(app_iter=iter([b"1", b"2"]))
        return Response("x", status=COMMANDS[request.path])

    with Configurator(settings={"tm.manager_hook": "pyramid_tm.explicit_manager"}) as config:
        config.include("pyramid_tm")
        config.add_request_method(get_tm_session, "dbsession", reify=True)
        config.add_route("all", "/{way}")
        config.add_view(view, route_name="all")
        yield config.make_wsgi_app(), engine
    engine.dispose()


@pytest.mark.parametrize("manager", MANAGERS)
def test_an_application_of_pyramids_cookiecutter_runs_as_it_is(wrap, database, starter, call, manager):
    """B57: ``request.tm`` is the layer's manager, and ``request.dbsession`` joins it; on each database."""
    app, engine = starter
    layer = wrap(app, url=database.url, manager=MANAGERS[manager])
    for path, code in COMMANDS.items():
        committed = []
        assert call(layer, path, on_start=lambda: committed.append(database.texts())).code == code
        kept = [path] if path in ("/ok", "/found", "/stream") else []
        assert (path, committed[-1:], database.texts()) == (path, [kept], kept)
        database.clear()
    with pytest.raises(LookupError):
        call(layer, "/raises")
    assert database.texts() == []
    assert (engine.pool.checkedout(), layer.engine.pool.checkedout()) == (0, 0)


class Refuses:
    """A data manager of something else, which can't commit."""

    transaction_manager = None

    def __init__(self, place="a"):
        self._place = place

    def sortKey(self):
        return self._place

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


def test_hooks_are_not_called_where_one_that_commits_later_refuses(wrap, postgresql, call):
    """The database commits as late as it may, and another may come later still: nobody is told that all is well."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.add(Note(text="row"))
        db.on_commit(lambda: seen.append("committed"))
        transaction.get().join(Refuses("~~"))
        start_response("200 OK", [])
        return [b"x"]

    with pytest.raises(ValueError, match="disk full"):
        call(wrap(app, url=postgresql.url, manager=True))
    assert seen == []


def test_what_can_not_be_flushed_keeps_others_from_committing(wrap, postgresql, call):
    """Objects that wait for a flush are written before anybody votes."""
    votes = []

    class Votes(Refuses):
        def tpc_vote(self, txn):
            votes.append(1)

    def app(environ, start_response):
        environ["wsgikit.db"].add(Note(text=None))
        transaction.get().join(Votes())
        start_response("200 OK", [])
        return [b"x"]

    with pytest.raises(sa.exc.IntegrityError):
        call(wrap(app, url=postgresql.url, manager=True))
    assert votes == []


def test_the_manager_is_told_what_may_be_repeated(wrap, postgresql, call):
    """pyramid_retry asks it: ``transaction.isRetryableError(error)``."""
    seen = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        for code in ("40001", "23505"):
            try:
                with db.begin_nested():
                    db.execute(sa.text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"))
            except sa.exc.DBAPIError as error:
                seen.append(environ["tm.manager"].get().isRetryableError(error))
        start_response("200 OK", [])
        return [b"x"]

    call(wrap(app, url=postgresql.url, manager=True))
    assert seen == [True, False]


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


def test_a_stream_that_ends_on_another_thread_ends_the_transaction_it_began(wrap, postgresql, call, environ_of):
    """D10: `transaction.manager` is another one in each thread."""

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("SELECT 1"))
        start_response("200 OK", [])

        def stream():
            yield b"1"
            environ["wsgikit.db"].add(Note(text="stream"))
            yield b"2"

        return stream()

    layer = wrap(app, url=postgresql.url, manager=True)
    body = layer(environ_of(), lambda *_: None)
    assert next(body) == b"1"

    def finish():
        list(body)
        body.close()

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    assert postgresql.texts() == ["stream"]
    assert layer.engine.pool.checkedout() == 0


def test_the_marks_for_layers_inside_are_gone_when_the_request_has_ended(wrap, sqlite, environ_of):
    """B57: an environ that is used again would otherwise be left to a driver that isn't there."""

    def app(environ, start_response):
        assert environ["repoze.tm.active"]
        assert environ["tm.active"]
        environ["wsgikit.db"].add(Note(text="row"))
        start_response("200 OK", [])
        return [b"x"]

    layer = wrap(app, url=sqlite.url, manager=True)
    environ = environ_of()
    for _ in range(2):
        layer(environ, lambda *_: None)
        assert not [key for key in environ if "tm." in key]
        assert transaction.manager.manager._txn is None  # nothing for the thread's next request
    assert sqlite.texts() == ["row", "row"]


@pytest.mark.parametrize("fails", ["view", "commit", "another resource"])
@pytest.mark.parametrize("manager", MANAGERS)
def test_an_error_page_reads_under_a_manager_too(layers, postgresql, call, manager, fails):
    """D6: a manager in explicit mode has no transaction if nobody has begun one."""
    postgresql.run("DROP TABLE IF EXISTS once", "CREATE TABLE once (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)")

    class Page(Middleware):
        def handle_exception(self, exchange, error):
            count = exchange.environ["wsgikit.db"].execute(sa.text("SELECT count(*) FROM notes")).scalar()
            return exchange.reply(500, f"{type(error).__name__}: {count} notes")

    def app(environ, start_response):
        environ["wsgikit.db"].add(Note(text="row"))
        if fails == "view":
            raise LookupError
        if fails == "commit":
            environ["wsgikit.db"].execute(sa.text("INSERT INTO once VALUES (1), (1)"))
        else:
            environ["tm.manager"].get().join(Refuses())
        start_response("200 OK", [])
        return [b"x"]

    options = {"manager": MANAGERS[manager], "pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    stack = build_stack(app, Page, use(DatabaseMiddleware, url=postgresql.url, **options))
    layers.append(stack)
    name = {"view": "LookupError", "commit": "IntegrityError", "another resource": "ValueError"}[fails]
    for _ in range(2):
        assert call(stack).body == f"{name}: 0 notes".encode()
    assert stack.find(DatabaseMiddleware).engine.pool.checkedout() == 0


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize(
    ("flag", "texts", "expected"), [(None, [], "rolled back"), (True, ["stream"], "committed")], ids=["lost", "kept"]
)
def test_a_stream_after_a_head_that_was_rolled_back_has_its_own_transaction(
    wrap, postgresql, call, manager, flag, texts, expected
):
    """B50: it is the manager's, too, and those who wait for its end are told."""
    seen = []

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        handle.add(Note(text="head"))
        handle.flush()
        start_response("404 Not Found", [])

        def stream():
            yield b"1"
            environ["wsgikit.db.commit"] = flag
            handle.on_commit(lambda: seen.append("committed"))
            handle.on_rollback(lambda: seen.append("rolled back"))
            handle.add(Note(text="stream"))
            handle.flush()
            yield b"2"

        return stream()

    layer = wrap(app, url=postgresql.url, manager=MANAGERS[manager])
    call(layer)
    assert (postgresql.texts(), seen) == (texts, [expected])
    assert layer.engine.pool.checkedout() == 0


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
