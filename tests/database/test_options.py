"""What the layer's options may be, and what is said, while it is built, of one that can't work."""

from __future__ import annotations

import operator

import pytest
import sqlalchemy as sa

from wsgikit.database import engines
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError


def app(environ, start_response):
    environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
    start_response("200 OK", [])
    return [b"x"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "url, engine, connect: expected exactly one of them, got []"),
        ({"url": "sqlite://", "connect": list}, "expected exactly one of them, got ['url', 'connect']"),
        ({"url": "sqlite://", "kind": "orm"}, "kind: expected 'session' or 'connection', got 'orm'"),
        ({"url": "sqlite://", "release": "now"}, "release: expected 'complete', 'response' or 'close', got 'now'"),
        ({"url": "sqlite://", "commit": "always"}, "commit: expected 'success', 'no-exception', 'manual'"),
        ({"url": "sqlite://", "name": "commit"}, "name: expected a name of the database, other than 'attempt'"),
        ({"url": "nonsense"}, "url: expected 'dialect+driver://user:password@host/database'"),
        ({"url": "nosuch://x"}, "url: expected a database that SQLAlchemy knows, got 'nosuch'"),
        ({"url": "postgresql+pg8000://x"}, "url: expected the driver 'pg8000' to be installed"),
        (
            {"url": "sqlite:///x", "pool_sise": 4},
            "engine options: Invalid argument(s) 'pool_sise' sent to create_engine(). Did you mean 'pool_size'?",
        ),
        (
            {"url": "sqlite:///x", "comit": "manual"},
            "Invalid argument(s) 'comit' sent to create_engine(). Did you mean 'commit'?",
        ),
        (
            {"url": "sqlite:///x", "zzz": 4},
            "'zzz' sent to create_engine(). Take it out, or see SQLAlchemy's create_engine.",
        ),
        (
            {"engine": sa.create_engine("sqlite://"), "comit": "manual"},
            "an option of create_engine'. Did you mean 'commit'?",
        ),
        (
            {"connect": list, "comit": "manual"},
            "comit: expected one of pool_size, pool_timeout beside connect=, got 'comit'. Did you mean 'commit'?",
        ),
        ({"url": "sqlite:///x", "echo": "maybe"}, "echo"),
        ({"url": "sqlite:///x", "poolclass": 1}, "poolclass: expected a class of sqlalchemy.pool, got 1."),
        (
            {"url": "sqlite:///x", "poolclass": "NullPool"},
            "poolclass: expected a class of sqlalchemy.pool, got 'NullPool'.",
        ),
        ({"url": "sqlite:///x", "execution_options": 3}, "engine options: "),
        (
            {"url": "sqlite:///x", "isolation_level": "SERIALISABLE"},
            "READ UNCOMMITTED, SERIALIZABLE, AUTOCOMMIT, got 'SERIALISABLE'. Did you mean 'SERIALIZABLE'?",
        ),
        (
            {"url": "postgresql+psycopg://x", "isolation_level": "repeatable"},
            "got 'repeatable'. Did you mean 'REPEATABLE READ'?",
        ),
        ({"url": "sqlite:///x", "isolation_level": 5}, "AUTOCOMMIT, got 5."),
        ({"url": "sqlite:///x", "commit": lambda: True}, "commit: expected a function of the exchange, got <function"),
        ({"url": "sqlite:///x", "commit": lambda exchange, more: True}, "Give it one parameter."),
        (
            {"url": "sqlite:///x", "exclude_paths": "static"},
            "exclude_paths: expected paths that begin with a slash, got 'static'. Try '/static'.",
        ),
        (
            {"url": "sqlite:///x", "exclude_paths": ["/static/", ""]},
            "exclude_paths: expected paths that begin with a slash, got ''. Try '/'.",
        ),
        ({"url": "sqlite:///x", "exclude_paths": [3]}, "exclude_paths: expected paths that begin with a slash, got 3."),
        (
            {"url": "sqlite:///x", "retries": 1, "retry_methods": "GET, POST"},
            "retry_methods: expected names of methods, got 'GET, POST'. Try ['GET', 'POST'].",
        ),
        (
            {"url": "sqlite:///x", "retry_methods": [3]},
            "retry_methods: expected names of methods, got 3.",
        ),
        (
            {"url": "sqlite:///x", "replica_url": "sqlite:///y"},
            "secret_key: expected one beside replica_url=, got none.",
        ),
        (
            {"url": "sqlite:///x", "replica_url": "sqlite:///y", "secret_key": "short"},
            "secret_key: expected at least 16 bytes, got 5.",
        ),
        (
            {
                "url": "sqlite:///x",
                "replica_url": "sqlite:///y",
                "secret_key": ["k0123456789abcde", "change-me-change-me"],
            },
            "secret_key[1]: expected a secret, got a placeholder: it contains 'changeme'.",
        ),
        ({"url": "sqlite:///x", "pool_size": "many"}, "pool_size: expected a number, or true or false, got 'many'"),
        ({"url": "sqlite:///x", "statement_timeout_seconds": 3}, "statement_timeout_seconds: expected PostgreSQL"),
        ({"connect": 3}, "connect: expected a function that returns a new DB-API connection, got 3"),
        ({"connect": list, "kind": "connection"}, "kind: expected nothing beside connect=, got 'connection'"),
        ({"connect": list, "pool_sise": 3}, "Did you mean 'pool_size'"),
        ({"connect": list, "max_queries": 3}, "a driver's own connection doesn't tell its statements"),
        ({"engine": sa.create_engine("sqlite://"), "pool_size": 3}, "pool_size: expected nothing beside engine="),
        ({"engine": sa.create_engine("sqlite://"), "max_age_seconds": 3}, "max_age_seconds: expected nothing beside"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_can_not_work_are_refused_while_building(options, text):
    with pytest.raises(ConfigurationError) as refused:
        DatabaseMiddleware(app, **options)
    assert text in str(refused.value)


def test_a_password_is_in_no_error(caplog):
    with pytest.raises(ConfigurationError) as refused:
        DatabaseMiddleware(app, url="postgresql+nosuch://me:hunter2@host/db")
    assert "hunter2" not in str(refused.value)


def test_options_as_an_ini_file_has_them_are_understood(wrap):
    layer = wrap(app, url="sqlite:///x", pool_size="7", echo="false", pool_timeout="3")
    assert layer.engine.pool.size() == 7
    assert layer.engine.echo is False


def test_a_missing_sqlalchemy_names_the_extra(monkeypatch):
    import sys

    for name in list(sys.modules):
        if name.startswith("wsgikit.database.") and name.rpartition(".")[2] in ("alchemy", "engines"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    import wsgikit.database as package

    monkeypatch.delattr(package, "alchemy")
    monkeypatch.delattr(package, "engines")
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgikit\[database\]'"):
        DatabaseMiddleware(app, url="sqlite://")


def test_importing_the_layer_does_not_import_sqlalchemy():
    import subprocess
    import sys

    code = "import wsgikit.database.middleware, sys; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("level", ["serializable", "READ_UNCOMMITTED", "AUTOCOMMIT", None])
def test_isolation_levels_are_known_as_sqlalchemy_knows_them(wrap, sqlite, call, level):
    assert call(wrap(app, url=sqlite.url, isolation_level=level)).code == 200


def test_a_level_that_only_the_server_could_tell_is_left_to_it(monkeypatch):
    def ask(self, connection):
        return connection.ask()

    monkeypatch.setattr("sqlalchemy.dialects.sqlite.pysqlite.SQLiteDialect_pysqlite.get_isolation_level_values", ask)
    layer = DatabaseMiddleware(app, url="sqlite:///x", isolation_level="SNAPSHOT")
    assert layer.engine.dialect._on_connect_isolation_level == "SNAPSHOT"


@pytest.mark.parametrize(
    "commit", [lambda exchange: True, lambda *exchange: True, bool, operator.truth], ids=["one", "any", "class", "C"]
)
def test_whatever_takes_the_exchange_is_a_rule(wrap, sqlite, call, commit):
    call(wrap(app, url=sqlite.url, commit=commit))
    assert sqlite.texts() == ["row"]


@pytest.mark.parametrize("methods", ["POST", "post", ["post"], ("GET", "VERSION-CONTROL", "POST")])
def test_methods_are_repeated_also_where_one_is_given_as_a_text(wrap, sqlite, call, methods):
    other = sqlite.connect()
    other.execute("BEGIN IMMEDIATE")
    attempts = []

    def tries(environ, start_response):
        attempts.append(1)
        if len(attempts) == 2:
            other.rollback()
        return app(environ, start_response)

    options = {"retry_methods": methods, "retries": 1, "retry_backoff_seconds": 0, "connect_args": {"timeout": 0}}
    assert call(wrap(tries, url=sqlite.url, **options), method="POST").code == 200
    other.close()
    assert len(attempts) == 2


def test_a_path_given_as_a_text_is_one_path(wrap, sqlite, call):
    layer = wrap(app, url=sqlite.url, exclude_paths="/static")
    assert call(layer, "/s").code == 200
    with pytest.raises(RuntimeError, match="exclude_paths= names"):
        call(layer, "/static/x")


DRIVERS = {
    ("mysql://x", "pymysql"): "Write mysql+pymysql://, whose driver is installed.",
    ("mysql://x", ""): "Write mysql+pymysql://, and install it: pip install 'wsgikit[mariadb]'.",
    ("mysql+pymysql://x", ""): "Install it: pip install 'wsgikit[mariadb]'.",
    ("postgresql+psycopg2://x", "psycopg"): "Write postgresql+psycopg://, whose driver is installed.",
    ("postgresql+psycopg2://x", ""): "Write postgresql+psycopg://, and install it: pip install 'wsgikit[postgresql]'.",
    ("postgresql+psycopg://x", ""): "Install it: pip install 'wsgikit[postgresql]'.",
    ("postgresql+pg8000://x", "psycopg"): "Install the package that has it, mostly: pip install pg8000.",
}


@pytest.mark.parametrize(("url", "installed"), DRIVERS)
def test_a_missing_driver_is_told_with_what_would_work(monkeypatch, url, installed):
    missing = {"mysql": "MySQLdb"}.get(url.partition(":")[0]) or url.partition(":")[0].partition("+")[2]

    def create(*args, **options):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr(engines.sqlalchemy, "create_engine", create)
    monkeypatch.setattr(engines, "find_spec", lambda name: name if name == installed else None)
    with pytest.raises(ConfigurationError) as refused:
        DatabaseMiddleware(app, url=url)
    assert f"url: expected the driver {missing!r} to be installed" in str(refused.value)
    assert str(refused.value).endswith(DRIVERS[url, installed])


@pytest.mark.parametrize(("options", "is_shown"), [({}, False), ({"hide_parameters": False}, True)])
@pytest.mark.parametrize("kind", ["session", "connection"])
def test_parameters_of_a_failed_statement_stay_out_of_its_error(wrap, sqlite, call, kind, options, is_shown):
    """They may be passwords, and errors go into logs."""

    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO missing VALUES (:password)"), {"password": "hunter2"})

    with pytest.raises(sa.exc.OperationalError) as caught:
        call(wrap(app, url=sqlite.url, kind=kind, **options))
    assert ("hunter2" in str(caught.value)) is is_shown
