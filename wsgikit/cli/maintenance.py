"""``wsgikit maintenance``: turn the maintenance page on and off, and get past it."""

from __future__ import annotations

__all__ = ["group"]

import contextlib
import os

import click

from wsgikit.cli.target import load_target, with_settings
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.maintenance import BYPASS_COOKIE, BYPASS_SECONDS, MaintenanceMiddleware, make_bypass


@click.group("maintenance")
def group() -> None:
    """Turn the maintenance page of TARGET on or off: an ini file or module:app with a MaintenanceMiddleware."""


@group.command("on")
@click.argument("target")
@with_settings
def turn_on(target: str, settings: dict[str, str]) -> None:
    """Answer visitors of TARGET with a 503, within a second."""
    path = _flag_of(target, settings)
    with open(path, "a", encoding="ascii"):
        pass
    click.echo(f"Maintenance is on: {path} exists.")


@group.command("off")
@click.argument("target")
@with_settings
def turn_off(target: str, settings: dict[str, str]) -> None:
    """Answer visitors of TARGET as usual again, within a second."""
    path = _flag_of(target, settings)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    click.echo(f"Maintenance is off: {path} doesn't exist.")


@group.command("bypass")
@click.argument("target")
@with_settings
def bypass(target: str, settings: dict[str, str]) -> None:
    """Print a cookie that lets its owner into TARGET during maintenance, for eight hours.

    For curl: curl -b "$(wsgikit maintenance bypass app.ini)" URL
    """
    layer = _layer_of(target, settings)
    if not layer.secrets:
        raise ConfigurationError(
            f"{target}: MaintenanceMiddleware: secret_key: expected a secret to sign the cookie, got none. Make one "
            "with: wsgikit secret."
        )
    cookie = f"{BYPASS_COOKIE}={make_bypass(layer.secrets)}"
    click.echo(cookie)
    click.echo("In a browser, run this in the console of the site:", err=True)
    click.echo(f'document.cookie = "{cookie}; Path=/; Max-Age={BYPASS_SECONDS}; SameSite=Lax"', err=True)


def _flag_of(target: str, settings: dict[str, str]) -> str:
    flag = _layer_of(target, settings).flag
    if callable(flag):
        raise ConfigurationError(
            f"{target}: MaintenanceMiddleware: flag: expected the path of a file, got a function. It decides by itself."
        )
    return os.path.abspath(flag)


def _layer_of(target: str, settings: dict[str, str]) -> MaintenanceMiddleware:
    with load_target(target, settings) as stack:
        layer = stack.find(MaintenanceMiddleware)
        if layer is None:
            raise ConfigurationError(
                f"{target}: layers: expected a MaintenanceMiddleware among them, got none. Add one with flag=."
            )
        return layer
