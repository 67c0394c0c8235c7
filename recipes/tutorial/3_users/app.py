"""The blog: new pages in front of the old application."""

import os
from pathlib import Path

from old_blog import application
from views import router

from wsgikit import ContextMiddleware, DatabaseMiddleware, ErrorPagesMiddleware, RouterMiddleware, build_stack, use

HERE = Path(__file__).parent
DATABASE_URL = os.environ.get("DATABASE_URL", f"sqlite:///{HERE / 'blog.db'}")

app = build_stack(
    application,
    use(ErrorPagesMiddleware),
    use(ContextMiddleware),
    use(DatabaseMiddleware, url=DATABASE_URL),
    use(RouterMiddleware, router=router),
)
