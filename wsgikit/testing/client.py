"""A client for tests, in the process: WebTest's, with what it lets pass made an error."""

from __future__ import annotations

__all__ = ["TestClient"]

import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from email.message import Message
from typing import TYPE_CHECKING, Any

from wsgikit.exceptions import ConfigurationError, complaint
from wsgikit.onion.ending import CURRENT
from wsgikit.onion.stack import layers_of
from wsgikit.testing.first_chunk import with_final_head
from wsgikit.testing.stream import StreamedResponse
from wsgikit.testing.watch import BODIES, WatchedBody
from wsgikit.wsgi import THROW_ERRORS, Environ, WSGIApplication

try:
    import webtest
    from webtest import lint  # pyright: ignore[reportAttributeAccessIssue]  # its stubs leave it out
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        f"TestClient: {missing.name}: expected it to be installed, got no such package. "
        "Install it with: pip install 'wsgikit[testing]'."
    ) from missing

if TYPE_CHECKING:
    from wsgikit.middleware.authentication import SessionLogin
    from wsgikit.middleware.csrf import CsrfMiddleware
    from wsgikit.sessions.middleware import SessionMiddleware
    from wsgikit.sessions.session import Session


class _Request(webtest.TestRequest):  # type: ignore[misc]  # WebTest has no types
    """WebTest's request, which gets the head of a response as a server sends it."""

    def call_application(self, application: WSGIApplication, catch_exc_info: bool = False) -> Any:
        return super().call_application(with_final_head(application), catch_exc_info)


class TestClient(webtest.TestApp):  # type: ignore[misc]  # WebTest has no types
    """WebTest's ``TestApp``, stricter: always linted, each response taken whole and closed, no local left behind.

    ``client.get("/", status=404)``, forms, links, JSON and cookies are as in WebTest's documentation. In addition it
    fails if the application breaks PEP 3333, if a body of `watch_bodies` isn't closed exactly once, and if
    a request leaves a local (`request`, `g`, …) bound.

    Args:
        app: the WSGI application: a `Stack`, a `Router`, anyone's.
        extra_environ: environ keys for each request; ``{"wsgi.url_scheme": "https", "HTTP_HOST": "localhost:443"}``
            makes it come by https.
        throw_errors: whether an exception of the application is raised here, and no error page made of it
            (``x-wsgiorg.throw_errors``).
        csrf: whether requests by POST and the like carry the token that `CsrfMiddleware` asks for, in its header.
        options: further options of ``webtest.TestApp``.

    Raises:
        ModuleNotFoundError: on import, WebTest isn't installed.
        ConfigurationError: ``csrf=True``, and there is no `CsrfMiddleware` in the application.

    Example:
        >>> client = TestClient(stack)
        >>> with client.session() as session:
        ...     session["user"] = 1
        >>> client.get("/account").status_int
        200
    """

    __test__ = False  # it is no test, whatever its name says to pytest
    RequestClass = _Request

    def __init__(
        self,
        app: WSGIApplication,
        *,
        extra_environ: Mapping[str, Any] | None = None,
        throw_errors: bool = False,
        csrf: bool = False,
        **options: Any,
    ) -> None:
        if options.get("lint", True) is not True:
            remedy = "Use webtest.TestApp for an application that can't be held to PEP 3333"
            raise ConfigurationError(complaint("TestClient", "lint", "nothing: it always is", options["lint"], remedy))
        super().__init__(app, extra_environ=dict(extra_environ or {}), **options)
        self.throw_errors = throw_errors
        self._csrf = _csrf_layer(app) if csrf else None
        self._streams: list[StreamedResponse] = []

    def __enter__(self) -> TestClient:
        return self

    def __exit__(self, kind: object, *exc_info: object) -> None:
        if kind is None:
            self.check_streams()

    def do_request(self, req: Any, status: Any = None, expect_errors: bool | None = None) -> Any:
        """Send a request of WebTest's, take the response whole, and check what is left behind."""
        if self._csrf is not None:
            self._add_csrf_token(self._csrf, req)
        bodies = self._prepare(req.environ)
        with _no_local_left():
            response = super().do_request(req, status=status, expect_errors=expect_errors)
        _check_closed(bodies)
        return response

    def stream(
        self,
        url: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        extra_environ: Mapping[str, Any] | None = None,
    ) -> StreamedResponse:
        """Send a request and return its head, with the chunks still to be made.

        Close it at any point: that is a client that leaves early. Any status is accepted.

        Args:
            url: a path with or without a query string, or a whole URL.
            method: the method.
            body: the body of the request.
            headers: further headers of the request.
            extra_environ: further environ keys.
        """
        request = self._request(url, method=method, headers=headers or {}, environ=extra_environ)
        if body:
            request.body = body
        self._prepare(request.environ)
        response = StreamedResponse(lint.middleware(self.app), request.environ, _no_local_left)
        self._streams.append(response)
        self._keep_cookies(request, response.headers.get_all("Set-Cookie"))
        return response

    def check_streams(self) -> None:
        """Fail if a response of `stream` was not closed; the ``client_for`` fixture does so after each test.

        Raises:
            AssertionError: with the first of them; all are closed.
        """
        unclosed = [stream for stream in self._streams if not stream.is_closed]
        self._streams.clear()
        if unclosed:
            text = complaint("TestClient", "stream", "it closed", unclosed[0], "Use it in a `with` block")
            with ExitStack() as closing:
                for stream in unclosed:
                    closing.callback(stream.close)
            raise AssertionError(text)

    @contextmanager
    def session(self, url: str = "/", *, environ_key: str | None = None) -> Iterator[Session]:
        """Open the session of this client, to look into it or to change it; it is saved at the end of the block.

        It is read from the real store or cookie, and saved to it as a request would: the client has the cookie
        afterwards. Nothing is saved if the block raises.

        Args:
            url: a URL at which the session is used; it decides which cookies go along and whether it is https.
            environ_key: which one, if the stack has several; the outermost by default.

        Raises:
            ConfigurationError: there is no such `SessionMiddleware` in the application.
        """
        layer = _session_layer(self.app, environ_key)
        request = self._request(url)
        session = layer.open_session(request.environ.get("HTTP_COOKIE"))
        yield session
        self._keep_cookies(request, layer.save_session(session, is_https=request.scheme == "https"))

    def login(self, user: Any, *, url: str = "/", fresh: bool = True) -> None:
        """Log a user in, as a form with the right password would: the client has the cookie afterwards.

        Args:
            user: as `login_user` takes it.
            url: a URL at which the session is used; see `session`.
            fresh: False is a login that the cookie of "remember me" did.

        Raises:
            ConfigurationError: there is no `AuthenticationMiddleware` with a `SessionLogin` in the application.
        """
        scheme = _session_login(self.app)
        with self.session(url) as session:
            scheme.write(session, user, fresh=fresh)

    def _request(self, url: str, environ: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Make a request with the cookies that belong to it."""
        request = self.RequestClass.blank(url, {**self.extra_environ, **(environ or {})}, **options)
        wanted = urllib.request.Request(request.url)
        self.cookiejar.add_cookie_header(wanted)
        cookies = wanted.get_header("Cookie")
        if cookies:
            request.headers.setdefault("Cookie", cookies)
        return request

    def _keep_cookies(self, request: Any, lines: list[str]) -> None:
        message = Message()
        for line in lines:
            message["Set-Cookie"] = line
        answer: Any = _Answer(message)
        self.cookiejar.extract_cookies(answer, urllib.request.Request(request.url))

    def _add_csrf_token(self, layer: CsrfMiddleware, request: Any) -> None:
        """Send the token of this client's session or cookie, unless the test sends one itself."""
        if request.method in ("GET", "HEAD", "OPTIONS") or layer.header in request.headers:
            return
        if layer.cookie is not None:
            token, line = layer.make_cookie(is_https=request.scheme == "https")
            self._keep_cookies(request, [line])
            request.headers[layer.header] = token
        elif layer.mode != "never":
            with self.session(request.url) as session:
                request.headers[layer.header] = session.get_csrf_token()

    def _prepare(self, environ: Environ) -> list[WatchedBody]:
        if self.throw_errors:
            environ[THROW_ERRORS] = True
        bodies: list[WatchedBody] = []
        environ[BODIES] = bodies
        return bodies


class _Answer:
    """As much of a response as a cookie jar looks at."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message


@contextmanager
def _no_local_left() -> Iterator[None]:
    before = CURRENT.get(None)
    yield
    after = CURRENT.get(None)
    if after is not before:
        CURRENT.set(before)  # type: ignore[arg-type]  # None is as good as none for those who ask
        remedy = "Let ContextMiddleware bind the locals: it ends them with the request"
        raise AssertionError(complaint("TestClient", "locals", "none left after the request", after, remedy))


def _check_closed(bodies: list[WatchedBody]) -> None:
    for body in bodies:
        if body.closes != 1:
            remedy = "A layer between the client and the application has to close what it was given, once"
            raise AssertionError(complaint("TestClient", f"close() of {body}", "one call", body.closes, remedy))


def _session_login(app: Any) -> SessionLogin:
    from wsgikit.middleware.authentication import AuthenticationMiddleware  # only who logs in needs it

    for layer in layers_of(app):
        if isinstance(layer, AuthenticationMiddleware) and layer.session_login is not None:
            return layer.session_login
    remedy = "Add use(AuthenticationMiddleware, schemes=[SessionLogin(load)])"
    raise ConfigurationError(complaint("client.login()", "app", "a SessionLogin in it", type(app).__name__, remedy))


def _csrf_layer(app: Any) -> CsrfMiddleware:
    from wsgikit.middleware.csrf import CsrfMiddleware  # only who uses it needs it

    for layer in layers_of(app):
        if isinstance(layer, CsrfMiddleware):
            return layer
    remedy = "Add use(CsrfMiddleware), or leave csrf= out"
    raise ConfigurationError(complaint("TestClient", "csrf", "a CsrfMiddleware in the app", type(app).__name__, remedy))


def _session_layer(app: Any, environ_key: str | None) -> SessionMiddleware:
    from wsgikit.sessions.middleware import SessionMiddleware  # only who uses sessions needs them

    for layer in layers_of(app):
        if isinstance(layer, SessionMiddleware) and (environ_key is None or environ_key in layer.provides):
            return layer
    wanted = "SessionMiddleware" if environ_key is None else f"SessionMiddleware with environ_key={environ_key!r}"
    raise ConfigurationError(
        complaint("client.session()", "app", f"a {wanted} in it", type(app).__name__, "Add use(SessionMiddleware, …)")
    )
