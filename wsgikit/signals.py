"""Flask's ten signals, on blinker: connect a function to one, and it is called when the signal is sent.

A signal is made when it is first imported from here. Until then nobody can be connected, and nothing is sent.

Example::

    from wsgikit.signals import got_request_exception

    @got_request_exception.connect
    def report(router, exception, **extra):
        print(f"{router!r} failed: {exception!r}")
"""

from __future__ import annotations

__all__ = [
    "RECEIVERS",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "find_sender",
    "got_request_exception",
    "has_receivers",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "send_signal",
    "template_rendered",
]

import threading
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError
from wsgikit.wsgi import ROUTING, STACK, Environ

if TYPE_CHECKING:
    from blinker import Signal

    appcontext_popped: Signal
    appcontext_pushed: Signal
    appcontext_tearing_down: Signal
    before_render_template: Signal
    got_request_exception: Signal
    message_flashed: Signal
    request_finished: Signal
    request_started: Signal
    request_tearing_down: Signal
    template_rendered: Signal

_NAMES = frozenset(__all__) - {"RECEIVERS", "find_sender", "has_receivers", "send_signal"}
_signals: dict[str, Signal] = {}
_lock = threading.Lock()  # two threads may import their first signal at once

RECEIVERS: list[Sized] = []
"""The receivers of each signal: empty until a signal is imported, and ``any(RECEIVERS)`` if one has a receiver."""


def __getattr__(name: str) -> Signal:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _lock:
        if not _signals:
            _make_signals()
    return _signals[name]


def _make_signals() -> None:
    try:
        from blinker import Namespace  # an optional package, and start-up time for those who connect nothing
    except ModuleNotFoundError as error:
        if error.name != "blinker":
            raise
        raise ConfigurationError("signals: blinker is missing. Install it: pip install 'wsgikit[signals]'.") from error
    namespace = Namespace()  # not Flask's: a Flask application inside sends its own
    made = {name: namespace.signal(name.replace("_", "-")) for name in sorted(_NAMES)}
    RECEIVERS.extend(signal.receivers for signal in made.values())
    _signals.update(made)


def has_receivers(name: str) -> bool:
    """Return whether a function is connected to a signal."""
    signal = _signals.get(name)
    return signal is not None and bool(signal.receivers)


def send_signal(name: str, sender: object, as_sync: Callable[[Any], Any], **values: Any) -> None:
    """Call the receivers of a signal. Nothing happens if there are none.

    Args:
        name: the name of the signal in this module.
        sender: the router, or what stands for it.
        as_sync: makes a receiver that is a coroutine function one that can be called.
        values: the keyword arguments of the receivers.
    """
    if has_receivers(name):
        _signals[name].send(sender, _async_wrapper=as_sync, **values)


def find_sender(environ: Environ) -> object:
    """Return the sender of a signal that no router sends: the router of the request, or its stack, or None."""
    record = environ.get(ROUTING)
    return record.router if record is not None else environ.get(STACK)
