"""The onion. DATABASE_URL says where the data is: a file beside this one, unless you say PostgreSQL."""

from __future__ import annotations

import os
from pathlib import Path

from views import router

from wsgikit import ContextMiddleware, DatabaseMiddleware, ErrorPagesMiddleware, SessionMiddleware, build_stack, use

HERE = Path(__file__).parent
DATABASE_URL = os.environ.get("DATABASE_URL", f"sqlite:///{HERE / 'guestbook.db'}")
# For the first look. In production set SECRET_KEY to what `wsgikit secret` prints.
SECRET_KEY = os.environ.get("SECRET_KEY", "only for development, only for development")

app = build_stack(
    router,
    use(ErrorPagesMiddleware),
    use(ContextMiddleware),
    use(SessionMiddleware, secret_key=SECRET_KEY),
    use(DatabaseMiddleware, url=DATABASE_URL),
)
