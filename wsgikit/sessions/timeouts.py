"""When a session ends: counted by the server, whatever the cookie says."""

from __future__ import annotations

__all__ = ["Timeouts"]

import math
import time

from wsgikit.exceptions import ConfigurationError, complaint

_DAY_SECONDS = 86_400.0


class Timeouts:
    """The idle and the absolute timeout, and when being in use is noted.

    Args:
        where: the class that is being built, for the errors.
        idle_seconds: how long a session lasts that isn't used; None is for ever.
        absolute_seconds: how long a session lasts at all; None is for ever.
        refresh_seconds: after how long being read counts as being used; None is a tenth of the idle timeout, a day at
            the most.

    Raises:
        ConfigurationError: one of them isn't a positive number.
    """

    def __init__(
        self, where: str, idle_seconds: float | None, absolute_seconds: float | None, refresh_seconds: float | None
    ) -> None:
        for name, value in (
            ("idle_timeout_seconds", idle_seconds),
            ("absolute_timeout_seconds", absolute_seconds),
        ):
            if value is not None and not (_is_number(value) and value > 0):
                raise ConfigurationError(complaint(where, name, "a number of seconds above 0, or None", value))
        if refresh_seconds is not None and not (_is_number(refresh_seconds) and refresh_seconds >= 0):
            raise ConfigurationError(
                complaint(where, "refresh_after_seconds", "a number of seconds, or None", refresh_seconds)
            )
        self.idle = math.inf if idle_seconds is None else float(idle_seconds)
        self.absolute = math.inf if absolute_seconds is None else float(absolute_seconds)
        if refresh_seconds is None:
            refresh_seconds = min(self.idle / 10, _DAY_SECONDS)
        self._refresh = math.inf if refresh_seconds >= self.idle or self.idle == math.inf else refresh_seconds
        # Cookies last 400 days at the most (RFC 6265bis §5.6.2); a store needs an end for what nobody comes back for.
        self._longest = min(self.idle, self.absolute, 400 * _DAY_SECONDS)

    def has_ended(self, created: float, saved: float) -> bool:
        """Return whether a session is over."""
        now = time.time()
        return now - saved >= self.idle or now - created >= self.absolute

    def ends(self, created: float, saved: float) -> float:
        """Return when a session ends that is saved now."""
        return min(saved + self._longest, created + self.absolute)

    def max_age(self, created: float | None) -> int:
        """Return for how many seconds the browser should keep the cookie of a permanent session."""
        now = time.time()
        return max(0, int(self.ends(now if created is None else created, now) - now))

    def needs_refresh(self, saved: float) -> bool:
        """Return whether it was so long ago that the session was saved that its being used is to be noted."""
        return time.time() - saved > self._refresh


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
