"""A stack as users write it: no line may be an error."""

from __future__ import annotations

from functools import partial

from werkzeug.middleware.proxy_fix import ProxyFix

from wsgikit import (
    ContextMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    Exchange,
    Middleware,
    Request,
    SessionMiddleware,
    Stack,
    build_stack,
    copy_current_context,
    current_app,
    g,
    request,
    use,
)
from wsgikit.wsgi import Environ, StartResponse, WSGIApplication


def app(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Stamp(Middleware):
    def __init__(self, app: WSGIApplication, *, text: str = "x") -> None:
        super().__init__(app)
        self.text = text

    def before_request(self, exchange: Exchange) -> WSGIApplication | None:
        if exchange.environ["PATH_INFO"] == "/stop":
            return exchange.reply(404, "stopped")
        return None

    def after_request(self, exchange: Exchange) -> None:
        exchange.headers.add("X-Stamp", self.text)


debug = False
stack: Stack = build_stack(
    app,
    use(ErrorPagesMiddleware, debug=debug),
    use(ContextMiddleware),
    use(SessionMiddleware, secret_key="00123456789abcde", cookie_name="visits"),
    use(DatabaseMiddleware, url="sqlite://", name="reports"),
    use(ProxyFix, x_for=1),
    debug and use(Stamp),
    use(Stamp, text="y", only="/api/*", unless=["POST", lambda environ: "x" in environ]),
    use(Stamp, text="y", check_order=False),
    partial(Stamp, text="z"),
    lambda inner: inner,
    None,
)
found: SessionMiddleware | None = stack.find(SessionMiddleware)
wrapped: SessionMiddleware = SessionMiddleware(app, secret_key="00123456789abcde")

with stack.request_context("/path", REQUEST_METHOD="POST") as exchange:
    typed: Request = request
    method: str = request.method
    g.user = "ann"
    name: str = current_app.describe()


@copy_current_context
def in_background(number: int) -> str:
    return str(number)


text: str = in_background(1)
