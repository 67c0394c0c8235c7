"""The scenarios of the conformance suite, by theme."""

from __future__ import annotations

__all__ = ["ALL_SCENARIOS"]

from wsgikit.testing.scenario import Scenario
from wsgikit.testing.scenarios import closing, environs, errors, heads, isolation, lint, streaming

ALL_SCENARIOS: tuple[Scenario, ...] = (
    *streaming.SCENARIOS,
    *closing.SCENARIOS,
    *heads.SCENARIOS,
    *errors.SCENARIOS,
    *environs.SCENARIOS,
    *isolation.SCENARIOS,
    *lint.SCENARIOS,
)
