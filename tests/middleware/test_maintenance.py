"""`MaintenanceMiddleware`: on and off by a flag, who gets in, and what the others get."""

from __future__ import annotations

import json

import pytest

from wsgikit.error_pages.middleware import ErrorPagesMiddleware
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware import maintenance as module
from wsgikit.middleware.health import HealthMiddleware
from wsgikit.middleware.maintenance import BYPASS_SECONDS, MaintenanceMiddleware, is_bypass, make_bypass
from wsgikit.onion.stack import build_stack, use
from wsgikit.testing import assert_conforms

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def on():
    return True


def test_a_file_turns_it_on_and_off_within_a_second(ask, clock, tmp_path):
    flag = tmp_path / "flag"
    layers = []

    def make(app):
        layers[:] = layers or [MaintenanceMiddleware(app, flag=str(flag))]
        return layers[0]

    assert ask(make).code == 200
    flag.touch()
    assert ask(make).code == 200  # it was looked at in this second
    clock.now += 1
    assert ask(make).code == 503
    flag.unlink()
    assert ask(make).code == 503
    clock.now += 1
    assert ask(make).code == 200


def test_the_flag_is_looked_at_once_a_second(clock):
    looks = []
    layer = MaintenanceMiddleware(print, flag=lambda: looks.append(1) or False)
    environs = [{"REQUEST_METHOD": "GET"} for _ in range(20)]
    from wsgikit.onion.exchange import Exchange

    for environ in environs:
        layer.before_request(Exchange(layer._onion, environ, print))
    assert len(looks) == 1
    clock.now += 1
    layer.before_request(Exchange(layer._onion, environs[0], print))
    assert len(looks) == 2


def test_a_flag_that_fails_is_logged_and_keeps_its_state(ask, clock, caplog):
    results = iter([True, OSError("disk")])

    def flag():
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    layer = MaintenanceMiddleware(print, flag=flag)
    assert ask(lambda app: layer).code == 503
    clock.now += 1
    assert ask(lambda app: layer).code == 503
    assert "flag: can't be read. It stays on." in caplog.text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/html", "text/html; charset=utf-8"),
        ("application/json", "application/problem+json"),
        (None, "text/plain; charset=utf-8"),
    ],
)
def test_the_answer_follows_accept(ask, accept, content_type):
    answer = ask(lambda app: MaintenanceMiddleware(app, flag=on, retry_after_seconds=60), HTTP_ACCEPT=accept)
    assert (answer.code, answer["Content-Type"], answer["Retry-After"]) == (503, content_type, "60")
    assert answer["Cache-Control"] == "no-store"
    assert answer.seen is None
    if "json" in content_type:
        assert json.loads(answer.body)["status"] == 503


def test_a_page_of_the_site_is_for_browsers(ask, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<h1>Back at nine</h1>")

    def make(app):
        return build_stack(app, use(ErrorPagesMiddleware), use(MaintenanceMiddleware, flag=on, page=str(page)))

    browser = ask(make, HTTP_ACCEPT="text/html,*/*;q=0.8")
    assert (browser.code, browser.body, browser["Retry-After"]) == (503, b"<h1>Back at nine</h1>", "300")
    assert ask(make, method="HEAD", HTTP_ACCEPT="text/html").body == b""
    client = ask(make, HTTP_ACCEPT="application/json")
    assert client["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("address", "code"), [("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("192.0.2.1", 503), ("", 503), (None, 503)]
)
def test_an_allowed_address_gets_in(ask, address, code):
    answer = ask(lambda app: MaintenanceMiddleware(app, flag=on, allow="10.0.0.0/8"), REMOTE_ADDR=address)
    assert answer.code == code


@pytest.mark.parametrize(
    ("secrets", "code"),
    [(SECRET, 200), ([OTHER, SECRET], 200), (OTHER, 503), (None, 503)],
    ids=["same", "rotated", "another", "none"],
)
def test_a_bypass_cookie_gets_in_if_its_signature_is_ours(ask, secrets, code):
    cookie = f"a=b; wsgikit_maintenance={make_bypass([SECRET.encode()])}"
    answer = ask(lambda app: MaintenanceMiddleware(app, flag=on, secret_key=secrets), HTTP_COOKIE=cookie)
    assert answer.code == code


@pytest.mark.parametrize(
    ("age", "is_valid"), [(0, True), (BYPASS_SECONDS - 1, True), (BYPASS_SECONDS, False), (-60, False)]
)
def test_a_bypass_lasts_eight_hours(monkeypatch, age, is_valid):
    from wsgikit.crypto.signing import TimedSigner

    signer = TimedSigner([SECRET.encode()], b"wsgikit.maintenance")
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)
    token = make_bypass([SECRET.encode()])
    assert is_bypass(signer, token, 1_700_000_000 + age) is is_valid


@pytest.mark.parametrize("token", ["", ".", "a.b.c", "é", "x" * 5000, "a.b\x00"])
def test_a_forged_bypass_is_refused(ask, token):
    answer = ask(
        lambda app: MaintenanceMiddleware(app, flag=on, secret_key=SECRET), HTTP_COOKIE=f"wsgikit_maintenance={token}"
    )
    assert answer.code == 503


def test_a_token_of_another_purpose_is_no_bypass():
    from wsgikit.crypto.signing import TimedSigner

    token = TimedSigner([SECRET.encode()], b"wsgikit.session").sign(b"x").decode()
    assert not is_bypass(TimedSigner([SECRET.encode()], b"wsgikit.maintenance"), token, 1_700_000_000)


def test_health_checks_are_answered_during_maintenance(ask):
    def make(app):
        return build_stack(app, use(HealthMiddleware, checks=[]), use(MaintenanceMiddleware, flag=on))

    assert ask(make, path="/livez").code == 200
    with pytest.raises(ConfigurationError, match="MaintenanceMiddleware must stand inside HealthMiddleware"):
        build_stack(print, use(MaintenanceMiddleware, flag=on), use(HealthMiddleware))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"flag": ""}, "flag: expected the path of a file, or a function, got ''"),
        ({"flag": 3}, "flag: expected the path of a file, or a function, got 3"),
        ({"flag": on, "allow": "office"}, "allow: expected addresses or networks"),
        ({"flag": on, "retry_after_seconds": 0}, "retry_after_seconds: expected a whole number of at least 1"),
        ({"flag": on, "page": "/nowhere.html"}, "page: expected the path of an HTML file that can be read"),
        ({"flag": on, "secret_key": "short"}, "secret_key: expected at least 16 bytes"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match="^MaintenanceMiddleware: ") as caught:
        MaintenanceMiddleware(print, **options)
    assert text in str(caught.value)


def test_it_conforms():
    assert_conforms(lambda app: MaintenanceMiddleware(app, flag="/nowhere/flag"))
