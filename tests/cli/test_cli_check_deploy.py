"""``wsgikit check --deploy``: each risk with its topic, and no false alarm on the preset and the recipes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"
SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"
FILE = """[pipeline:main]
pipeline = layer app
[app:app]
use = egg:wsgikit#app
app = cli_app:app
[filter:layer]
"""
SITE = ("use = egg:wsgikit#production", "secret_key = env:CLI_SECRET", "hosts = example.com")


@pytest.fixture
def deploy(run, folder, monkeypatch):
    """A function that checks an onion of one section, given by its lines, and returns the status and the findings."""
    monkeypatch.setenv("CLI_SECRET", SECRET)

    def deploy(*lines: str, options: tuple[str, ...] = ()) -> tuple[int, list[dict[str, str]]]:
        (folder / "one.ini").write_text(FILE + "\n".join(lines) + "\n")
        status, output, errors = run("check", "--deploy", "--json", "one.ini", *options)
        assert errors == ""
        report = json.loads(output)
        assert report["target"] == "one.ini"
        assert report["problems"] == sum(each["status"] == "PROBLEM" for each in report["findings"])
        assert status == (1 if report["problems"] else 0)
        return status, report["findings"]

    return deploy


def test_the_preset_has_no_problem_and_one_note(deploy):
    status, findings = deploy(*SITE)
    assert status == 0
    assert findings == [
        {
            "topic": "csp",
            "status": "note",
            "where": "SecurityHeadersMiddleware",
            "text": (
                "csp: style-src has 'unsafe-inline', as Helmet's default: injected styles work. NONCE is stricter."
            ),
        }
    ]


# The lines beside those of the preset; topic, status and the beginning of the text of what is found.
RISKS = {
    "debug": ("error_pages.debug = yes", "debug", "PROBLEM", "debug is on"),
    "console": ("error_pages.debug = yes\nerror_pages.console = yes", "debug", "PROBLEM", "console is on"),
    "short secret": ("session.secret_key = 0123456789abcdef0123", "secrets", "PROBLEM", "secret_key works, but"),
    "secret in the file": (f"session.secret_key = {SECRET}", "secrets", "note", "session.secret_key: the secret"),
    "local hosts": ("trusted_hosts.hosts = localhost, 127.0.0.1:8080", "hosts", "note", "hosts names this machine"),
    "no hosts": ("trusted_hosts = off", "hosts", "note", "it is missing. Add use(TrustedHostsMiddleware, hosts=[…])"),
    "no https": ("https = off", "https", "note", "it is missing. Add use(HttpsMiddleware), unless the proxy"),
    "no HSTS": ("https.hsts_seconds = none", "https", "PROBLEM", "hsts_seconds is off"),
    "short HSTS": ("https.hsts_seconds = 1d", "https", "note", "hsts_seconds is 86400, less than half a year"),
    "no redirect": ("https.redirect = no", "https", "note", "redirect is off"),
    "every proxy": ("trusted_proxies = 0.0.0.0/0", "proxy", "PROBLEM", "trusted_proxies is every address"),
    "every IPv6 proxy": ("trusted_proxies = 10.0.0.1, ::/0", "proxy", "PROBLEM", "trusted_proxies is every address"),
    "headers of clients": ("proxy_headers.strip_untrusted = no", "proxy", "PROBLEM", "strip_untrusted is off"),
    "forwarded host": ("proxy_headers.headers = x-forwarded-host", "proxy", "note", "x-forwarded-host is believed"),
    "no proxy headers": ("proxy_headers = off", "proxy", "note", "it is missing. Add use(ProxyHeadersMiddleware)"),
    "insecure cookies": ("cookie_policy.secure = no", "cookies", "PROBLEM", "secure is off"),
    "no cookie policy": ("cookie_policy = off", "cookies", "note", "it is missing. Add use(CookiePolicyMiddleware)"),
    "cookie over http": (
        "session.cookie_name = s\nsession.cookie_secure = auto",
        "cookies",
        "note",
        "cookie_secure is auto",
    ),
    "no csrf": ("csrf = off", "csrf", "note", "it is missing, and SessionMiddleware knows visitors"),
    "csrf only reported": ("csrf.report_only = yes", "csrf", "PROBLEM", "report_only is on"),
    "no policy": ("security_headers.csp = none", "csp", "note", "the Content-Security-Policy is off"),
    "policy only reported": (
        "security_headers.csp = none\nsecurity_headers.csp_report_only =\n  img-src = *",
        "csp",
        "note",
        "the Content-Security-Policy is only reported",
    ),
    "no security headers": ("security_headers = off", "csp", "note", "it is missing. Add use(SecurityHeaders"),
    "inline scripts": (
        "security_headers.csp =\n  script-src = 'self' 'unsafe-inline'",
        "csp",
        "PROBLEM",
        "csp: script-src has 'unsafe-inline': injected scripts run",
    ),
    "eval": (
        "security_headers.csp =\n  script-src = 'self' NONCE 'unsafe-eval'",
        "csp",
        "PROBLEM",
        "csp: script-src has 'unsafe-eval'",
    ),
    "scripts by the default": (
        "security_headers.csp_defaults = no\nsecurity_headers.csp =\n  default-src = *",
        "csp",
        "PROBLEM",
        "csp: default-src has *",
    ),
    "policy without scripts": (
        "security_headers.csp_defaults = no\nsecurity_headers.csp =\n  default-src = none\n  img-src = 'self'",
        "csp",
        "PROBLEM",
        "csp has no script-src and no default-src",
    ),
    "no body limit": ("body_limit = off", "body limit", "note", "it is missing. Add use(BodyLimitMiddleware)"),
    "memory store": ("session.store = memory://", "stores", "PROBLEM", "store is memory:// under several workers"),
    "counts in memory": ("rate_limit = 100/minute", "stores", "note", "store is memory:// under several workers"),
    "cache in memory": ("cache = on", "stores", "note", "store is memory:// under several workers: each process has a"),
    "open metrics": ("metrics.allow = 0.0.0.0/0", "inside views", "PROBLEM", "allow is every address"),
    "inspector": ("inspector = on", "inside views", "note", "it is for development"),
    "profiler": ("profiler = on", "inside views", "note", "it is for development"),
    "open health": ("health.allow = 0.0.0.0/0", "inside views", "PROBLEM", "allow is every address"),
}


@pytest.mark.parametrize(("lines", "topic", "status", "text"), RISKS.values(), ids=RISKS)
def test_a_risk_is_found_with_what_to_do(lines, topic, status, text, deploy):
    _, findings = deploy(*SITE, *lines.split("\n"))
    found = [each for each in findings if each["topic"] == topic and each["text"].startswith(text)]
    assert [each["status"] for each in found] == [status], findings
    assert found[0]["text"].endswith(".")
    assert found[0]["where"]


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("security_headers.csp =\n  script-src = 'self' 'unsafe-inline' NONCE", "script-src has 'unsafe-inline'"),
        ("trusted_proxies = unix, 10.0.0.0/8", "trusted_proxies"),
        ("health.allow = local, 10.0.0.0/8", "allow"),
        ("trusted_hosts.hosts = localhost, example.com", "hosts names"),
    ],
    ids=["inline beside a nonce", "named proxies", "named addresses", "a host of the site"],
)
def test_what_is_safe_is_not_found(lines, text, deploy):
    _, findings = deploy(*SITE, *lines.split("\n"))
    assert [each for each in findings if text in each["text"]] == []


def test_a_store_in_memory_is_right_for_one_worker(deploy):
    lines = (*SITE, "session.store = memory://")
    assert deploy(*lines, options=("--workers", "1"))[0] == 0
    assert deploy(*lines)[0] == 1


def test_an_unusual_order_is_a_note(run, folder):
    (folder / "cli_order.py").write_text(
        "from wsgikit import *\n"
        "def app(environ, start_response): ...\n"
        "stack = build_stack(app, use(ConditionalMiddleware), use(CompressionMiddleware))\n"
    )
    report = json.loads(run("check", "--deploy", "--json", "cli_order:stack")[1])
    (note,) = [each for each in report["findings"] if each["topic"] == "order"]
    assert note["status"] == "note"
    assert note["text"] == "CompressionMiddleware usually stands outside ConditionalMiddleware."


def test_the_table_has_a_row_for_each_topic(run, folder, monkeypatch):
    monkeypatch.setenv("CLI_SECRET", SECRET)
    (folder / "one.ini").write_text(FILE + "\n".join((*SITE, "error_pages.debug = yes")) + "\n")
    status, output, _ = run("check", "--deploy", "one.ini")
    lines = output.splitlines()
    assert status == 1
    assert "secrets       ok       secrets are long, not from an example, and not in the file" in lines
    assert any(line.startswith("debug         PROBLEM  ErrorPagesMiddleware: debug is on") for line in lines)
    assert lines[-1] == "one.ini: 1 problem, 1 note."
    assert max(map(len, lines)) <= 100


def test_json_without_deploy_is_a_wrong_use(run):
    status, _, errors = run("check", "--json", "app.ini")
    assert status == 2
    assert "--json is for the report of --deploy." in errors


# The recipes are examples, not sites: what is missing around them are notes. A problem would be a false alarm.
@pytest.mark.parametrize(
    ("recipe", "target"),
    [
        ("quickstart", "guestbook.ini"),
        ("errors_by_mail", "app:application"),
        ("from_beaker", "3_moved.ini"),
        ("rest_api", "app:app"),
        ("flask_way", "app:app"),
        ("guestbook_orm", "app:app"),
        ("tutorial/6_api", "app:app"),
    ],
)
def test_a_recipe_raises_no_false_alarm(recipe, target, tmp_path):
    copy = tmp_path / "recipe"
    shutil.copytree(RECIPES / recipe, copy, ignore=shutil.ignore_patterns("secret.txt", "*.db", "__pycache__"))
    (copy / "secret.txt").write_text(SECRET)
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "SECRET_KEY": SECRET, "SHOP_SECRET": SECRET}
    environ["DATABASE_URL"] = "sqlite://"
    command = [str(Path(sys.executable).with_name("wsgikit")), "check", "--deploy", "--json", target]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=60, env=environ)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout[done.stdout.index("{") :])
    assert [each for each in report["findings"] if each["status"] == "PROBLEM"] == []
