"""``wsgikit secret``: a key that nobody can guess."""

from __future__ import annotations

__all__ = ["command"]

import secrets

import click

FEWEST_BYTES = 16  # 128 bits: below that, guessing comes into reach
DEFAULT_BYTES = 32  # as much as HMAC-SHA256 makes use of


@click.command("secret")
@click.option(
    "--bytes",
    "count",
    type=click.IntRange(min=FEWEST_BYTES),
    default=DEFAULT_BYTES,
    show_default=True,
    help="How many random bytes; each is two characters.",
)
def command(count: int) -> None:
    """Print a new secret, for secret_key and the like.

    Keep it out of the ini file: put it into the environment (secret_key = env:APP_SECRET) or into a file of its
    own (secret_key = file:/run/secrets/app).
    """
    click.echo(secrets.token_hex(count))
