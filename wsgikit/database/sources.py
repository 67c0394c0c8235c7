"""From the options of a layer to the source of its connections. SQLAlchemy is loaded here, for those who use it."""

from __future__ import annotations

__all__ = ["CONNECT_TIMEOUT", "make_source"]

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wsgikit.database.dbapi import DbapiSource
from wsgikit.database.resets import Reset, check_reset
from wsgikit.exceptions import ConfigurationError, complaint, did_you_mean

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from wsgikit.database.alchemy import AlchemySource

CONNECT_TIMEOUT = 5.0  # seconds; longer than a server takes that is alive, shorter than a proxy waits for an answer
_POOL_TIMEOUT = 30.0  # seconds; SQLAlchemy's own default


def make_source(
    where: str,
    name: str,
    *,
    url: str | URL | None = None,
    engine: Engine | None = None,
    connect: Callable[[], Any] | None = None,
    kind: str,
    ping: bool,
    max_age_seconds: float | None,
    connect_timeout_seconds: float | None,
    statement_timeout_seconds: float | None,
    reset: Reset | None,
    session_options: Mapping[str, Any] | None,
    is_recorded: bool,
    is_replica: bool = False,
    engine_options: Mapping[str, Any],
    own_options: Iterable[str] = (),
) -> AlchemySource | DbapiSource:
    """Make what opens, commits and gives back.

    `own_options` are the names of the layer's own: one of the engine's that is unknown may be meant for them.

    Raises:
        ConfigurationError: options that don't go together, or a URL, driver or package that isn't there.
    """
    given = [word for word, value in (("url", url), ("engine", engine), ("connect", connect)) if value is not None]
    if len(given) != 1:
        raise ConfigurationError(
            complaint(where, "url, engine, connect", "exactly one of them", given, "Try url='sqlite:///app.db'")
        )
    check_reset(where, reset)
    if url is None and connect_timeout_seconds != CONNECT_TIMEOUT:
        _refuse(where, given[0], connect_timeout_seconds=connect_timeout_seconds)
    if connect is not None:
        _refuse(where, "connect", session_options=session_options, statement_timeout_seconds=statement_timeout_seconds)
        if kind != "session":
            raise ConfigurationError(complaint(where, "kind", "nothing beside connect=", kind, "Leave it out"))
        if is_recorded:
            raise ConfigurationError(
                f"{where}: max_queries, slow_query_seconds, record_queries: expected url= or engine=, got connect=. "
                "Leave them out: a driver's own connection doesn't tell its statements."
            )
        return _dbapi_source(where, name, connect, ping, max_age_seconds, reset, engine_options, own_options)
    if engine is not None:
        _refuse(
            where,
            "engine",
            max_age_seconds=max_age_seconds,
            statement_timeout_seconds=statement_timeout_seconds,
            reset=reset,
        )
        for option in engine_options:
            remedy = did_you_mean(option, own_options) or "Leave it out"
            raise ConfigurationError(
                complaint(where, option, "nothing beside engine=", "an option of create_engine", remedy)
            )
    try:
        from wsgikit.database import alchemy, engines  # SQLAlchemy is optional, and takes a tenth of a second to load
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("sqlalchemy"):
            raise
        raise ConfigurationError(
            f"{where}: url: expected SQLAlchemy to be installed, got no such package. "
            "Install it: pip install 'wsgikit[database]'."
        ) from error

    def make_engine(is_forked: bool) -> Engine:
        if engine is not None:
            return engines.adopt_engine(engine, is_forked)
        return engines.build_engine(
            where,
            url,  # type: ignore[arg-type]  # it is the one that was given
            ping=ping,
            max_age_seconds=max_age_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
            statement_timeout_seconds=statement_timeout_seconds,
            reset=reset,
            is_replica=is_replica,
            options=engine_options,
            own_options=own_options,
        )

    return alchemy.AlchemySource(name, make_engine, kind, session_options or {})


def _dbapi_source(
    where: str,
    name: str,
    connect: Callable[[], Any],
    ping: bool,
    max_age_seconds: float | None,
    reset: Reset | None,
    options: Mapping[str, Any],
    own_options: Iterable[str],
) -> DbapiSource:
    if not callable(connect):
        raise ConfigurationError(
            complaint(where, "connect", "a function that returns a new DB-API connection", connect, "Try a lambda")
        )
    known = {"pool_size": 0, "pool_timeout": _POOL_TIMEOUT}
    for option in options:
        if option not in known:
            remedy = did_you_mean(option, [*known, *own_options])
            raise ConfigurationError(
                complaint(where, option, f"one of {', '.join(known)} beside connect=", option, remedy)
            )
    try:
        pool_size, pool_timeout = int(options.get("pool_size", 0)), float(options.get("pool_timeout", _POOL_TIMEOUT))
    except ValueError as error:
        raise ConfigurationError(complaint(where, "pool_size, pool_timeout", "numbers", dict(options))) from error
    if pool_size < 0:
        raise ConfigurationError(complaint(where, "pool_size", "0 or more", pool_size))
    if reset is not None and not pool_size:
        remedy = "Leave it out: each request has a new connection"
        raise ConfigurationError(complaint(where, "reset", "pool_size= beside it", reset, remedy))
    return DbapiSource(
        name,
        connect,
        pool_size=pool_size,
        pool_timeout=pool_timeout,
        ping=ping,
        max_age_seconds=max_age_seconds,
        reset=reset,
    )


def _refuse(where: str, beside: str, **options: object) -> None:
    for option, value in options.items():
        if value is not None:
            raise ConfigurationError(complaint(where, option, f"nothing beside {beside}=", value, "Leave it out"))
