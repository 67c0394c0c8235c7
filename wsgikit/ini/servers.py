"""Servers: Werkzeug's for development, waitress and gunicorn for production."""

from __future__ import annotations

__all__ = ["run_dev_server", "run_gunicorn", "run_server", "run_waitress"]

import errno
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from wsgikit.exceptions import ConfigurationError
from wsgikit.http.addresses import LOOPBACK, is_in, is_local, peer_of
from wsgikit.onion import drain_file
from wsgikit.onion.middleware import Middleware
from wsgikit.onion.shutdown import drains_of
from wsgikit.onion.stack import Stack
from wsgikit.wsgi import THROW_ERRORS, Environ, StartResponse, WSGIApplication

if TYPE_CHECKING:
    from werkzeug.serving import WSGIRequestHandler

HOST = "127.0.0.1"
PORT = 5000
WAITRESS_THREADS = 4  # waitress's own default
NOTICE_SECONDS = 5.0
"""How long a server that was asked to end still takes requests, so that a load balancer sees that it isn't ready."""
LAST_REQUESTS_SECONDS = 30.0
"""How long it then waits for the requests that are running."""
_POLL_SECONDS = 0.05  # between two looks at what is running


def run_server(
    app: WSGIApplication,
    *,
    server: Literal["dev", "waitress"] = "dev",
    host: str = HOST,
    port: int = PORT,
    threads: int = WAITRESS_THREADS,
) -> None:
    """Serve an application until the process ends: what ``[server:main]`` with ``use = egg:wsgikit#server`` does.

    Args:
        app: the application.
        server: ``dev`` is Werkzeug's development server, ``waitress`` one for production.
        host: the address to listen on.
        port: the port.
        threads: how many requests waitress answers at once; the development server makes a thread for each.
    """
    if server == "waitress":
        run_waitress(app, host, port, threads)
    else:
        run_dev_server(lambda: app, host, port)


def run_dev_server(
    load: Callable[[], WSGIApplication],
    host: str = HOST,
    port: int = PORT,
    *,
    reload: bool = False,
    debugger: bool = False,
    watched_files: Sequence[str] = (),
    is_quiet: bool = False,
    notice_seconds: float = NOTICE_SECONDS,
) -> None:
    """Run Werkzeug's development server: one process, a thread for each request.

    With `reload` the application is loaded in its own process, again after each change. One that can't be loaded
    then doesn't end the server: the reason is printed and shown to the browser until a change puts it right.

    Args:
        load: makes the application.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        reload: whether changes of code and of `watched_files` are noticed.
        debugger: whether an error opens Werkzeug's interactive debugger, to visitors from this machine only.
        watched_files: files besides Python modules.
        is_quiet: whether Werkzeug's own lines about requests are left out, because the application has an access log.
        notice_seconds: how long SIGTERM waits for load balancers (see `run_waitress`).

    Raises:
        ConfigurationError: a debugger was asked for on an address that others can reach.
    """
    from werkzeug.serving import is_running_from_reloader, run_simple

    if debugger and not _is_loopback(host):
        raise ConfigurationError(
            f"serve: --debugger: expected an address of this machine only, got {host!r}: it lets a visitor run code. "
            f"Leave --host {HOST}."
        )
    if not reload:
        app = load()
    elif is_running_from_reloader():
        app = _load_or_explain(load)
    else:  # the process that watches over the other serves nothing
        app = _explain("reloading")
    loaded = app
    if debugger:
        app = _Debugged(app)
    app = sent = _Sent(app)
    try:
        with _ended_by_sigterm(loaded, notice_seconds, lambda: not sent.running):
            run_simple(
                host,
                port,
                app,
                use_reloader=reload,
                threaded=True,
                extra_files=watched_files,
                request_handler=_quiet_handler() if is_quiet else None,
            )
    finally:
        if isinstance(loaded, (Stack, Middleware)):
            loaded.close()


def _quiet_handler() -> type[WSGIRequestHandler]:
    from werkzeug.serving import WSGIRequestHandler

    class QuietHandler(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing."""

    return QuietHandler


def run_waitress(
    app: WSGIApplication,
    host: str = HOST,
    port: int = PORT,
    threads: int = WAITRESS_THREADS,
    *,
    notice_seconds: float = NOTICE_SECONDS,
) -> None:
    """Serve by waitress: one process, a fixed number of threads, on every system.

    At its end it finishes the requests that are under way, for which waitress waits five seconds. SIGTERM first has a
    `HealthMiddleware` say that the process isn't ready, and goes on for a while. A second SIGTERM ends at once.

    Args:
        app: the application.
        host: the address to listen on.
        port: the port.
        threads: how many requests are answered at once.
        notice_seconds: how long requests are still taken after SIGTERM, if there is a `HealthMiddleware`.
    """
    try:
        from waitress.server import create_server  # an extra
    except ImportError as error:
        raise _not_installed("waitress") from error
    logger = logging.getLogger("waitress")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)  # as waitress-serve does: it says where it serves
    logging.basicConfig()  # as waitress.serve does
    sockets: dict[int, Any] = {}
    try:
        with _ended_by_sigterm(app, notice_seconds, lambda: _has_sent_all(sockets)):
            # waitress would delete forwarded headers: ProxyHeadersMiddleware, which decides whom to trust, needs them.
            server = create_server(
                app, sockets, host=host, port=port, threads=threads, clear_untrusted_proxy_headers=False
            )
            server.print_listen("Serving on http://{}:{}")
            server.run()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
            raise
        raise ConfigurationError(
            f"serve: {host}:{port}: expected a host and port that can be listened on, got: {error.strerror}. "
            "Stop the other program, or take another port."
        ) from error


def run_gunicorn(
    load: Callable[[], WSGIApplication],
    host: str = HOST,
    port: int = PORT,
    *,
    workers: int = 1,
    threads: int = 1,
    notice_seconds: float = NOTICE_SECONDS,
) -> None:
    """Serve by gunicorn: a process for each worker, each of which loads the application itself.

    Args:
        load: makes the application, in the worker: pools and connections are never shared across a fork.
        host: the address to listen on.
        port: the port.
        workers: how many processes.
        threads: how many threads in each.
        notice_seconds: how long SIGTERM waits for load balancers (see `run_waitress`).
    """
    try:
        from gunicorn.app.base import BaseApplication  # an extra, and not for Windows
        from gunicorn.arbiter import Arbiter
        from gunicorn.errors import AppImportError
    except ImportError as error:
        raise _not_installed("gunicorn") from error

    class Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types
        """Tells the workers to drain before it ends them: their layers look at a file."""

        def handle_term(self) -> None:
            drain_file.write(os.environ[drain_file.VARIABLE])
            if os.path.exists(asked):
                time.sleep(notice_seconds)
            super().handle_term()

    class Served(BaseApplication):  # type: ignore[misc]  # as above
        def load_config(self) -> None:
            settings = {"bind": f"{host}:{port}", "workers": workers, "threads": threads}
            for key, value in settings.items():
                self.cfg.set(key, value)

        def load(self) -> Any:
            try:
                app = load()
            except ConfigurationError as error:  # gunicorn prints the text of this one, and ends
                raise AppImportError(f"wsgikit: {error}") from error
            if any(drains_of(app)):
                with open(asked, "w", encoding="ascii"):
                    pass  # the master, which doesn't load the application, sees that somebody looks at its file
            return app

        def run(self) -> None:
            Master(self).run()

    with tempfile.TemporaryDirectory(prefix="wsgikit-") as folder:
        asked = os.path.join(folder, "asked")
        os.environ[drain_file.VARIABLE] = os.path.join(folder, "drain")
        Served().run()


class _Debugged:
    """Puts Werkzeug's interactive debugger around an application, for visitors from this machine only.

    Errors have to reach it, so the layers inside are asked to let them through.
    """

    def __init__(self, app: WSGIApplication) -> None:
        from werkzeug.debug import DebuggedApplication  # it is large, and seldom wanted

        self._app = app
        self._debugged = DebuggedApplication(app, evalex=True)

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        if environ.get("wsgi.multiprocess") or peer_of(environ) is None or not is_local(environ):
            return self._app(environ, start_response)
        environ.setdefault(THROW_ERRORS, True)
        body: Iterable[bytes] = self._debugged(environ, start_response)
        return body


class _Sent:
    """Counts the responses of an application that have not been sent whole. The development server would drop them."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app
        self.running: set[object] = set()

    def __call__(self, environ: Environ, start_response: StartResponse, /) -> Iterable[bytes]:
        body = _SentBody(self.running)
        try:
            body.take(self.app(environ, start_response))
        except BaseException:
            body.leave()
            raise
        return body


class _SentBody:
    def __init__(self, running: set[object]) -> None:
        self._running = running
        self._body: Iterable[bytes] = ()
        running.add(self)

    def take(self, body: Iterable[bytes]) -> None:
        self._body = body

    def leave(self) -> None:
        self._running.discard(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        """Close the body: the server has sent it."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self.leave()


def _has_sent_all(sockets: Mapping[int, Any]) -> bool:
    """Return whether no channel of waitress has a request that runs or a response that isn't sent whole."""
    channels = [part for part in [*sockets.values()] if hasattr(part, "total_outbufs_len")]
    return not any(channel.requests or channel.total_outbufs_len for channel in channels)


@contextmanager
def _ended_by_sigterm(app: WSGIApplication, notice_seconds: float, is_idle: Callable[[], bool]) -> Iterator[None]:
    """Have SIGTERM, by which systemd and containers end a process, drain an application and then end its server.

    By itself it ends the process in the middle of requests, and no pool is closed. A second one ends at once.

    Args:
        app: the application. Without a `HealthMiddleware` nobody can learn of the end, so it comes at once.
        notice_seconds: how long load balancers have to see that the process isn't ready.
        is_idle: returns whether the server has sent all responses.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may
        yield
        return
    drains = [*drains_of(app)]
    is_ending = False

    def drain() -> None:
        for begin in drains:
            begin(0)
        time.sleep(notice_seconds)
        end = time.monotonic() + LAST_REQUESTS_SECONDS
        while time.monotonic() < end and not (is_idle() and all(wait(0) for wait in drains)):
            time.sleep(_POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    def end(number: int, frame: object) -> None:
        nonlocal is_ending
        if is_ending or not drains:
            sys.exit(0)
        is_ending = True
        threading.Thread(target=drain, name="wsgikit-drain", daemon=True).start()

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _load_or_explain(load: Callable[[], WSGIApplication]) -> WSGIApplication:
    try:
        return load()
    except Exception as error:  # noqa: BLE001 - anything may be wrong with code that is being worked on
        if isinstance(error, ConfigurationError):
            reason = str(error)
            print(f"wsgikit: {reason}", file=sys.stderr)
        else:
            reason = traceback.format_exc()
            print(reason, file=sys.stderr)
        print("wsgikit: waiting: it is loaded again when a file changes. Press Ctrl-C to end.", file=sys.stderr)
        return _explain(reason)


def _explain(reason: str) -> WSGIApplication:
    """Return the application that answers until one can be loaded. The reason is for requests from this machine."""

    def explain(environ: Environ, start_response: StartResponse, /) -> list[bytes]:
        shown = reason if is_local(environ) else "The server's terminal shows why."
        text = f"The application could not be loaded.\n\n{shown}\n\nIt is loaded again when a file changes.\n"
        body = text.encode(errors="backslashreplace")
        head = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("500 Internal Server Error", head)
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    return explain


def _is_loopback(host: str) -> bool:
    """Return whether an address to listen on can be reached from this machine only."""
    return host == "localhost" or is_in(host.strip("[]"), LOOPBACK)


def _not_installed(package: str) -> ConfigurationError:
    return ConfigurationError(
        f"serve: {package}: expected it to be installed, got no such package. Run: pip install 'wsgikit[serve]'."
    )
