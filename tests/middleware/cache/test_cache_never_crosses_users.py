"""No visitor gets a page that was made for another one: 20,000 steps of a state machine (a tenth by default).

The application is honest: what depends on the visitor says so, by one of the ways that RFC 9111 and the layers know.
"""

from __future__ import annotations

import time
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.middleware.cache.conftest import call
from wsgikit import CacheMiddleware, SessionMiddleware, build_stack, use
from wsgikit.middleware.cache import entry, middleware

SECRET = "0123456789abcdef" * 4
USERS = ("ada", "bob", "eve")
LANGUAGES = ("de", "en", None)

# Path: (headers, what the page depends on).
PAGES = {
    "/public": ([("Cache-Control", "max-age=30, stale-while-revalidate=20")], ()),
    "/tagged": ([("Cache-Control", "max-age=30"), ("ETag", '"1"')], ()),
    "/default": ([], ("cookie", "authorization")),
    "/language": ([("Cache-Control", "s-maxage=30"), ("Vary", "Accept-Language")], ("language",)),
    "/cookie": ([("Cache-Control", "max-age=30"), ("Vary", "Cookie")], ("cookie",)),
    "/cookie-stale": ([("Cache-Control", "max-age=5, stale-if-error=90"), ("Vary", "Cookie")], ("cookie",)),
    "/private": ([("Cache-Control", "private, max-age=30")], ("cookie", "authorization", "remote")),
    "/set-cookie": ([("Cache-Control", "public, max-age=30"), ("Set-Cookie", "x=y")], ("cookie",)),
    "/authorization": ([("Cache-Control", "max-age=30")], ("authorization",)),
    "/authorization-vary": (
        [("Cache-Control", "public, max-age=30"), ("Vary", "Authorization")],
        ("authorization",),
    ),
    "/remote": ([("Cache-Control", "max-age=30")], ("remote",)),
    "/session": ([("Cache-Control", "max-age=30")], ("session",)),
    "/session-public": ([("Cache-Control", "public, max-age=30, stale-while-revalidate=20")], ("session",)),
    "/nonce": ([("Cache-Control", "max-age=30")], ("nonce",)),
}


def seen_of(environ, what, name):
    if what == "nonce":
        return environ["wsgikit.csp_nonce"]
    keys = {
        "cookie": "HTTP_COOKIE",
        "authorization": "HTTP_AUTHORIZATION",
        "remote": "REMOTE_USER",
        "language": "HTTP_ACCEPT_LANGUAGE",
    }
    return name if what == "session" else environ.get(keys[what])


def expected(path, environ, name):
    return repr([path, *(seen_of(environ, what, name) for what in PAGES[path][1])]).encode()


class Nonce(str):
    is_used = True


class Users(RuleBasedStateMachine):
    """Three users and a stranger, each with cookies of a session, in any order and at any time."""

    @initialize(small=st.booleans())
    def build(self, small):
        self.now = time.time()
        self.cookies = {}
        self.nonces = 0
        self.is_failing = False
        self.stack = build_stack(
            self.app,
            use(
                CacheMiddleware,
                default_seconds=20,
                stale_if_error_seconds=10,
                max_bytes=8_000 if small else 1_000_000,
            ),
            use(SessionMiddleware, secret_key=SECRET),
        )
        for name in USERS:
            answer = self.ask("/in", "POST", wanted=name)
            self.cookies[name] = answer["Set-Cookie"].partition(";")[0]

    def app(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/in":
            environ["wsgikit.session"]["name"] = environ["HTTP_X_WANTED"]
            start_response("204 No Content", [])
            return []
        if self.is_failing:
            raise LookupError
        headers, depends = PAGES[path]
        if environ.get("HTTP_IF_NONE_MATCH") == '"1"' and path == "/tagged":
            start_response("304 Not Modified", headers)
            return []
        name = environ["wsgikit.session"].get("name") if "session" in depends else None
        start_response("200 OK", [("Content-Type", "text/plain"), *headers])
        body = expected(path, environ, name)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def ask(self, path, method="GET", wanted="", **keys):
        with patch("time.time", lambda: self.now):
            return call(self.stack, path, method, checked=False, HTTP_X_WANTED=wanted, **keys)

    @rule(
        path=st.sampled_from(sorted(PAGES)),
        user=st.sampled_from([*USERS, None]),
        by=st.sampled_from(["cookie", "authorization", "remote"]),
        language=st.sampled_from(LANGUAGES),
        control=st.sampled_from([None, None, "no-cache", "max-age=3", "only-if-cached"]),
        fails=st.sampled_from([False, False, False, True]),
    )
    def visit(self, path, user, by, language, control, fails):
        self.nonces += 1
        keys = {}
        if user is not None:
            key, value = {
                "cookie": ("HTTP_COOKIE", self.cookies[user]),
                "authorization": ("HTTP_AUTHORIZATION", f"Basic {user}"),
                "remote": ("REMOTE_USER", user),
            }[by]
            keys[key] = value
        if language is not None:
            keys["HTTP_ACCEPT_LANGUAGE"] = language
        if control is not None:
            keys["HTTP_CACHE_CONTROL"] = control
        if path == "/nonce":
            keys["wsgikit.csp_nonce"] = Nonce(f"nonce {self.nonces}")
        self.is_failing = fails
        try:
            answer = self.ask(path, **keys)
        except LookupError:
            assert fails
            return
        finally:
            self.is_failing = False
        if control == "only-if-cached" and answer.code == 504:
            return
        assert answer.code == 200
        name = user if by == "cookie" else None
        assert answer.body == expected(path, keys, name)
        if answer["Cache-Status"] != "wsgikit; fwd=uri-miss" and "hit" in (answer["Cache-Status"] or ""):
            assert answer["Set-Cookie"] is None

    @rule(seconds=st.sampled_from([1, 4, 15, 40, 200]))
    def wait(self, seconds):
        self.now += seconds

    @rule(path=st.sampled_from(sorted(PAGES)), user=st.sampled_from(USERS))
    def change(self, path, user):
        self.ask(path, "POST", HTTP_COOKIE=self.cookies[user], **{"wsgikit.csp_nonce": Nonce("post")})

    @rule(path=st.sampled_from([*sorted(PAGES), "/"]))
    def purge(self, path):
        self.stack.find(CacheMiddleware).purge_prefix(path)


def test_no_visitor_gets_the_page_of_another(soak):
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        Users,
        settings=settings(max_examples=soak(400), stateful_step_count=50, deadline=None, suppress_health_check=checks),
    )


def test_the_machine_finds_a_cache_that_ignores_credentials(monkeypatch):
    """Without the rules the machine has to fail."""
    monkeypatch.setattr(entry, "has_authorization", lambda environ: False)
    monkeypatch.setattr(middleware, "may_answer", lambda entry, environ: True)
    quick = settings(max_examples=100, deadline=None, database=None, print_blob=False, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Users, settings=quick)
