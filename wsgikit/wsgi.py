"""The words of PEP 3333: types, the environ keys that layers meet in, which bodies are at rest, the name of a request.

Types are for annotations only; nothing here is checked while a request runs.
"""

from __future__ import annotations

__all__ = [
    "AUTHENTICATION",
    "CSP_NONCE",
    "CSRF",
    "DB",
    "DB_COMMIT",
    "DEADLINE",
    "EXCHANGE",
    "LOGGED",
    "NO_REQUEST",
    "PAGE_CALLS",
    "PROXY_ORIGINAL",
    "REFUSAL",
    "REQUEST_ID",
    "REQUEST_LIMITS",
    "ROUTING",
    "ROUTING_ARGS",
    "SESSION",
    "STACK",
    "STATIC",
    "TEMPLATES",
    "THROW_ERRORS",
    "USAGE",
    "USER",
    "Environ",
    "ExcInfo",
    "FileWrapper",
    "HeaderList",
    "StartResponse",
    "WSGIApplication",
    "Write",
    "is_at_rest",
    "name_request",
]

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Protocol, TypeAlias

Environ: TypeAlias = dict[str, Any]
HeaderList: TypeAlias = list[tuple[str, str]]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]
Write: TypeAlias = Callable[[bytes], object]


class StartResponse(Protocol):
    """``start_response(status, headers, exc_info=None) -> write`` of PEP 3333."""

    def __call__(self, status: str, headers: HeaderList, exc_info: Any = None, /) -> Write: ...


WSGIApplication: TypeAlias = Callable[[dict[str, Any], Any], Iterable[bytes]]

# The keys in which layers meet. Each is written by one layer and read by any other.
EXCHANGE = "wsgikit.exchange"
"""The `Exchange` of the innermost onion that the request has entered."""
LOGGED = "wsgikit.logged"
"""What errors logged in this request are marked with."""
NO_REQUEST = "wsgikit.no_request"
"""Set where the onion was entered without a request, by `Stack.app_context`: `request` can't be used then."""
STACK = "wsgikit.stack"
"""The `Stack` that the request is in."""
STATIC = "wsgikit.static"
"""The `StaticMiddleware` around the application, and the ``SCRIPT_NAME`` that it is under."""
SESSION = "wsgikit.session"
USER = "wsgikit.user"
"""The user whom `AuthenticationMiddleware` knows, or None."""
AUTHENTICATION = "wsgikit.authentication"
"""The `AuthenticationMiddleware` itself, for `login_user` and the like."""
DB = "wsgikit.db"
DB_COMMIT = "wsgikit.db.commit"
"""True or False decides for one request whether its transaction is committed."""
DEADLINE = "wsgikit.deadline"
"""When the response has to be ready: a number on the clock of `time.monotonic`. After it nothing is committed."""
REQUEST_ID = "wsgikit.request_id"
USAGE = "wsgikit.usage"
"""The `wsgikit.onion.usage.Usage` of the request, if a layer measures what it uses."""
REQUEST_LIMITS = "wsgikit.request_limits"
"""A dict of `max_content_length`, `max_form_memory_size`, `max_form_parts` for this request's body."""
CSRF = "wsgikit.csrf"
"""The verdict of `CsrfMiddleware` on the request: `allowed` and `reason`."""
PAGE_CALLS = "wsgikit.page_calls"
"""The address of the client module of `PageCallsMiddleware`, with the prefix that the application is mounted under."""
PROXY_ORIGINAL = "wsgikit.proxy.original"
"""A dict of the environ keys that `ProxyHeadersMiddleware` replaced or removed, with what they were."""
REFUSAL = "wsgikit.refusal"
"""The `Refusal` that answered the request and its body, so that error pages can put their page in its place."""
CSP_NONCE = "wsgikit.csp_nonce"
"""The nonce of a layer that sets a Content-Security-Policy, where one does."""
ROUTING = "wsgikit.routing"
"""What the router that the request is in knows of it: `router`, `rule`, `endpoint`, `values`, `parent`."""
TEMPLATES = "wsgikit.templates"
ROUTING_ARGS = "wsgiorg.routing_args"
"""``(positional, named)`` arguments of the matched route, as the WSGI community agreed on."""
THROW_ERRORS = "x-wsgiorg.throw_errors"
"""Where true, errors are not caught, so that a test sees them."""


class FileWrapper:
    """A server's ``wsgi.file_wrapper`` that is a function: it remembers what it returned last in this request."""

    __slots__ = ("file", "made", "wrapper")

    def __init__(self, wrapper: Callable[..., Any]) -> None:
        self.wrapper = wrapper
        self.made: Any = None
        self.file: Any = None

    def __call__(self, file: Any, *args: Any) -> Any:
        """Wrap a file, as PEP 3333 "Optional Platform-Specific File Handling" has it."""
        self.file = file
        self.made = self.wrapper(file, *args)
        return self.made


def is_at_rest(body: object, environ: Environ) -> bool:
    """Return whether sending `body` runs no code of the application's.

    That is so for a list or tuple, and for what the server's own ``wsgi.file_wrapper`` made. Such a body may be
    handed over as the very object it is, and what the request holds may be given back before its first byte leaves.
    A wrapper that is a function, as uWSGI's is, is recognised by what it returned in this request, see `FileWrapper`.
    """
    kind = type(body)
    if kind is list or kind is tuple:
        return True
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None:
        return False
    if type(wrapper) is FileWrapper:
        return body is wrapper.made and body is not None
    return isinstance(wrapper, type) and isinstance(body, wrapper)


def name_request(environ: Environ) -> str:
    """Return ``"GET /path"`` for messages, in ASCII, so that a path can't forge lines of a log."""
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return ascii(f"{environ.get('REQUEST_METHOD', '?')} {path}")[1:-1]
