"""Applications side by side on one host whose sessions have one name. Point S16: said while they are mounted."""

import logging

import pytest

from wsgikit import ErrorPagesMiddleware, Router, build_stack, use
from wsgikit.ini.applications import PrefixMounts
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.memory import MemoryStore

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"
OTHER = "another-secret-0123456789abcdef"
STORE = MemoryStore()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x"]


def stacked(**options):
    return build_stack(app, use(ErrorPagesMiddleware), use(SessionMiddleware, **{"secret_key": SECRET, **options}))


def nested(**options):
    return SessionMiddleware(app, **{"secret_key": SECRET, **options})


def in_router(first, second, **hosts):
    router = Router("sites")
    router.mount("/a", first)
    router.mount("/b", second, **hosts)


def in_composite(first, second):
    PrefixMounts({"/a": first, "/b": second})


@pytest.mark.parametrize("mount", [in_router, in_composite])
@pytest.mark.parametrize("make", [stacked, nested])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"secret_key": OTHER}),
        ({"store": "memory://"}, {"store": "memory://"}),
        ({}, {"store": "memory://"}),
        ({}, {"encrypt": True}),
        ({"store": STORE}, {"store": STORE, "secret_key": OTHER}),
        ({"cookie_path": "/x"}, {"cookie_path": "/x", "secret_key": OTHER}),
    ],
    ids=["secrets", "memories", "cookie and store", "encryption", "one store and two secrets", "one path"],
)
def test_s16_two_sessions_of_one_name_at_two_mounts_are_warned_of_while_building(mount, make, first, second, caplog):
    with caplog.at_level(logging.WARNING):
        mount(make(**first), make(**second))
    (record,) = caplog.records
    assert record.name == "wsgikit.sessions"
    assert "SessionMiddleware: cookie_name: expected another one at '/b' than at '/a', got 'session'" in caplog.text
    assert (
        "Give each a cookie_name, set cookie_path='mount', or give both the same secret_key and store." in caplog.text
    )


@pytest.mark.parametrize("mount", [in_router, in_composite])
@pytest.mark.parametrize("make", [stacked, nested])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {}),
        ({"secret_key": [OTHER, SECRET]}, {"secret_key": [SECRET, OTHER]}),
        ({"store": STORE}, {"store": STORE}),
        ({"store": "redis://127.0.0.1:6379/9"}, {"store": "redis://127.0.0.1:6379/9"}),
        ({}, {"secret_key": OTHER, "cookie_name": "b"}),
        ({"cookie_path": "mount"}, {"secret_key": OTHER, "cookie_path": "mount"}),
        ({"cookie_path": "/a"}, {"secret_key": OTHER, "cookie_path": "/b"}),
    ],
    ids=["one session", "rotation", "one store", "one URL", "names", "mount", "paths"],
)
def test_s16_sessions_that_are_one_or_do_not_meet_are_not_warned_of(mount, make, first, second, caplog):
    mount(make(**first), make(**second))
    assert caplog.records == []


def test_s16_other_applications_and_other_hosts_are_not_warned_of(caplog):
    in_router(nested(), nested(secret_key=OTHER), host="b.example.org")
    in_router(app, nested())
    in_router(nested(), build_stack(app, use(ErrorPagesMiddleware)))
    one = nested()
    in_composite(one, one)
    assert caplog.records == []
