"""Who gets a traceback, and who gets the console."""

from __future__ import annotations

import io
import logging
import re
import weakref

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from wsgikit import (
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
    use,
)
from wsgikit.exceptions import ConfigurationError


def boom(environ, start_response):
    raise ValueError("told to developers")


def sees_traceback(got):
    assert got.status == "500 Internal Server Error"
    return "told to developers" in got.text


@pytest.mark.parametrize(
    ("environ", "is_shown"),
    [
        pytest.param({"REMOTE_ADDR": "127.0.0.1"}, True, id="loopback"),
        pytest.param({"REMOTE_ADDR": "127.8.0.9"}, True, id="all of 127/8"),
        pytest.param({"REMOTE_ADDR": "::1"}, True, id="loopback, IPv6"),
        pytest.param({"REMOTE_ADDR": "::ffff:127.0.0.1"}, True, id="loopback, mapped"),
        pytest.param({"REMOTE_ADDR": None}, True, id="made by a test, without a server"),
        pytest.param({"REMOTE_ADDR": "192.168.0.7"}, False, id="the network"),
        pytest.param({"REMOTE_ADDR": "2001:db8::1"}, False, id="the network, IPv6"),
        pytest.param({"REMOTE_ADDR": ""}, False, id="a Unix socket"),
        pytest.param({"REMOTE_ADDR": "localhost"}, False, id="a name"),
        pytest.param({"HTTP_HOST": "localhost", "REMOTE_ADDR": "10.0.0.1"}, False, id="the Host header doesn't count"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1", "REMOTE_ADDR": "10.0.0.1"}, False, id="nor a forged one"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, False, id="a proxy on this machine for a stranger"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1, 203.0.113.9"}, False, id="one of them a stranger"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False, id="a client's own X-Forwarded-For"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "[::1]:5173"}, False, id="with port, IPv6"),
        pytest.param({"HTTP_FORWARDED": 'for="[2001:db8::1]:4711";proto=http'}, False, id="Forwarded, a stranger"),
        pytest.param({"HTTP_FORWARDED": "for=127.0.0.1:80"}, False, id="a client's own Forwarded"),
        pytest.param({"HTTP_FORWARDED": "for=unknown"}, False, id="Forwarded, unknown"),
        pytest.param({"HTTP_X_REAL_IP": "203.0.113.9"}, False, id="X-Real-IP"),
        pytest.param({"HTTP_X_FORWARDED_PROTO": "https"}, False, id="a proxy that doesn't say for whom"),
        pytest.param({"HTTP_HOST": "evil.example"}, False, id="DNS rebinding"),
        pytest.param({"HTTP_HOST": "[::1]:5000"}, True, id="Host, an address"),
        pytest.param({"SERVER_SOFTWARE": "waitress"}, False, id="waitress"),
        pytest.param({"SERVER_SOFTWARE": "Werkzeug/3.1.3"}, True, id="the development server"),
    ],
)
def test_a_traceback_is_for_loopback_peers(ask, environ, is_shown):
    for accept in ("text/html", "application/json", "*/*"):
        assert sees_traceback(ask(ErrorPagesMiddleware(boom, debug=True), accept=accept, **environ)) is is_shown


def test_the_refusal_is_one_clear_line_in_the_log(ask, records):
    layer = ErrorPagesMiddleware(boom, debug=True)
    for _ in range(3):
        assert not sees_traceback(ask(layer, REMOTE_ADDR="192.168.0.7"))
    (line,) = [record.getMessage() for record in records() if record.levelno == logging.WARNING]
    assert line == (
        "debug=True, but no traceback was shown: the peer 192.168.0.7 is not a loopback address. "
        "If a developer is there, add the address to debug_hosts="
    )


def test_debug_hosts_lets_a_network_in(ask):
    layer = ErrorPagesMiddleware(boom, debug=True, debug_hosts=["172.17.0.0/16", "2001:db8::7"])
    assert sees_traceback(ask(layer, REMOTE_ADDR="172.17.0.1"))
    assert sees_traceback(ask(layer, REMOTE_ADDR="2001:db8::7"))
    assert sees_traceback(ask(layer))
    assert not sees_traceback(ask(layer, REMOTE_ADDR="172.18.0.1"))
    assert sees_traceback(ask(layer, REMOTE_ADDR="172.17.0.1", HTTP_HOST="app.example", SERVER_SOFTWARE="waitress"))


def test_proxy_fix_does_not_make_a_stranger_a_neighbour(ask):
    stack = build_stack(boom, ProxyFix, use(ErrorPagesMiddleware, debug=True))
    assert not sees_traceback(ask(stack, REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_FOR="127.0.0.1"))


def test_without_debug_nobody_sees_a_traceback(ask):
    assert not sees_traceback(ask(ErrorPagesMiddleware(boom, debug_hosts=["0.0.0.0/0"])))


@pytest.mark.parametrize("hosts", [["localhost"], "*", ["10.0.0.0/99"]])
def test_what_is_no_address_is_refused_while_building(hosts):
    with pytest.raises(ConfigurationError, match="debug_hosts: expected addresses or networks such as '10.0.0.7'"):
        ErrorPagesMiddleware(boom, debug=True, debug_hosts=hosts)


def test_http_errors_are_the_visitors_page_in_debug_too(ask, answering):
    assert "<h1>Page not found</h1>" in ask(ErrorPagesMiddleware(answering("404 Not Found"), debug=True)).text


# ---------------------------------------------------------------------- the console


@pytest.fixture
def console(monkeypatch):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "123-456-789")
    return ErrorPagesMiddleware(boom, debug=True, console=True)


def secret_of(html):
    return re.search(r'SECRET = "(\w+)"', html)[1]


def test_the_console_needs_debug():
    with pytest.raises(ConfigurationError, match="console: expected debug=True beside it, got True"):
        ErrorPagesMiddleware(boom, console=True)


@pytest.mark.parametrize("option", ["debug", "console", "show_locals", "replace_empty"])
@pytest.mark.parametrize("value", ["0", "false", "true", "", 1, None], ids=repr)
def test_a_switch_takes_nothing_but_true_and_false(option, value):
    with pytest.raises(ConfigurationError) as caught:
        ErrorPagesMiddleware(boom, **{"debug": True, option: value})
    assert str(caught.value).startswith(f"ErrorPagesMiddleware: {option}: expected True or False, got {value!r}.")
    assert ("has to be compared: os.environ.get(…) == '1'." in str(caught.value)) is isinstance(value, str)


@pytest.mark.parametrize("inner", [SessionMiddleware, DatabaseMiddleware, RouterMiddleware])
def test_a_stack_without_a_page_for_what_fails_while_saving_is_refused(inner):
    options = {
        SessionMiddleware: {"secret_key": "k0123456789abcde"},
        DatabaseMiddleware: {"url": "sqlite://"},
        RouterMiddleware: {"router": Router("app")},
    }[inner]
    with pytest.raises(ConfigurationError) as caught:
        build_stack(boom, use(inner, **options), use(ErrorPagesMiddleware))
    name = inner.__name__
    assert str(caught.value).startswith("build_stack: ")
    assert f"The order that works, outermost first: [ErrorPagesMiddleware, {name}]." in str(caught.value)


def test_the_console_is_werkzeugs_debugger_behind_a_pin(ask, console, records):
    errors = io.StringIO()
    got = ask(console, **{"wsgi.errors": errors})
    assert got.status.startswith("500 ")
    assert not errors.getvalue(), "it is in the log, once"
    assert "Werkzeug Debugger" in got.text
    assert "EVALEX = true" in got.text
    assert "EVALEX_TRUSTED = false" in got.text
    assert len(records(logging.ERROR)) == 1, "it is logged as any error"
    script = ask(console, path="/?__debugger__=yes&cmd=resource&f=debugger.js")
    assert script.headers.get("Content-Type").startswith("text/javascript")


def test_no_code_runs_before_the_pin_and_some_after_it(ask, console):
    html = ask(console).text
    frame = re.findall(r'id="frame-(\d+)"', html)[-1]
    ask_for = f"/?__debugger__=yes&cmd=6*7&frm={frame}&s={secret_of(html)}"
    refused = ask(console, path=ask_for)
    assert (refused.status, refused.text) == ("403 Forbidden", "The debugger does not take this request.\n")
    pin = ask(console, path=f"/?__debugger__=yes&cmd=pinauth&pin=123-456-789&s={secret_of(html)}")
    assert pin.json == {"auth": True, "exhausted": False}
    cookie = pin.headers.get("Set-Cookie").partition(";")[0]
    assert "HttpOnly" in pin.headers.get("Set-Cookie")
    assert "42" in ask(console, path=ask_for, HTTP_COOKIE=cookie).text


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        pytest.param(
            {"wsgi.multiprocess": True}, "the server runs several processes (wsgi.multiprocess)", id="processes"
        ),
        pytest.param({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, "the request came through a proxy", id="X-Forwarded-For"),
        pytest.param({"HTTP_X_FORWARDED_PROTO": "https"}, "came through a proxy", id="X-Forwarded-Proto"),
        pytest.param({"HTTP_HOST": "evil.example"}, "the Host 'evil.example' is neither", id="DNS rebinding"),
        pytest.param({"SERVER_SOFTWARE": "waitress"}, "the server 'waitress' may hide a proxy", id="waitress"),
        pytest.param({"HTTP_FORWARDED": "for=127.0.0.1"}, "the request came through a proxy", id="Forwarded"),
        pytest.param({"HTTP_X_REAL_IP": "127.0.0.1"}, "the request came through a proxy", id="X-Real-IP"),
        pytest.param({"REMOTE_ADDR": "10.0.0.1"}, "the peer 10.0.0.1 is not a loopback address", id="a neighbour"),
        pytest.param({"REMOTE_ADDR": None}, "the peer is not known", id="nobody knows whom"),
    ],
)
def test_the_console_is_refused(ask, monkeypatch, records, environ, reason):
    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "123-456-789")
    layer = ErrorPagesMiddleware(boom, debug=True, console=True, debug_hosts=["10.0.0.1"])
    html = ask(layer).text  # a page with frames that could be asked for
    frame = re.findall(r'id="frame-(\d+)"', html)[-1]
    got = ask(layer, **environ)
    assert "Werkzeug Debugger" not in got.text
    assert "EVALEX" not in got.text
    assert any(reason in record.getMessage() for record in records(logging.WARNING))
    secret = secret_of(html)
    for query in (
        f"cmd=6*7&frm={frame}&s={secret}",
        f"cmd=pinauth&pin=123-456-789&s={secret}",
        "cmd=resource&f=style.css",
    ):
        got = ask(layer, path=f"/?__debugger__=yes&{query}", **environ)
        assert got.status == "500 Internal Server Error", "the application had it, as any request"
        assert not got.headers.has("Set-Cookie")


def test_without_the_console_the_debuggers_requests_are_the_applications(ask):
    got = ask(ErrorPagesMiddleware(boom, debug=True), path="/?__debugger__=yes&cmd=resource&f=debugger.js")
    assert got.status == "500 Internal Server Error"


def test_clients_that_want_data_get_it_with_the_console_too(ask, console):
    assert ask(console, accept="application/json").json["debug"]["exceptions"][0]["type"] == "ValueError"


class BoomError(Exception):
    """An error that can be watched."""


def test_the_console_keeps_the_last_ten_errors_and_no_more(ask, monkeypatch):
    import gc

    monkeypatch.setenv("WERKZEUG_DEBUG_PIN", "123-456-789")
    errors = []

    def app(environ, start_response):
        error = BoomError()
        errors.append(weakref.ref(error))
        raise error

    layer = ErrorPagesMiddleware(app, debug=True, console=True)
    logging.disable()
    try:
        for _ in range(15):
            ask(layer)
    finally:
        logging.disable(logging.NOTSET)
    gc.collect()
    assert sum(error() is not None for error in errors) == 10
