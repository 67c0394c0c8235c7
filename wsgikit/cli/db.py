"""``wsgikit db``: whether the databases of an onion answer, and how their pools stand."""

from __future__ import annotations

__all__ = ["group"]

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from wsgikit.cli import PROBLEM
from wsgikit.cli.target import load_target, with_settings
from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.stack import Stack

# How each server says who is connected to the database that one is in oneself.
_CONNECTIONS = {
    "postgresql": "SELECT coalesce(state, 'background'), count(*), max(extract(epoch FROM now() - state_change))"
    " FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1 ORDER BY 1",
    "mysql": "SELECT lower(command), count(*), max(time) FROM information_schema.processlist"
    " WHERE db = database() AND id <> connection_id() GROUP BY 1 ORDER BY 1",
}
_CONNECTIONS["mariadb"] = _CONNECTIONS["mysql"]


@click.group("db")
def group() -> None:
    """Look after the databases of TARGET: an ini file, module:app, or the URL of a database."""


@group.command("ping")
@click.argument("target")
@with_settings
def ping(target: str, settings: dict[str, str]) -> None:
    """Ask each database of TARGET for a sign of life. The exit status is 1 if one gives none."""
    failed = 0
    with _sources(target, settings) as sources:
        for source in sources:
            place = source.describe()
            try:
                seconds = source.ping()
            except Exception as error:  # noqa: BLE001 - each driver has its own errors, and any of them is the answer
                failed += 1
                click.echo(f"{source.name}: {place.get('url', place['driver'])}: no answer: {_first_line(error)}")
            else:
                click.echo(f"{source.name}: {place.get('url', place['driver'])}: answered in {seconds * 1000:.1f} ms")
    if failed:
        raise SystemExit(PROBLEM)


@group.command("pool")
@click.argument("target")
@with_settings
def pool(target: str, settings: dict[str, str]) -> None:
    """Show the pool of each database of TARGET, and who is connected to it, by what the server says.

    The exit status is 1 if one doesn't answer.
    """
    failed = 0
    with _sources(target, settings) as sources:
        for source in sources:
            facts = source.describe()
            click.echo(f"{source.name}: {facts.get('url', facts['driver'])}")
            click.echo(f"  driver       {facts['driver']}")
            size = f", {facts['size']} connections per process" if facts.get("size") else ""
            click.echo(f"  pool         {facts['pool']}{size}")
            try:
                connections = _connections(source)
            except Exception as error:  # noqa: BLE001 - as above
                failed += 1
                click.echo(f"  connections  no answer: {_first_line(error)}")
                continue
            for state, count, age in connections:
                since = f", for {float(age):.0f} s at the longest" if age is not None else ""
                click.echo(f"  connections  {count} {state}{since}")
    if failed:
        raise SystemExit(PROBLEM)


@contextmanager
def _sources(target: str, settings: dict[str, str]) -> Iterator[list[Any]]:
    """Give what the databases of a target are connected to by, and close it at the end."""
    stack = Stack.around(DatabaseMiddleware(_no_app, url=target)) if "://" in target else load_target(target, settings)
    with stack:
        layers = [layer for layer in stack.layers if isinstance(layer, DatabaseMiddleware)]
        if not layers:
            raise ConfigurationError(
                f"{target}: layers: expected a DatabaseMiddleware among them, got none. Add one, or name a URL."
            )
        yield [source for layer in layers for source in (layer.source, layer.replica) if source is not None]


def _connections(source: Any) -> list[tuple[str, int, Any]]:
    engine = getattr(source, "engine", None)
    statement = _CONNECTIONS.get(engine.dialect.name) if engine is not None else None
    if engine is None or statement is None:
        return []
    with engine.connect() as connection:
        return [(str(state), int(count), age) for state, count, age in connection.exec_driver_sql(statement)]


def _first_line(error: Exception) -> str:
    """Return what an error says on one line; SQLAlchemy adds a link to each."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _no_app(environ: object, start_response: object) -> NoReturn:
    raise AssertionError("this command answers no request")
