"""Hold any WSGI middleware to PEP 3333, and to what a well-made one does besides."""

from __future__ import annotations

__all__ = ["ConformanceError", "Failure", "assert_conforms", "conformance_scenarios"]

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from wsgikit.exceptions import ConfigurationError, WsgikitError, complaint, did_you_mean
from wsgikit.testing.scenario import Bench, ClaimError, Factory, Scenario
from wsgikit.testing.scenarios import ALL_SCENARIOS
from wsgikit.testing.server import describe_error


@dataclass(frozen=True)
class Failure:
    """A scenario that failed.

    Attributes:
        name: the scenario's name.
        rule: the rule it checks, in a sentence.
        expected: what would have been right.
        seen: what was there.
    """

    name: str
    rule: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.name}: expected {self.expected}, got {self.seen}.\n    {self.rule}"


class ConformanceError(WsgikitError, AssertionError):
    """A middleware that does not conform; its text lists every scenario that failed.

    Attributes:
        failures: the failed scenarios, in the order of the suite.
    """

    def __init__(self, who: str, failures: Collection[Failure], run: int) -> None:
        self.failures = tuple(failures)
        lines = "\n".join(f"  {failure}" for failure in self.failures)
        super().__init__(f"{who}: {len(self.failures)} of {run} scenarios failed.\n{lines}")


def conformance_scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios, for a test that is parametrized over them.

    Each has a ``name`` and a ``rule``, and is run by ``assert_conforms(factory, only={scenario.name})``.
    ``passes_webtest_lint`` is among them if WebTest is installed.
    """
    return ALL_SCENARIOS


def assert_conforms(
    factory: Factory,
    *,
    only: Collection[str] = (),
    skip: Collection[str] = (),
    expect: Collection[str] = (),
    environ: Mapping[str, Any] | None = None,
    timeout_seconds: float | None = 20.0,
) -> None:
    """Run every scenario on a middleware, ours or anyone's, and raise one error that lists all that failed.

    A middleware may do what it is for: add headers, make pages of errors, set cookies. If its purpose conflicts
    with a scenario (a dispatcher moves ``PATH_INFO``), name that one in `skip` or `expect`.

    Args:
        factory: takes a WSGI app and returns the middleware around it. It is called once or twice in each scenario.
        only: names of scenarios to run; all if it is empty.
        skip: names of scenarios not to run.
        expect: names of scenarios that are known to fail. They are run, and one that passes is an error too, so that
            the list stays true.
        environ: keys to add to the environ of each request, such as the credentials that open the way to the app.
        timeout_seconds: how long one scenario may take. Each runs on its own thread, as on a server; with None
            all run on the calling thread, without a limit, which is easier to debug.

    Raises:
        ConformanceError: some scenario failed, or one in `expect` passed.
        ConfigurationError: a name that no scenario has.

    Example:
        >>> from werkzeug.middleware.proxy_fix import ProxyFix
        >>> assert_conforms(lambda app: ProxyFix(app, x_for=1))
    """
    _check_names(only=only, skip=skip, expect=expect)
    chosen = [each for each in ALL_SCENARIOS if each.name not in skip and (not only or each.name in only)]
    failures = []
    for each in chosen:
        failure = _run(each, factory, environ, timeout_seconds)
        if each.name in expect:
            if failure is None:
                failures.append(
                    Failure(each.name, each.rule, "a failure, since it is in expect=", "a pass: remove it there")
                )
        elif failure is not None:
            failures.append(failure)
    if failures:
        raise ConformanceError(getattr(factory, "__qualname__", repr(factory)), failures, len(chosen))


def _check_names(**options: Collection[str]) -> None:
    known = {"passes_webtest_lint", *(each.name for each in ALL_SCENARIOS)}
    for option, names in options.items():
        if isinstance(names, str):
            raise ConfigurationError(
                complaint("assert_conforms", option, "a collection of names", names, f"Write {option}={{{names!r}}}")
            )
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    complaint("assert_conforms", option, "the name of a scenario", name, did_you_mean(name, known))
                )


def _run(
    scenario: Scenario, factory: Factory, environ: Mapping[str, Any] | None, timeout_seconds: float | None
) -> Failure | None:
    outcome: list[Failure | None] = []

    def work() -> None:
        outcome.append(_attempt(scenario, Bench(factory, environ)))

    if timeout_seconds is None:
        work()
    else:
        thread = threading.Thread(target=work, name=f"conformance {scenario.name}", daemon=True)
        thread.start()
        thread.join(timeout_seconds)
    if not outcome:
        return Failure(scenario.name, scenario.rule, "an end", f"none after {timeout_seconds} seconds")
    return outcome[0]


def _attempt(scenario: Scenario, bench: Bench) -> Failure | None:
    try:
        scenario.function(bench)
    except ClaimError as error:
        return Failure(scenario.name, scenario.rule, error.expected, error.seen)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is this scenario's failure, and the others still run
        return Failure(scenario.name, scenario.rule, "no error", describe_error(error))
    finally:
        bench.clean_up()
    return None
