"""``wsgikit secret``: a key that nobody can guess."""

from __future__ import annotations

__all__ = ["command"]

import os
import secrets

import click

from wsgikit.exceptions import ConfigurationError

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
@click.option(
    "--out",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write it to a new file that only you can read, in place of printing it.",
)
def command(count: int, out: str | None) -> None:
    """Print a new secret, for secret_key and the like.

    Keep it out of the ini file: put it into the environment (secret_key = env:APP_SECRET) or into a file of its
    own (wsgikit secret --out secret.txt, and secret_key = file:secret.txt).
    """
    secret = secrets.token_hex(count)
    if out is None:
        click.echo(secret)
        return
    try:
        # The shell's > would make the file readable by others. O_EXCL: a secret in use is never replaced.
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"secret: --out: expected a file that doesn't exist yet, got {out!r}. Delete it first if no one needs it."
        ) from None
    with os.fdopen(file, "w", encoding="ascii") as opened:
        opened.write(f"{secret}\n")
