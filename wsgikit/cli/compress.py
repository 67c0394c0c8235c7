"""``wsgikit compress``: compressed forms beside static files, written once and not for each request."""

from __future__ import annotations

__all__ = ["command", "compress_file", "files_to_compress"]

import os
import sys
import tempfile
from collections.abc import Sequence

import click

from wsgikit.http.codings import CODINGS, compress, load_coding
from wsgikit.http.folders import CODINGS as ENDINGS
from wsgikit.http.folders import walk_files
from wsgikit.http.representation import content_type_of
from wsgikit.middleware.compression import COMPRESSIBLE, is_compressible

# As small as it gets: nobody waits.
_LEVELS = {"gzip": 9, "br": 11, "zstd": 19}
_WORTH_IT = 0.95  # a form that saves less than a twentieth is one more file for nothing


def files_to_compress(folder: str, min_bytes: int) -> list[str]:
    """Return the files of a folder whose type compresses well, the compressed forms left out."""
    found = []
    for path, file in walk_files(folder):
        is_form = path.endswith(tuple(ENDINGS.values()))
        if not is_form and is_compressible(content_type_of(path), COMPRESSIBLE) and os.path.getsize(file) >= min_bytes:
            found.append(file)
    return found


def compress_file(file: str, codings: Sequence[str]) -> tuple[int, int]:
    """Write the compressed forms of a file beside it, each with the time of the file.

    A form that has the file's time is there already. One that would hardly be smaller is removed.

    Returns:
        How many forms were written, and how many bytes they save together.
    """
    status = os.stat(file)
    with open(file, "rb") as opened:
        data = opened.read()
    written = saved = 0
    for coding in codings:
        target = file + ENDINGS[coding]
        if os.path.isfile(target) and os.stat(target).st_mtime_ns == status.st_mtime_ns:
            continue
        packed = compress(data, coding, _LEVELS[coding])
        if len(packed) > len(data) * _WORTH_IT:
            if os.path.isfile(target):
                os.unlink(target)
            continue
        _write(target, packed, status)
        written += 1
        saved += len(data) - len(packed)
    return written, saved


def _write(target: str, data: bytes, status: os.stat_result) -> None:
    """Write a file whole or not at all: a server may be reading the folder."""
    descriptor, name = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".compress-")
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
        os.chmod(name, status.st_mode & 0o777)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


@click.command("compress")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--encodings",
    help=f"Content codings, with commas between: {', '.join(CODINGS)}.  [default: those that are installed]",
)
@click.option(
    "--min-bytes", type=click.IntRange(min=0), default=500, show_default=True, help="Leave smaller files alone."
)
def command(folder: str, encodings: str | None, min_bytes: int) -> None:
    """Write .zst, .br and .gz forms of the static files in FOLDER beside them.

    StaticMiddleware and static folders of routers send them to clients that accept them. Run it after each build: a
    form that is older than its file is not sent.
    """
    codings = _codings(encodings)
    files = files_to_compress(folder, min_bytes)
    written = saved = 0
    with click.progressbar(files, label="Compressing", file=sys.stderr) as bar:
        for file in bar:
            count, fewer = compress_file(file, codings)
            written += count
            saved += fewer
    click.echo(f"{len(files)} files: {written} forms written ({', '.join(codings)}), {saved:,} bytes saved.")


def _codings(text: str | None) -> list[str]:
    if text is None:
        return [coding for coding in CODINGS if load_coding(coding) is not None]
    codings = [coding.strip() for coding in text.split(",") if coding.strip()]
    for coding in codings:
        if coding not in CODINGS:
            text = f"expected some of {', '.join(CODINGS)}, got {coding!r}."
            raise click.BadParameter(text, param_hint="--encodings")
        if load_coding(coding) is None:
            remedy = "Install it with: pip install 'wsgikit[compression]'."
            raise click.BadParameter(f"the library of {coding!r} is not installed. {remedy}", param_hint="--encodings")
    return codings
