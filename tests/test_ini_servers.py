"""What the servers are started with; that they answer is tested in tests/cli."""

from __future__ import annotations

import sys

import pytest
import werkzeug.serving

from wsgikit import ErrorPagesMiddleware, Middleware, build_stack, use
from wsgikit.exceptions import ConfigurationError
from wsgikit.ini import server, servers
from wsgikit.wsgi import THROW_ERRORS


def broken(environ, start_response):
    raise ValueError("broken on purpose")


@pytest.fixture
def started(monkeypatch):
    """What Werkzeug's server was started with, which is not started."""
    calls: list[dict] = []

    def run_simple(host, port, app, **options):
        calls.append({"host": host, "port": port, "app": app, **options})

    monkeypatch.setattr(werkzeug.serving, "run_simple", run_simple)
    return calls


def ask(app, method="GET", **environ):
    heads = []
    body = app(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "5000",
            "HTTP_HOST": "localhost:5000",
            "wsgi.url_scheme": "http",
            "wsgi.multiprocess": False,
            "wsgi.errors": sys.stderr,
            **environ,
        },
        lambda status, headers, exc_info=None: heads.append(status),
    )
    try:
        return heads, b"".join(body).decode()
    finally:
        getattr(body, "close", lambda: None)()
        heads.append("closed")


def test_an_ini_server_section_runs_the_dev_server_by_default(started):
    server(broken, {}, port="5055")
    (options,) = started
    assert options.pop("app").app is broken
    assert options == {
        "host": "127.0.0.1",
        "port": 5055,
        "use_reloader": False,
        "threaded": True,
        "extra_files": (),
        "request_handler": None,
    }


@pytest.mark.parametrize("reload", [False, True])
def test_the_dev_server_closes_the_stack_at_its_end(reload, started, monkeypatch):
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    closed = []

    class Pool(Middleware):
        def close(self):
            closed.append(self)

    stack = build_stack(broken, use(Pool))
    servers.run_dev_server(lambda: stack, reload=reload)
    assert closed == list(stack.layers)


def test_an_ini_server_section_refuses_what_it_does_not_know(started):
    with pytest.raises(ConfigurationError, match="^egg:wsgikit#server: prot: unknown option: .*Did you mean 'port'"):
        server(broken, {}, prot="5055")
    with pytest.raises(ConfigurationError, match="^egg:wsgikit#server: server: expected dev or waitress, got 'apache'"):
        server(broken, {}, server="apache")


def test_the_process_that_watches_over_the_reloader_loads_nothing(started):
    servers.run_dev_server(lambda: pytest.fail("it was loaded"), reload=True, watched_files=["app.ini"])
    assert started[0]["use_reloader"] is True
    assert started[0]["extra_files"] == ["app.ini"]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ConfigurationError("app.ini:3: wrong."), "app.ini:3: wrong."),
        (ValueError("a bug in your module"), "ValueError: a bug in your module"),
    ],
)
def test_a_reloading_server_shows_why_the_application_is_not_there(error, shown, started, monkeypatch, capsys):
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")

    def load():
        raise error

    servers.run_dev_server(load, reload=True)
    heads, body = ask(started[0]["app"])
    assert heads[0] == "500 Internal Server Error"
    assert shown in body
    assert shown in capsys.readouterr().err
    assert ask(started[0]["app"], "HEAD")[1] == ""


@pytest.mark.filterwarnings("ignore")  # Werkzeug tells of its PIN
@pytest.mark.parametrize(
    ("environ", "has_console"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, True),
        ({"REMOTE_ADDR": "::1"}, True),
        ({"REMOTE_ADDR": "10.0.0.7"}, False),
        ({"REMOTE_ADDR": ""}, False),
        ({}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "10.0.0.7"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "wsgi.multiprocess": True}, False),
    ],
)
def test_the_debugger_is_for_visitors_from_this_machine(environ, has_console, started, monkeypatch, caplog):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "off")
    stack = build_stack(broken, use(ErrorPagesMiddleware))
    servers.run_dev_server(lambda: stack, debugger=True)
    _, body = ask(started[0]["app"], **environ)
    assert ("EVALEX = true" in body) is has_console
    assert ("broken on purpose" in body) is has_console


def test_the_debugger_asks_layers_to_let_errors_through(started, monkeypatch):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "off")
    seen = []

    def app(environ, start_response):
        seen.append(environ.get(THROW_ERRORS))
        start_response("200 OK", [])
        return [b""]

    servers.run_dev_server(lambda: app, debugger=True)
    ask(started[0]["app"], REMOTE_ADDR="127.0.0.1")
    assert seen == [True]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "example.com", "192.168.1.5"])
def test_the_debugger_is_refused_on_an_address_that_others_reach(host, started):
    with pytest.raises(ConfigurationError, match="^serve: --debugger: expected an address of this machine only"):
        servers.run_dev_server(lambda: broken, host=host, debugger=True)
    assert started == []


@pytest.mark.parametrize(
    ("module", "run"),
    [
        ("waitress", lambda: servers.run_waitress(broken)),
        ("gunicorn.app.base", lambda: servers.run_gunicorn(lambda: broken)),
    ],
)
def test_a_server_that_is_not_installed_names_the_extra(module, run, monkeypatch):
    package = module.partition(".")[0]
    for loaded in {module, *(name for name in sys.modules if name.partition(".")[0] == package)}:
        monkeypatch.setitem(sys.modules, loaded, None)
    with pytest.raises(ConfigurationError) as raised:
        run()
    assert str(raised.value) == (
        f"serve: {module.partition('.')[0]}: expected it to be installed, got no such package. "
        "Run: pip install 'wsgikit[serve]'."
    )
