"""``wsgikit sessions``: what is in the store, and what to do with it."""

from __future__ import annotations

__all__ = ["group"]

import datetime as dates
import pprint
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.backends import read_record
from wsgikit.sessions.errors import UnsupportedByStore
from wsgikit.sessions.manager import SessionManager
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores import SessionStore, open_store, store_key

_KEY = re.compile(r"[0-9a-f]{64}")  # a SHA-256: what stands in the store


class Place(NamedTuple):
    """Where sessions are: a store, with the layer's manager if TARGET has the layer."""

    store: SessionStore | None
    manager: SessionManager | None


@click.group("sessions")
def group() -> None:
    """Look after the sessions of TARGET: an ini file, module:app, or the URL of a store.

    ID is a session's id, the value of its cookie, or the key it has in the store (64 hexadecimal digits).
    """


@group.command("sweep")
@click.argument("target")
@click.option(
    "--batch", type=click.IntRange(min=1), default=1000, show_default=True, help="How many to remove at once."
)
@click.option("--limit", type=click.IntRange(min=1), help="How many to remove at most.  [default: all]")
@with_settings
def sweep(target: str, settings: dict[str, str], batch: int, limit: int | None) -> None:
    """Remove the expired sessions of TARGET, in batches. Made for cron."""
    with _places(target, settings) as places:
        for place in places:
            if place.store is None:
                click.echo("Sessions are in cookies: there is nothing to sweep.")
                continue
            removed = 0
            while limit is None or removed < limit:
                size = batch if limit is None else min(batch, limit - removed)
                count = place.store.sweep(size)
                removed += count
                if count < size:
                    break
            click.echo(f"{place.store!r}: {removed} removed.")


@group.command("count")
@click.argument("target")
@with_settings
def count(target: str, settings: dict[str, str]) -> None:
    """Print how many living sessions TARGET has."""
    with _places(target, settings) as places:
        for place in places:
            click.echo(str(_store_of(place, "count").count()))


@group.command("show")
@click.argument("target")
@click.argument("session_id", metavar="ID")
@with_settings
def show(target: str, settings: dict[str, str], session_id: str) -> None:
    """Print one session of TARGET: its times, its keys and values. They may be personal data."""
    with _places(target, settings) as places:
        for place in places:
            found = _find(place, session_id)
            if found is None:
                continue
            data, lines = found
            for name, value in lines:
                click.echo(f"{name + ':':10} {value}")
            click.echo(pprint.pformat(data, sort_dicts=False))
            return
    raise click.ClickException("There is no such session: it never was, has expired, or was destroyed.")


@group.command("destroy")
@click.argument("target")
@click.argument("session_id", metavar="ID")
@with_settings
def destroy(target: str, settings: dict[str, str], session_id: str) -> None:
    """End one session of TARGET. A request that is under way can't bring it back."""
    with _places(target, settings) as places:
        for place in places:
            if _store_of(place, "destroy").delete(_key_of(place, session_id)):
                click.echo("Destroyed.")
                return
    raise click.ClickException("There is no such session: it never was, has expired, or was destroyed.")


@group.command("create")
@click.argument("target")
@with_settings
def create(target: str, settings: dict[str, str]) -> None:
    """Make what the store of TARGET needs to exist: the table, in a database."""
    with _places(target, settings) as places:
        for place in places:
            store = _store_of(place, "create")
            store.create()
            click.echo(f"{store!r}: ready.")


@contextmanager
def _places(target: str, settings: dict[str, str]) -> Iterator[list[Place]]:
    """Find where the sessions of a target are, and close it all at the end."""
    if "://" in target:
        store = open_store("wsgikit sessions", target, "TARGET")
        try:
            yield [Place(store, None)]
        finally:
            store.close()
        return
    with load_target(target, settings) as stack:
        layers = [layer for layer in stack.layers if isinstance(layer, SessionMiddleware)]
        if not layers:
            raise ConfigurationError(
                f"{target}: expected a SessionMiddleware in it, got none. Name the store by its URL."
            )
        yield [Place(layer.manager.store, layer.manager) for layer in layers]


def _store_of(place: Place, what: str) -> SessionStore:
    if place.store is None:
        raise UnsupportedByStore(f"wsgikit sessions {what}: expected a server-side store, got sessions in cookies.")
    return place.store


def _key_of(place: Place, session_id: str) -> str:
    """Return the key of an id, of the value of a cookie, or the key itself."""
    if _KEY.fullmatch(session_id):
        return session_id
    # The value of a cookie is the id, a dot and a signature; ids have no dots.
    return store_key(session_id.partition(".")[0])


def _find(place: Place, session_id: str) -> tuple[dict[str, Any], list[tuple[str, str]]] | None:
    if place.store is not None:
        record = place.store.load(_key_of(place, session_id))
        envelope = None if record is None else read_record(record)
        if record is not None and envelope is not None:
            return envelope.data, [
                ("created", _moment(envelope.created)),
                ("accessed", _moment(record.accessed)),
                ("expires", _moment(record.expires)),
                ("permanent", "yes" if envelope.permanent else "no"),
                ("bytes", str(len(record.data))),
            ]
    if place.manager is not None:
        session = place.manager.new_session(f"{place.manager.writer.name}={session_id}")
        if not session.new:
            return session.copy(), [("created", _moment(session.created))]
    return None


def _moment(seconds: float) -> str:
    return dates.datetime.fromtimestamp(seconds, dates.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
