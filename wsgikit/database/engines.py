"""SQLAlchemy engines as this toolkit wants them: real transactions on SQLite, pings, limits set on the server."""

from __future__ import annotations

__all__ = ["BEGIN_WORDS", "WRITING_BEGIN", "adopt_engine", "build_engine"]

import re
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Engine, event, exc
from sqlalchemy.pool import Pool, QueuePool

from wsgikit.database.resets import Reset, reset_connection
from wsgikit.database.timeouts import STATEMENT_TIMEOUT, bound_answers, connect_arguments
from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean

WRITING_BEGIN = "wsgikit_begin"
"""The execution option of an engine with the words that begin the transaction of a request when it first writes."""
BEGIN_WORDS = "wsgikit_begin_words"
"""In the ``info`` of a driver's connection: the words of the next BEGIN, in place of ``BEGIN``; none if it is empty."""

# By the module that is missing: the extra that brings it.
_EXTRAS = {"psycopg": "postgresql", "pymysql": "mariadb"}
# By the module of a dialect's first driver: the one that an extra of ours brings, and how a URL asks for it.
_BETTER = {"psycopg2": ("psycopg", "postgresql+psycopg://"), "MySQLdb": ("pymysql", "mysql+pymysql://")}
# Of those that create_engine knows, for who misspells one.
_COMMON = (
    *("connect_args", "creator", "echo", "execution_options", "hide_parameters", "isolation_level", "max_overflow"),
    *("pool_size", "pool_timeout", "poolclass"),
)


def build_engine(
    where: str,
    url: str | URL,
    *,
    ping: bool,
    max_age_seconds: float | None,
    connect_timeout_seconds: float | None,
    statement_timeout_seconds: float | None,
    reset: Reset | None,
    is_replica: bool,
    options: Mapping[str, Any],
    own_options: Iterable[str] = (),
) -> Engine:
    """Make an engine; nothing is connected.

    Args:
        where: begins the text of errors.
        url: SQLAlchemy's.
        ping: whether each connection is asked for a sign of life when it leaves the pool.
        max_age_seconds: after how long a connection is replaced.
        connect_timeout_seconds: how long to wait for a connection, and for the answer to a ping.
        statement_timeout_seconds: when the server should give a statement up.
        reset: what puts back what the server keeps of a connection when it goes back to the pool.
        is_replica: whether the server should refuse to write.
        options: for `sqlalchemy.create_engine`; texts, as an ini file has them, become what it wants.
        own_options: names of the layer's own, one of which may be meant by an unknown one.

    Raises:
        ConfigurationError: a URL, a driver or an option that can't work.
    """
    parsed = _parse(where, url)
    try:
        dialect = parsed.get_dialect()
    except exc.NoSuchModuleError as error:
        name = parsed.drivername
        raise ConfigurationError(
            complaint(
                where, "url", "a database that SQLAlchemy knows", name, "Try postgresql+psycopg, mysql+pymysql, sqlite"
            )
        ) from error
    kind = dialect.name
    poolclass = options.get("poolclass", QueuePool)
    if poolclass is not None and not (isinstance(poolclass, type) and issubclass(poolclass, Pool)):
        raise ConfigurationError(complaint(where, "poolclass", "a class of sqlalchemy.pool", poolclass))
    settings: dict[str, Any] = {
        "pool_pre_ping": ping and kind != "sqlite",
        "hide_parameters": True,  # errors go into logs, and parameters may be passwords
        **_typed(where, options, dialect),
    }
    if max_age_seconds is not None:
        settings["pool_recycle"] = max_age_seconds
    settings["connect_args"] = {
        **connect_arguments(dialect.driver, parsed, connect_timeout_seconds),
        **settings.get("connect_args", {}),
    }
    if kind == "sqlite" and _is_memory(parsed):
        # A database in memory is one connection: requests take turns on it.
        settings = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0, **settings}
        settings.pop("pool_recycle", None)  # a new connection would be a new, empty database
        settings["connect_args"] = {"check_same_thread": False, **settings["connect_args"]}
    try:
        engine = sqlalchemy.create_engine(parsed, **settings)
    except ModuleNotFoundError as error:
        remedy = _install(error.name or "")
        raise ConfigurationError(
            complaint(where, "url", f"the driver {error.name!r} to be installed", parsed.drivername, remedy)
        ) from error
    except (TypeError, AttributeError, KeyError, exc.ArgumentError) as error:
        text = str(error).partition(", using configuration")[0]
        meant = (did_you_mean(name, (*own_options, *_COMMON)) for name in re.findall(r"'(\w+)'", text))
        remedy = next(filter(None, meant), "Take it out, or see SQLAlchemy's create_engine.")
        raise ConfigurationError(f"{where}: engine options: {text}. {remedy}") from error
    _check_isolation_level(where, engine, settings.get("isolation_level"))
    statements = _session_statements(where, kind, statement_timeout_seconds, is_replica)
    if statements:
        event.listen(engine, "connect", _run_on_connect(statements))
    if statement_timeout_seconds is not None:
        engine.update_execution_options(**{STATEMENT_TIMEOUT: statement_timeout_seconds})
    if connect_timeout_seconds is not None:
        bound_answers(engine, connect_timeout_seconds, statement_timeout_seconds)
    if reset is not None:
        event.listen(engine, "reset", _run_on_reset(reset, statements))
    if kind == "sqlite" and settings.get("isolation_level") is None:
        _begin_for_real(engine)
        if not is_replica:
            engine.update_execution_options(**{WRITING_BEGIN: "BEGIN IMMEDIATE"})
    return engine


def adopt_engine(engine: Engine, is_forked: bool) -> Engine:
    """Take the user's engine; in a process that was forked since, without the connections of its parent."""
    if is_forked:
        engine.dispose(close=False)
    return engine


def _parse(where: str, url: str | URL) -> URL:
    try:
        return sqlalchemy.make_url(url)
    except (exc.ArgumentError, ValueError) as error:
        # The text may hold a password: it is not shown.
        raise ConfigurationError(
            f"{where}: url: expected 'dialect+driver://user:password@host/database', got a text of another form. "
            "Try 'sqlite:///app.db'."
        ) from error


def _typed(where: str, options: Mapping[str, Any], dialect: Any) -> dict[str, Any]:
    types: Mapping[str, Callable[[str], Any]] = dialect.engine_config_types
    typed = {}
    for name, value in options.items():
        try:
            typed[name] = types[name](value) if isinstance(value, str) and name in types else value
        except ValueError as error:
            raise ConfigurationError(complaint(where, name, "a number, or true or false", value)) from error
    return typed


def _is_memory(url: URL) -> bool:
    return not url.database or url.database == ":memory:" or url.query.get("mode") == "memory"


def _check_isolation_level(where: str, engine: Engine, level: Any) -> None:
    """Raise if a level isn't one of the database's: SQLAlchemy would tell the first visitor."""
    if level is None:
        return
    try:
        known = list(engine.dialect.get_isolation_level_values(None))  # type: ignore[arg-type]  # few look at it
    except (NotImplementedError, AttributeError, TypeError):
        return  # a dialect that has to ask the server
    if not isinstance(level, str) or level.replace("_", " ").upper() not in known:
        remedy = did_you_mean(level.upper(), known) if isinstance(level, str) else ""
        raise ConfigurationError(complaint(where, "isolation_level", f"one of {', '.join(known)}", level, remedy))


def _install(module: str) -> str:
    """Say how to get a driver: by the extra that brings it, or another that does the same."""
    better, url = _BETTER.get(module, (module, ""))
    extra = _EXTRAS.get(better)
    if not extra:
        return f"Install the package that has it, mostly: pip install {module}"
    if url and find_spec(better) is not None:
        return f"Write {url}, whose driver is installed"
    command = f"pip install 'wsgikit[{extra}]'"
    return f"Write {url}, and install it: {command}" if url else f"Install it: {command}"


def _session_statements(where: str, kind: str, timeout: float | None, is_replica: bool) -> list[str]:
    """Return what a new connection is told before its first use."""
    statements = []
    if timeout is not None:
        if kind == "postgresql":
            statements.append(f"SET SESSION statement_timeout = {int(timeout * 1000)}")
        elif kind in ("mysql", "mariadb"):
            statements.append(f"SET SESSION max_statement_time = {timeout}")
        else:
            raise ConfigurationError(
                complaint(where, "statement_timeout_seconds", "PostgreSQL or MariaDB", kind, "Leave it out")
            )
    if is_replica:
        words = {
            "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "mysql": "SET SESSION TRANSACTION READ ONLY",
            "mariadb": "SET SESSION TRANSACTION READ ONLY",
            "sqlite": "PRAGMA query_only = ON",
        }
        if kind in words:
            statements.append(words[kind])
    return statements


def _run_on_connect(statements: list[str]) -> Callable[[Any, Any], None]:
    def run(dbapi_connection: Any, _record: Any) -> None:
        if not statements:
            return
        cursor = dbapi_connection.cursor()
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        dbapi_connection.commit()  # psycopg has begun a transaction; a rollback would undo the setting

    return run


def _run_on_reset(reset: Reset, statements: list[str]) -> Callable[[Any, Any, Any], None]:
    set_up = _run_on_connect(statements)

    def run(dbapi_connection: Any, record: Any, state: Any) -> None:
        if not state.terminate_only:  # else it is about to be closed
            dbapi_connection.rollback()
            reset_connection(dbapi_connection, reset)
            set_up(dbapi_connection, record)  # DISCARD ALL has undone it

    return run


def _begin_for_real(engine: Engine) -> None:
    """Make SQLite's transactions begin when SQLAlchemy says so, not with the first INSERT, UPDATE or DELETE.

    sqlite3 by itself commits before DDL and begins nothing before a savepoint. This is the recipe of SQLAlchemy's
    manual, on the dialect, which costs a third of its events. A request says by `BEGIN_WORDS` how to begin.
    """

    def take_over(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = None

    def begin(dbapi_connection: Any) -> None:
        words = dbapi_connection.info.pop(BEGIN_WORDS, "BEGIN")
        if words:
            dbapi_connection.dbapi_connection.execute(words)

    event.listen(engine, "connect", take_over)
    engine.dialect.do_begin = begin  # type: ignore[method-assign]  # each engine has its own dialect
