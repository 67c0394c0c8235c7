"""The contract of session stores, as tests: each store passes it, ours and a third party's."""

from __future__ import annotations

__all__ = ["STORE_SCENARIOS", "StoreScenario", "assert_store_conforms"]

import secrets
import threading
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeAlias

from wsgikit.sessions.errors import UnsupportedByStore
from wsgikit.sessions.stores.base import Record, SessionStore, store_key
from wsgikit.testing.conformance import ConformanceError, Failure
from wsgikit.testing.scenario import ClaimError, claim

StoreFactory: TypeAlias = Callable[[], SessionStore]

_HOUR = 3600.0


class StoreScenario(NamedTuple):
    """One rule of the contract, and the function that tries it on a store.

    Attributes:
        name: its name, for `only` and `skip`.
        rule: the rule, in a sentence.
        run: tries it; raises an error if the store breaks it.
    """

    name: str
    rule: str
    run: Callable[[SessionStore], None]


STORE_SCENARIOS: list[StoreScenario] = []
"""All rules, for tests that are parametrized over them: ``scenario.run(store)``."""


def assert_store_conforms(factory: StoreFactory, *, only: Collection[str] = (), skip: Collection[str] = ()) -> None:
    """Hold a session store to the contract, and raise one error that lists all the rules it breaks.

    Args:
        factory: returns the store; called once for each rule. It needn't be empty: keys are random.
        only: names of rules to try; all if it is empty.
        skip: names of rules not to try.

    Raises:
        ConformanceError: some rule is broken.

    Example:
        >>> from wsgikit.sessions.stores.memory import MemoryStore
        >>> assert_store_conforms(MemoryStore)
    """
    chosen = [each for each in STORE_SCENARIOS if each.name not in skip and (not only or each.name in only)]
    failures = []
    for each in chosen:
        store = factory()
        try:
            each.run(store)
        except ClaimError as error:
            failures.append(Failure(each.name, each.rule, error.expected, error.seen))
        except Exception as error:  # noqa: BLE001  # whatever the store raises is a finding
            failures.append(Failure(each.name, each.rule, "no exception", f"{type(error).__name__}: {error}"))
        finally:
            store.close()
    if failures:
        raise ConformanceError(getattr(factory, "__qualname__", repr(factory)), failures, len(chosen))


def _rule(text: str) -> Callable[[Callable[[SessionStore], None]], Callable[[SessionStore], None]]:
    def add(function: Callable[[SessionStore], None]) -> Callable[[SessionStore], None]:
        STORE_SCENARIOS.append(StoreScenario(function.__name__.strip("_"), text, function))
        return function

    return add


def _key() -> str:
    return store_key(secrets.token_urlsafe(32))


def _record(data: bytes = b"[1]", *, seconds: float = _HOUR) -> Record:
    now = time.time()
    return Record(data, now, now + seconds)


def _begin(store: SessionStore, data: bytes = b"[1]") -> tuple[str, Any]:
    key = _key()
    version = store.save(key, _record(data))
    claim(version is not None, "a version for the first save of a key", version)
    return key, version


@_rule("An unknown key loads as None.")
def _unknown_key(store: SessionStore) -> None:
    claim(store.load(_key()) is None, "None", "a record")


@_rule("What was saved is loaded, with its times to the millisecond and the version that save() returned.")
def _load_after_save(store: SessionStore) -> None:
    key = _key()
    saved = _record(b"the data")
    version = store.save(key, saved)
    loaded = store.load(key)
    claim(loaded is not None, "a record", loaded)
    if loaded is not None:
        claim(type(loaded.data) is bytes and loaded.data == saved.data, repr(saved.data), repr(loaded.data))
        claim(abs(loaded.accessed - saved.accessed) < 0.002, f"accessed {saved.accessed}", loaded.accessed)
        claim(abs(loaded.expires - saved.expires) < 0.002, f"expires {saved.expires}", loaded.expires)
        claim(loaded.version == version, f"version {version!r}", repr(loaded.version))


@_rule("Any bytes can be kept: none at all, zeros, line ends, all 256 values, 100 KB.")
def _any_bytes(store: SessionStore) -> None:
    for data in (b"", b"\0", b"\r\nEND\r\n", bytes(range(256)), secrets.token_bytes(100_000)):
        key, _ = _begin(store, data)
        loaded = store.load(key)
        claim(loaded is not None and loaded.data == data, f"{len(data)} bytes unchanged", loaded and len(loaded.data))


@_rule("Saving where there must be no record yet writes nothing if there is one.")
def _no_overwriting(store: SessionStore) -> None:
    key, _ = _begin(store, b"first")
    claim(store.save(key, _record(b"second")) is None, "None", "a version")
    loaded = store.load(key)
    claim(loaded is not None and loaded.data == b"first", "the first data", loaded)


@_rule("Saving over the version that was loaded writes, and gives another version.")
def _swap(store: SessionStore) -> None:
    key, version = _begin(store)
    new = store.save(key, _record(b"second"), version)
    claim(new is not None and new != version, "another version", repr(new))
    loaded = store.load(key)
    claim(loaded is not None and (loaded.data, loaded.version) == (b"second", new), "the second data", loaded)


@_rule("Saving over an outdated version writes nothing.")
def _outdated_version(store: SessionStore) -> None:
    key, version = _begin(store)
    store.save(key, _record(b"second"), version)
    claim(store.save(key, _record(b"third"), version) is None, "None", "a version")
    loaded = store.load(key)
    claim(loaded is not None and loaded.data == b"second", "the second data", loaded)


@_rule("Saving over a record that was deleted writes nothing: what was ended doesn't come back.")
def _no_resurrection(store: SessionStore) -> None:
    key, version = _begin(store)
    store.delete(key)
    claim(store.save(key, _record(b"second"), version) is None, "None", "a version")
    claim(store.load(key) is None, "no record", "one")


@_rule("Saving over a record that has expired writes nothing.")
def _no_revival(store: SessionStore) -> None:
    key, version = _begin(store)
    gone = store.save(key, _record(b"second", seconds=-1), version)
    claim(store.load(key) is None, "no record after it expired", "one")
    claim(store.save(key, _record(b"third"), gone or version) is None, "None", "a version")


@_rule("A new record can take the place of one that has expired.")
def _after_expiry(store: SessionStore) -> None:
    key, version = _begin(store)
    store.save(key, _record(b"second", seconds=-1), version)
    claim(store.save(key, _record(b"third")) is not None, "a version", None)


@_rule("Deleting removes the record, and tells whether there was one.")
def _delete(store: SessionStore) -> None:
    key, _ = _begin(store)
    claim(store.delete(key) is True, "True", "something else")
    claim(store.load(key) is None, "no record", "one")
    claim(store.delete(key) is False, "False the second time", "something else")


@_rule("Deleting leaves other records alone.")
def _delete_one(store: SessionStore) -> None:
    key, _ = _begin(store)
    other, _ = _begin(store)
    store.delete(key)
    claim(store.load(other) is not None, "the other record", None)


@_rule("Touching sets the times and leaves the data.")
def _touch(store: SessionStore) -> None:
    key, _ = _begin(store, b"data")
    now = time.time() + 60
    claim(store.touch(key, now, now + 7200) is True, "True", "something else")
    loaded = store.load(key)
    claim(loaded is not None and loaded.data == b"data", "the data", loaded)
    if loaded is not None:
        claim(abs(loaded.accessed - now) < 0.002, f"accessed {now}", loaded.accessed)
        claim(abs(loaded.expires - now - 7200) < 0.002, f"expires {now + 7200}", loaded.expires)


@_rule("Touching what isn't there returns False and makes nothing.")
def _touch_nothing(store: SessionStore) -> None:
    key = _key()
    now = time.time()
    claim(store.touch(key, now, now + 60) is False, "False", "something else")
    claim(store.load(key) is None, "no record", "one")


@_rule("After a touch, the version that load() gives can be saved over.")
def _save_after_touch(store: SessionStore) -> None:
    key, _ = _begin(store)
    store.touch(key, time.time(), time.time() + 60)
    loaded = store.load(key)
    if loaded is None:
        raise ClaimError("a record", "None")
    claim(store.save(key, _record(b"second"), loaded.version) is not None, "a version", None)


def _at_once(count: int, act: Callable[[int], object]) -> list[Any]:
    """Call a function in so many threads at once, with their numbers; return what they return."""
    barrier = threading.Barrier(count)
    results: list[Any] = []
    errors: list[Exception] = []

    def run(number: int) -> None:
        barrier.wait(10)
        try:
            results.append(act(number))
        except Exception as error:  # noqa: BLE001  # shown below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    claim(not errors, "no exception", errors[:1])
    return results


@_rule("Of many threads that save over one version, exactly one succeeds.")
def _one_winner(store: SessionStore) -> None:
    key, version = _begin(store)
    results = _at_once(8, lambda number: store.save(key, _record(b"%d" % number), version))
    winners = [result for result in results if result is not None]
    claim(len(winners) == 1, "one winner", len(winners))
    loaded = store.load(key)
    claim(loaded is not None and loaded.version == winners[0], "the winner's version", loaded and loaded.version)


@_rule("Of many threads that begin a record under one key, exactly one succeeds.")
def _one_beginner(store: SessionStore) -> None:
    key = _key()
    results = _at_once(8, lambda number: store.save(key, _record()))
    claim(len([result for result in results if result is not None]) == 1, "one winner", results)


@_rule("A record that many threads begin and delete in turn stays its maker's until he deletes it: so locks are made.")
def _one_holder(store: SessionStore) -> None:
    key = _key()
    taken: list[Any] = []

    def compete(number: int) -> None:
        mine = b"%d" % number
        until = time.monotonic() + 10
        turns = 0
        while turns < 20 and time.monotonic() < until:
            if store.save(key, _record(mine)) is not None:
                turns += 1
                for _ in range(3):
                    loaded = store.load(key)
                    if loaded is None or loaded.data != mine:
                        taken.append(loaded)
                store.delete(key)

    _at_once(6, compete)
    claim(not taken, "the maker's record", taken[:1])


@_rule("Sweeping removes at most the number of expired records that it is told, and none that lives.")
def _sweep(store: SessionStore) -> None:
    alive, _ = _begin(store)
    for _ in range(3):
        key, version = _begin(store)
        store.save(key, _record(seconds=-1), version)
    claim(store.sweep(2) <= 2, "2 at most", "more")
    while store.sweep(100):
        pass
    claim(store.load(alive) is not None, "the living record", None)
    claim(store.sweep(100) == 0, "nothing left to sweep", "something")


@_rule("Counting and listing see living records only, or raise UnsupportedByStore.")
def _count(store: SessionStore) -> None:
    try:
        before = store.count()
        present = set(store.keys())
    except UnsupportedByStore:
        return
    key, _ = _begin(store)
    dead, version = _begin(store)
    store.save(dead, _record(seconds=-1), version)
    claim(store.count() == before + 1, f"{before + 1}", store.count())
    claim(set(store.keys()) - present == {key}, "the new key", set(store.keys()) - present)


@_rule("A store can be used again after close().")
def _after_close(store: SessionStore) -> None:
    store.close()
    claim(store.load(_key()) is None, "None", "a record")


@_rule("create() can be called twice.")
def _create_twice(store: SessionStore) -> None:
    store.create()
    store.create()
    _begin(store)
