"""Three databases for the tests of idempotency."""

from __future__ import annotations

import pytest

from tests.database.databases import NAMES, make_database


@pytest.fixture(scope="session")
def idempotency_databases(require_service, tmp_path_factory):
    made = {}
    drops = []

    def get(name):
        if name not in made:
            if name != "sqlite":
                require_service(name)
            made[name], drop = make_database(name, tmp_path_factory.mktemp("idempotency"))
            drops.append(drop)
        return made[name]

    yield get
    for drop in drops:
        drop()


@pytest.fixture(params=NAMES)
def database(request, idempotency_databases):
    """Each of the three databases, with an empty table ``notes``."""
    one = idempotency_databases(request.param)
    one.clear()
    return one


@pytest.fixture
def sqlite(idempotency_databases):
    one = idempotency_databases("sqlite")
    one.clear()
    return one
