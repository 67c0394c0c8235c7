"""What all tests share: how a test asks for a service, and that no local is left behind."""

from __future__ import annotations

import os
import socket
import sys

import pytest

SERVICES = {
    "postgresql": ("127.0.0.1", 5432),
    "mariadb": ("127.0.0.1", 3306),
    "redis": ("127.0.0.1", 6379),
    "memcached": ("127.0.0.1", 11211),
}


def _answers(service: str) -> bool:
    try:
        with socket.create_connection(SERVICES[service], timeout=1):
            return True
    except OSError:
        return False


@pytest.fixture(scope="session")
def require_service():
    """A function that skips the test where a service does not answer, and fails it in CI."""
    known: dict[str, bool] = {}

    def require(service: str) -> None:
        if service not in known:
            known[service] = _answers(service)
        if not known[service]:
            host, port = SERVICES[service]
            reason = f"no {service} answers on {host}:{port}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)

    return require


@pytest.fixture(scope="session")
def soak():
    """A function that returns how often a soak repeats: all, or a tenth unless ``WSGIKIT_SLOW=all``."""
    share = 1 if os.environ.get("WSGIKIT_SLOW") == "all" else 10
    return lambda count: max(count // share, 1)


@pytest.fixture(autouse=True)
def import_path():
    """Take back what the test put on the import path; loading an ini file puts its folder there."""
    before = sys.path[:]
    yield
    sys.path[:] = before


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name functions without their address in memory, which differs between the processes of one run."""
    name = getattr(val, "__name__", None)
    return name.strip("<>") if isinstance(name, str) else None
