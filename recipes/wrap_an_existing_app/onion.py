"""The five layers, and one route of ours in front of whatever is inside."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import text

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Response,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    Stack,
    build_stack,
    db,
    jsonify,
    session,
    use,
)
from wsgikit.wsgi import WSGIApplication

data = Path(os.environ.get("WRAP_DATA", "data")).absolute()
router = Router(__name__)


@router.get("/-/visits")
def visits() -> Response:
    """Count this visitor's visits in the session, and everybody's in the database."""
    session["visits"] = session.get("visits", 0) + 1
    db.execute(text("INSERT INTO visit DEFAULT VALUES"))
    total = db.execute(text("SELECT count(*) FROM visit")).scalar()
    return jsonify(yours=session["visits"], all=total)


def wrap(app: WSGIApplication) -> Stack:
    """Put the five layers around an application as it is."""
    data.mkdir(parents=True, exist_ok=True)
    stack = build_stack(
        app,
        use(ErrorPagesMiddleware),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key=os.environ["WRAP_SECRET"], cookie_name="visits"),
        use(DatabaseMiddleware, url=f"sqlite:///{data}/visits.db"),
        use(RouterMiddleware, router=router),
    )
    layer = stack.find(DatabaseMiddleware)
    assert layer is not None  # for type checkers
    with layer.engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS visit (id INTEGER PRIMARY KEY)"))
    return stack
