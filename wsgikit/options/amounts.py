"""Sizes and durations as options: numbers, or texts with units as in an ini file."""

from __future__ import annotations

__all__ = ["check_amount", "check_duration"]

from wsgikit.exceptions import ConfigurationError, complaint


def check_amount(where: str, option: str, value: int | float | str, *, minimum: int = 0) -> int:
    """Return an option named ``…_bytes`` or ``…_seconds`` as a whole number.

    Args:
        where: begins the error's text; the layer as the user wrote it.
        option: the option's name. Its ending says which units a text may have.
        value: a number, or a text such as ``"10MiB"`` or ``"15m"``.
        minimum: the smallest number that is allowed.

    Raises:
        ConfigurationError: it is no number of at least `minimum`.
    """
    number: object = value
    if isinstance(value, str):
        from wsgikit.options.text import Unfit, convert  # only for texts

        try:
            number = convert(value, int, option, where, ".")
        except Unfit as error:
            raise ConfigurationError(complaint(where, option, str(error), value)) from None
    if isinstance(number, bool) or not isinstance(number, int) or number < minimum:
        raise ConfigurationError(complaint(where, option, f"a whole number of at least {minimum}", value))
    return number


def check_duration(where: str, option: str, value: float | str) -> float:
    """Return an option named ``…_seconds`` as a number above 0.

    Args:
        where: begins the error's text; the layer as the user wrote it.
        option: the option's name.
        value: a number, or a text such as ``"15m"`` or ``"250ms"``.

    Raises:
        ConfigurationError: it is no number above 0.
    """
    number: object = value
    if isinstance(value, str):
        from wsgikit.options.text import Unfit, convert  # only for texts

        try:
            number = convert(value, float, option, where, ".")
        except Unfit as error:
            raise ConfigurationError(complaint(where, option, str(error), value)) from None
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 < number < float("inf"):
        raise ConfigurationError(complaint(where, option, "a number of seconds above 0", value))
    return float(number)
