"""The blog: new pages in front of the old application."""

from old_blog import application
from views import router

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, RouterMiddleware, build_stack, use

app = build_stack(
    application,
    use(ErrorPagesMiddleware),
    use(ContextMiddleware),
    use(RouterMiddleware, router=router),
)
