"""Where `rolled_back` looks for databases. What it undoes is in tests/database/test_rolled_back.py."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from wsgikit import ContextMiddleware, DatabaseMiddleware, build_stack, use
from wsgikit.testing import TestClient, rolled_back


def app(environ, start_response):
    db = environ["wsgikit.db"]
    db.execute(sa.text("INSERT INTO note VALUES (1)"))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(db.execute(sa.text("SELECT count(*) FROM note")).scalar()).encode()]


@pytest.mark.parametrize(
    "around",
    [
        lambda stack: stack,
        lambda stack: build_stack(stack, use(ContextMiddleware)),
        lambda stack: ContextMiddleware(stack),
        lambda stack: build_stack(ContextMiddleware(stack)),
    ],
    ids=["a stack", "a stack in a stack", "a stack in a layer", "a stack in a layer in a stack"],
)
def test_the_database_of_an_inner_stack_is_rolled_back(tmp_path, around):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/notes.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE note (number INTEGER)"))
    outer = around(build_stack(app, use(DatabaseMiddleware, engine=engine)))
    for _ in range(2):
        with rolled_back(outer):
            assert TestClient(outer).get("/").text == "1"
    engine.dispose()
