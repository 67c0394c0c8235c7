"""The points that sessions are held to, S1 to S22 and B31 to B49: each has tests that bear its id in their names."""

import inspect
import re
from pathlib import Path

import pytest

from wsgikit.sessions.middleware import SessionMiddleware

TESTS = Path(__file__).parents[1]
POINTS = [*(f"s{number}" for number in range(1, 23)), *(f"b{number}" for number in range(31, 50))]


@pytest.fixture(scope="module")
def ids():
    files = [*TESTS.glob("sessions/test_*.py"), *TESTS.glob("frameworks/test_sessions_*.py")]
    names = [name for path in files for name in re.findall(r"^def test_(\w+)", path.read_text(), re.M)]
    return {part for name in names for part in name.split("_")}


@pytest.mark.parametrize("point", POINTS)
def test_each_point_has_a_test_of_its_id(ids, point):
    assert point in ids


DEFAULTS = {
    "store": "cookie",
    "cookie_name": "session",
    "cookie_path": "/",
    "cookie_domain": None,
    "cookie_secure": "auto",
    "cookie_httponly": True,
    "cookie_samesite": "Lax",
    "cookie_partitioned": False,
    "cookie_permanent": False,
    "cookie_max_bytes": 4093,
    "cookie_digest": "sha256",
    "idle_timeout_seconds": 14 * 86_400,
    "absolute_timeout_seconds": None,
    "on_oversize": "error",
    "on_store_error": "503",
    "save_on_error": False,
}


def test_b46_the_defaults_are_at_least_as_safe_as_those_of_the_others(secret):
    """Beaker: pickle, no HttpOnly. Flask: no SameSite, SHA-1. Starlette and Django: no Secure over https by itself."""
    parameters = inspect.signature(SessionMiddleware).parameters
    assert {name: parameters[name].default for name in DEFAULTS} == DEFAULTS
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret)
    session = layer.open_session()
    session["a"] = 1
    (line,) = layer.save_session(session, is_https=True)
    assert line.split("; ")[1:] == ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]
