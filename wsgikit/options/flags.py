"""Checks that a switch is True or False, and not text that only looks like one of them."""

from __future__ import annotations

__all__ = ["check_flags"]

from wsgikit.exceptions import ConfigurationError, complaint


def check_flags(where: str, **flags: object) -> None:
    """Raise an error if one of the options is neither True nor False.

    ``debug=os.environ.get("DEBUG")`` would be on with ``DEBUG=0``, for ``"0"`` is a true value in Python.

    Args:
        where: begins the error's text; the layer as the user wrote it.
        flags: the options by name.

    Raises:
        ConfigurationError: the first that is something else.
    """
    for name, value in flags.items():
        if value is not True and value is not False:
            remedy = "Text from outside has to be compared: os.environ.get(…) == '1'" if isinstance(value, str) else ""
            raise ConfigurationError(complaint(where, name, "True or False", value, remedy))
