"""A real server answers, whichever way it is started."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.server

STARTS = {
    "dev, ini": ("wsgikit", "serve", "app.ini", "--port", "PORT", "--no-reload", "--set", "http_port=1"),
    "dev, module:app": ("wsgikit", "serve", "cli_app:router", "--port", "PORT", "--no-reload"),
    "dev, reloading": ("wsgikit", "serve", "app.ini", "--port", "PORT", "--set", "http_port=1"),
    "waitress, ini": ("wsgikit", "serve", "app.ini", "--port", "PORT", "--server", "waitress", "--set", "http_port=1"),
    "waitress, module:app": ("wsgikit", "serve", "cli_app:router", "--port", "PORT", "--server", "waitress"),
    "gunicorn, ini": ("wsgikit", "serve", "app.ini", "--port", "PORT", "--server", "gunicorn", "--set", "http_port=1"),
    "gunicorn, stock": ("gunicorn", "--paste", "stock.ini", "-b", "127.0.0.1:PORT"),
    "gunicorn, our loader": ("gunicorn", 'wsgikit.ini:load_app("stock.ini")', "-b", "127.0.0.1:PORT"),
    "pserve, stock": ("pserve", "app.ini", "http_port=PORT"),
    "waitress-serve": ("waitress-serve", "--listen=127.0.0.1:PORT", "cli_app:router"),
}


@pytest.mark.parametrize("arguments", STARTS.values(), ids=STARTS)
def test_the_server_answers(arguments, serve, folder):
    (folder / "stock.ini").write_text((folder / "app.ini").read_text().replace("%(http_port)s", "1"))
    server = serve(*arguments)
    assert server.get() == "hello from cli_app"
    assert server.get("/posts/3") == "post 3"
    if "module" not in str(arguments) and "cli_app:router" not in arguments:
        assert server.get("/elsewhere") == "hello from app"  # falls through to the app behind the routes


def write_later(path, text, seconds):
    """Write a file so that it is surely newer than before, however coarse the clock."""
    path.write_text(text)
    stamp = time.time() + seconds
    os.utime(path, (stamp, stamp))


def test_a_change_of_the_ini_is_noticed_and_a_mistake_in_it_does_not_end_the_server(serve, folder):
    good = (folder / "app.ini").read_text()
    server = serve("wsgikit", "serve", "app.ini", "--port", "PORT", "--set", "http_port=1")
    assert server.get(wanted="hello") == "hello from cli_app"

    write_later(folder / "app.ini", good.replace("debug = no", "debug = perhaps"), 10)
    page = server.get(wanted="could not be loaded")
    assert page.startswith("500 The application could not be loaded.")
    assert "app.ini:9 [filter:errors]: debug: expected yes, no, true" in page

    write_later(folder / "app.ini", good, 20)
    assert server.get(wanted="hello") == "hello from cli_app"


def test_a_server_that_begins_with_a_mistake_waits_for_its_end(serve, folder):
    (folder / "cli_app.py").write_text("this is no Python\n")
    server = serve("wsgikit", "serve", "cli_app:app", "--port", "PORT")
    assert "SyntaxError" in server.get(wanted="could not be loaded")


def test_without_reload_a_mistake_ends_the_server_with_one_line(serve, folder):
    (folder / "app.ini").write_text("[app:main]\nuse = egg:wsgikit#ap\n")
    server = serve("wsgikit", "serve", "app.ini", "--port", "PORT", "--no-reload")
    assert server.process.wait(timeout=20) == 1
    output = server.stop()
    assert output.count("\n") == 1
    assert output.startswith("wsgikit: app.ini:2 [app:main]: use: expected an application")


def test_waitress_tells_which_port_is_taken(serve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = serve("wsgikit", "serve", "cli_app:app", "--port", str(port), "--server", "waitress")
        assert server.process.wait(timeout=20) == 1
    assert server.stop() == (
        f"wsgikit: serve: 127.0.0.1:{port}: expected a host and port that can be listened on, got: "
        "Address already in use. Stop the other program, or take another port.\n"
    )


LINGERING = """
import pathlib, time
from wsgikit import Middleware, build_stack, use

def app(environ, start_response):
    if environ["PATH_INFO"] == "/lingers":
        pathlib.Path("entered").touch()
        while not pathlib.Path("may_go_on").exists():
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"finished"]

class Closing(Middleware):
    def close(self):
        print("closed", flush=True)

stack = build_stack(app, use(Closing))
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM")
def test_waitress_says_where_it_serves_and_finishes_what_is_under_way_when_it_is_terminated(serve, folder):
    (folder / "cli_lingering.py").write_text(LINGERING)
    server = serve("wsgikit", "serve", "cli_lingering:stack", "--port", "PORT", "--server", "waitress")
    assert server.get() == "finished"
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(server.get, "/lingers")
        while not (folder / "entered").exists():
            time.sleep(0.01)  # between two looks, never as a measure
        server.process.terminate()
        (folder / "may_go_on").touch()
        assert answer.result() == "finished"
    assert server.process.wait(timeout=20) == 0
    output = server.stop()
    assert f"Serving on http://127.0.0.1:{server.port}" in output
    assert output.endswith("closed\n")


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM")
def test_the_development_server_closes_the_stack_when_it_is_terminated(serve, folder):
    (folder / "cli_lingering.py").write_text(LINGERING)
    server = serve("wsgikit", "serve", "cli_lingering:stack", "--port", "PORT", "--no-reload")
    assert server.get() == "finished"
    server.process.terminate()
    assert server.process.wait(timeout=20) == 0
    assert server.stop().endswith("closed\n")


def test_gunicorn_tells_a_mistake_in_one_line_of_its_own(serve, folder):
    (folder / "app.ini").write_text("[app:main]\nuse = egg:wsgikit#ap\n")
    server = serve("wsgikit", "serve", "app.ini", "--port", "PORT", "--server", "gunicorn")
    assert server.process.wait(timeout=20) == 4  # gunicorn's own word for an application that can't be loaded
    output = server.stop()
    assert "\nwsgikit: app.ini:2 [app:main]: use: expected an application" in f"\n{output}"
    assert "Traceback" not in output


def test_the_debugger_opens_on_an_error_for_this_machine(serve):
    server = serve("wsgikit", "serve", "app.ini", "--port", "PORT", "--no-reload", "--debugger", "--set", "http_port=1")
    page = server.get("/broken")
    assert page.startswith("500 ")
    assert "EVALEX = true" in page
    assert "broken on purpose" in page


def test_without_the_debugger_an_error_is_an_error_page(serve):
    server = serve("wsgikit", "serve", "app.ini", "--port", "PORT", "--no-reload", "--set", "http_port=1")
    page = server.get("/broken")
    assert page.startswith("500 ")
    assert "EVALEX" not in page
    assert "broken on purpose" not in page


def test_an_edited_template_is_seen_without_a_restart(serve, folder):
    (folder / "templates").mkdir()
    page = folder / "templates" / "page.html"
    page.write_text("first")
    (folder / "cli_pages.py").write_text(
        "import os\nfrom wsgikit import ContextMiddleware, Router, build_stack, render_template, use\n"
        "router = Router(__name__)\n"
        "@router.get('/')\ndef index():\n    return f'{render_template(\"page.html\")} {os.getpid()}'\n"
        "stack = build_stack(router, use(ContextMiddleware))\n"
    )
    server = serve("wsgikit", "serve", "cli_pages:stack", "--port", "PORT")
    before = server.get(wanted="first").split()
    write_later(page, "second", 10)
    assert server.get(wanted="second").split() == ["second", before[1]]


def test_a_missing_module_is_said_and_waited_for(serve):
    server = serve("wsgikit", "serve", "cli_missing:app", "--port", "PORT")
    assert "there is no module 'cli_missing'" in server.get(wanted="could not be loaded")
    assert "wsgikit: waiting: it is loaded again when a file changes. Press Ctrl-C to end." in server.stop()
