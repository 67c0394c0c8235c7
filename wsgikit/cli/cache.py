"""``wsgikit cache``: purge pages from a cache that processes share."""

from __future__ import annotations

__all__ = ["group"]

from collections.abc import Iterator
from contextlib import contextmanager

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.cache.middleware import CacheMiddleware
from wsgikit.middleware.cache.stores import CacheStore, open_cache

_NO_MEMORY = 1  # bytes: a store in memory is refused anyway


@click.group("cache")
def group() -> None:
    """Look after the cache of TARGET: an ini file, module:app, or the URL of a Redis."""


@group.command("purge")
@click.argument("target")
@click.argument("tags", metavar="[TAG]...", nargs=-1)
@click.option("--prefix", "prefixes", multiple=True, help="Purge the paths that begin so, too. May be repeated.")
@click.option("--all", "is_all", is_flag=True, help="Purge everything.")
@with_settings
def purge(
    target: str, settings: dict[str, str], tags: tuple[str, ...], prefixes: tuple[str, ...], is_all: bool
) -> None:
    """Remove the pages of TARGET that have one of the tags, or whose path begins with a prefix."""
    if not (tags or prefixes or is_all):
        raise click.UsageError("Say what to purge: tags, --prefix PATH or --all.")
    with _stores(target, settings) as stores:
        for store in stores:
            if not store.is_shared:
                raise ConfigurationError(
                    f"{target}: store: expected a cache that processes share, such as redis://…, got one in the memory "
                    "of each process. Call purge() of the layer in the application, or restart it."
                )
            removed = sum(store.purge(tag) for tag in tags)
            removed += sum(store.purge_prefix(prefix) for prefix in ("",) * is_all + prefixes)
            click.echo(f"{removed} page{'' if removed == 1 else 's'} purged.")


@contextmanager
def _stores(target: str, settings: dict[str, str]) -> Iterator[list[CacheStore]]:
    """Find the caches of a target, and close them at the end."""
    if "://" in target:
        store = open_cache("wsgikit cache", target, _NO_MEMORY)
        try:
            yield [store]
        finally:
            store.close()
        return
    with load_target(target, settings) as stack:
        stores = [layer.store for layer in stack.layers if isinstance(layer, CacheMiddleware)]
        if not stores:
            raise ConfigurationError(
                f"{target}: expected a CacheMiddleware in it, got none. Name the cache by its URL."
            )
        yield stores
