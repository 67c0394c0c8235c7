"""For tests: a client, the conformance suite for any WSGI middleware, pytest fixtures.

The names are loaded when they are first used: `assert_conforms` needs no other package, `TestClient` needs WebTest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgikit.testing.client import TestClient as TestClient
    from wsgikit.testing.conformance import ConformanceError as ConformanceError
    from wsgikit.testing.conformance import Failure as Failure
    from wsgikit.testing.conformance import assert_conforms as assert_conforms
    from wsgikit.testing.conformance import conformance_scenarios as conformance_scenarios
    from wsgikit.testing.database import rolled_back as rolled_back
    from wsgikit.testing.scenario import Scenario as Scenario
    from wsgikit.testing.stores import STORE_SCENARIOS as STORE_SCENARIOS
    from wsgikit.testing.stores import StoreScenario as StoreScenario
    from wsgikit.testing.stores import assert_store_conforms as assert_store_conforms
    from wsgikit.testing.stream import StreamedResponse as StreamedResponse
    from wsgikit.testing.watch import watch_bodies as watch_bodies

# Each module with the public names that live in it.
_HOMES = {
    "wsgikit.testing.client": "TestClient",
    "wsgikit.testing.conformance": "ConformanceError Failure assert_conforms conformance_scenarios",
    "wsgikit.testing.database": "rolled_back",
    "wsgikit.testing.scenario": "Scenario",
    "wsgikit.testing.stores": "STORE_SCENARIOS StoreScenario assert_store_conforms",
    "wsgikit.testing.stream": "StreamedResponse",
    "wsgikit.testing.watch": "watch_bodies",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]  # the table above is the one list


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'wsgikit.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
