"""``wsgikit serve``: a server for development, or one of two for production."""

from __future__ import annotations

__all__ = ["command"]

import click

from wsgikit.cli.access_lines import FORMATS, with_access_log
from wsgikit.cli.inside import reload_templates
from wsgikit.cli.target import is_ini, load_target, split_ini, target_files, with_settings
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini.loading import setup_logging
from wsgikit.ini.servers import (
    HOST,
    NOTICE_SECONDS,
    PORT,
    WAITRESS_THREADS,
    run_dev_server,
    run_gunicorn,
    run_waitress,
)
from wsgikit.onion.stack import Stack
from wsgikit.wsgi import WSGIApplication


@click.command("serve")
@click.argument("target")
@click.option("--host", default=HOST, show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="The port; 0 takes a free one."
)
@click.option(
    "--server",
    type=click.Choice(["dev", "waitress", "gunicorn"]),
    default="dev",
    show_default=True,
    help="dev is Werkzeug's, for development only.",
)
@click.option("--reload/--no-reload", default=None, help="Load again when code or the ini file changes (dev: yes).")
@click.option("--debugger", is_flag=True, help="Open an interactive debugger on errors (dev, this machine only).")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes (gunicorn).")
@click.option("--threads", type=click.IntRange(1), help="Threads in each process (waitress: 4, gunicorn: 1).")
@click.option(
    "--access-log",
    type=click.Choice(FORMATS),
    default="combined",
    show_default=True,
    help="A line for each request, on standard output.",
)
@click.option(
    "--notice",
    "notice_seconds",
    type=click.FloatRange(0),
    default=NOTICE_SECONDS,
    show_default=True,
    help="Seconds from SIGTERM, which turns /readyz to 503, to the end (with HealthMiddleware).",
)
@click.option("--logging", "with_logging", is_flag=True, help="Set up logging by the [loggers] of the ini file.")
@with_settings
def command(
    target: str,
    host: str,
    port: int,
    server: str,
    reload: bool | None,
    debugger: bool,
    workers: int,
    threads: int | None,
    access_log: str,
    notice_seconds: float,
    with_logging: bool,
    settings: dict[str, str],
) -> None:
    """Serve TARGET on http://127.0.0.1:5000.

    TARGET is an ini file or module:app. The development server loads it again after each change of a module or of the
    ini file, and reads templates again that changed.
    """
    if server != "dev" and (reload or debugger):
        raise click.UsageError(f"--reload and --debugger are for the development server, not for {server}.")
    if with_logging:
        if not is_ini(target):
            raise click.UsageError("--logging takes the setup from an ini file, and the target is a module.")
        setup_logging(split_ini(target)[0])

    def load() -> Stack:
        return load_target(target, settings)

    def load_logged() -> WSGIApplication:
        return with_access_log(load(), access_log)

    if server == "gunicorn":
        run_gunicorn(load_logged, host, port, workers=workers, threads=threads or 1, notice_seconds=notice_seconds)
    elif server == "waitress":
        with load() as stack:
            app = with_access_log(stack, access_log)
            run_waitress(app, host, port, threads or WAITRESS_THREADS, notice_seconds=notice_seconds)
    else:
        files = _files(target)

        def load_for_development() -> WSGIApplication:
            stack = load()
            if reload is not False:
                reload_templates(stack)
            return with_access_log(stack, access_log)

        run_dev_server(
            load_for_development,
            host,
            port,
            reload=reload is not False,
            debugger=debugger,
            watched_files=files,
            is_quiet=True,
            notice_seconds=notice_seconds,
        )


def _files(target: str) -> list[str]:
    try:
        return target_files(target)
    except ConfigurationError:
        return [split_ini(target)[0]]  # it is watched until it can be read
