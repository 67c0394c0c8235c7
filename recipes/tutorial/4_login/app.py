"""The blog: new pages in front of the old application."""

import os
from pathlib import Path

from old_blog import application
from views import router

from wsgikit import (
    ContextMiddleware,
    CsrfMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
    use,
)

HERE = Path(__file__).parent
DATABASE_URL = os.environ.get("DATABASE_URL", f"sqlite:///{HERE / 'blog.db'}")
# For development. In production set SECRET_KEY to what `wsgikit secret` prints.
SECRET_KEY = os.environ.get("SECRET_KEY", "only for development, only for development")

app = build_stack(
    application,
    use(ErrorPagesMiddleware),
    use(ContextMiddleware),
    use(SessionMiddleware, secret_key=SECRET_KEY),
    use(CsrfMiddleware),
    use(DatabaseMiddleware, url=DATABASE_URL),
    use(RouterMiddleware, router=router),
)
