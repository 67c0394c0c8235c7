"""The recipes for reporters: Sentry's SDK with a transport that keeps events, a mail server of twenty lines."""

from __future__ import annotations

import importlib
import logging
import os
import pathlib
import socketserver
import subprocess
import sys
import threading

import pytest

from wsgikit import ErrorPagesMiddleware

RECIPES = pathlib.Path(__file__).parents[2] / "recipes"


@pytest.fixture
def recipe(monkeypatch):
    """Import the modules of a recipe as its own folder does, and forget them afterwards."""
    before = set(sys.modules)

    def recipe(folder, module):
        monkeypatch.syspath_prepend(str(RECIPES / folder))
        return importlib.import_module(module)

    yield recipe
    for name in ("app", "report_to_sentry", "report_by_mail"):
        if name not in before:
            sys.modules.pop(name, None)


def boom(environ, start_response):
    raise ValueError("postgresql://app:hush@db/x")


# ---------------------------------------------------------------------- Sentry


@pytest.fixture
def events(monkeypatch):
    sentry_sdk = pytest.importorskip("sentry_sdk", reason="sentry-sdk is not installed")
    kept = []

    class Keeps(sentry_sdk.transport.Transport):
        def capture_envelope(self, envelope):
            kept.extend(item.payload.json for item in envelope.items if item.type == "event")

    # Its integrations patch libraries for the whole process: other tests must not see that.
    alone = {"default_integrations": False, "auto_enabling_integrations": False, "auto_session_tracking": False}
    sentry_sdk.init(dsn="https://key@localhost/1", transport=Keeps, **alone)
    yield kept
    sentry_sdk.get_client().close()
    sentry_sdk.init(**alone)


def test_an_error_is_one_sentry_event_with_the_id_that_the_visitor_saw(ask, recipe, events):
    reporter = recipe("errors_to_sentry", "report_to_sentry").report_to_sentry
    arguments = {"wsgiorg.routing_args": ((), {"route": "/orders/<id>"}), "wsgikit.request_id": "r-1"}
    got = ask(ErrorPagesMiddleware(boom, report=reporter), path="/orders/7", **arguments)
    (event,) = events
    assert event["tags"]["error_id"] in got.text
    assert event["tags"]["request_id"] == "r-1"
    assert event["transaction"] == "/orders/<id>"
    assert len(event["fingerprint"]) == 1
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert event["contexts"]["request"] == {
        "method": "GET",
        "path": "/orders/7",
        "answered": "500 Internal Server Error",
    }


def test_the_sentry_recipe_runs_without_a_dsn():
    pytest.importorskip("sentry_sdk", reason="sentry-sdk is not installed")
    program = (
        "from app import application; from wsgiref.util import setup_testing_defaults as fill; environ = {}; "
        "fill(environ); application(environ, lambda status, headers, exc_info=None: print(status))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "SENTRY_DSN"}
    folder = RECIPES / "errors_to_sentry"
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=environ, capture_output=True, text=True)
    assert done.stdout.strip() == "500 Internal Server Error", done.stderr


# ---------------------------------------------------------------------- mail


@pytest.fixture
def reporter(recipe):
    """Make a reporter that keeps its mails, with a clock that a test sets."""
    made = []

    def reporter(**options):
        now = [0.0]
        mails = []
        options = {"sender": "app@x.org", "recipients": ["a@x.org", "b@x.org"], "send": mails.append, **options}
        made.append(recipe("errors_by_mail", "report_by_mail").MailReporter(clock=lambda: now[0], **options))
        return made[-1], mails, now

    yield reporter
    for each in made:
        each.close()


def failing_in(name):
    namespace = {}
    exec(f"def {name}(environ, start_response):\n    raise ValueError('x')", namespace)
    return namespace[name]


def test_a_mail_says_what_the_one_on_call_needs_and_no_password(ask, reporter):
    report, mails, _ = reporter()
    got = ask(ErrorPagesMiddleware(boom, report=report), path="/orders/7\n")
    report.close()
    (mail,) = mails
    text = mail.get_content()
    assert mail["To"] == "a@x.org, b@x.org"
    assert mail["Subject"].startswith("ValueError in GET /orders/7\\n [")
    assert text.partition("Error id     ")[2][:9] in got.text
    assert "Traceback (most recent call last):" in text
    assert "ValueError: postgresql://app:••••••@db/x" in text


def test_the_same_error_is_mailed_once_and_counted(ask, reporter):
    report, mails, now = reporter()
    app = ErrorPagesMiddleware(boom, report=report)
    for _ in range(5):
        ask(app)
    now[0] = 3600.0
    ask(app)
    report.close()
    first, second = (mail.get_content() for mail in mails)
    assert "Not mailed" not in first
    assert "Not mailed   4 of this kind since the last mail" in second


def test_there_are_never_more_than_so_many_an_hour(ask, reporter):
    report, mails, now = reporter(most_per_hour=3)
    apps = [ErrorPagesMiddleware(failing_in(f"view_{number}"), report=report) for number in range(5)]
    for app in apps:
        ask(app)
    now[0] = 3601.0
    ask(apps[4])
    report.close()
    assert len(mails) == 4
    assert "Not mailed   1 of this kind" in mails[3].get_content()


def test_a_mail_server_that_is_down_costs_a_line_in_the_log(ask, reporter, caplog):
    def refuse(message):
        raise ConnectionRefusedError

    report, _, _ = reporter(send=refuse)
    assert ask(ErrorPagesMiddleware(boom, report=report)).status == "500 Internal Server Error"
    report.close()
    assert "An error report could not be mailed: ValueError in GET /" in caplog.text


class MailServer(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as smtplib asks for."""

    received: list[str] = []

    def handle(self):
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            word = line.strip().upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line.decode())
                self.received.append("".join(lines))
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
            if word == b"QUIT":
                return


def test_the_mail_recipe_sends_by_smtp(ask, recipe, monkeypatch):
    with socketserver.TCPServer(("127.0.0.1", 0), MailServer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            monkeypatch.setenv("MAIL_HOST", "127.0.0.1")
            monkeypatch.setenv("MAIL_PORT", str(server.server_address[1]))
            module = recipe("errors_by_mail", "app")
            assert ask(module.application).status == "500 Internal Server Error"
            module.mail.close()
        finally:
            server.shutdown()
            thread.join()
    (mail,) = MailServer.received
    assert "To: root@localhost" in mail
    assert "RuntimeError: an error for the mail" in mail
    logging.getLogger("report_by_mail").handlers.clear()
