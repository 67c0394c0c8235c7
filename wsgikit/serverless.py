"""AWS Lambda: a handler around a WSGI application, on apig-wsgi.

Example::

    from wsgikit import build_stack
    from wsgikit.serverless import aws_lambda

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"Hello"]

    handler = aws_lambda(build_stack(app))
"""

from __future__ import annotations

__all__ = ["LambdaHandler", "aws_lambda"]

import base64
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from wsgikit.exceptions import ApplicationError, ConfigurationError, ProtocolError, complaint
from wsgikit.wsgi import Environ, HeaderList, StartResponse, Write, WSGIApplication

LambdaHandler: TypeAlias = Callable[[dict[str, Any], Any], dict[str, Any]]

_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml", "image/svg+xml")
_TEXT_SUFFIXES = ("+json", "+xml")


def aws_lambda(stack: WSGIApplication) -> LambdaHandler:
    """Return a Lambda handler that answers events of API Gateway, load balancers and function URLs.

    The kind of the event is seen in each event: API Gateway's payload formats 1.0 and 2.0, an ALB with or without
    multi-value headers, a function URL. The stack is warmed up here, in Lambda's initialisation phase.

    ``environ["apig_wsgi.full_event"]`` is the event, ``environ["apig_wsgi.context"]`` is Lambda's context. A stage in
    the URL is ``SCRIPT_NAME``.

    Args:
        stack: the application.

    Raises:
        ConfigurationError: apig-wsgi isn't installed, or `stack` can't be called.
    """
    if not callable(stack):
        raise ConfigurationError(complaint("aws_lambda", "stack", "a WSGI application", stack))
    try:
        from apig_wsgi import make_lambda_handler  # an optional package
    except ModuleNotFoundError as error:
        if error.name != "apig_wsgi":
            raise
        raise ConfigurationError(
            "aws_lambda: apig-wsgi is missing. Install it: pip install 'wsgikit[serverless]'."
        ) from error
    warmup = getattr(stack, "warmup", None)
    if warmup is not None:
        warmup()

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        check_event(event)
        call = _Call(stack, event)
        response = make_lambda_handler(call, binary_support=True)(event, context)
        body, is_binary = encode_body(bytes(call.body), call.headers)
        return {**response, "body": body, "isBase64Encoded": is_binary}

    return handler


def check_event(event: Any) -> None:
    """Refuse an event that isn't an HTTP request, such as one of a schedule or a queue.

    Raises:
        ApplicationError: it has neither the keys of format 1.0 and ALB nor those of 2.0.
    """
    is_request = isinstance(event, Mapping) and ("httpMethod" in event or "rawPath" in event)
    if not is_request:
        keys = sorted(map(str, event)) if isinstance(event, Mapping) else type(event).__name__
        remedy = "Give other sources of events another handler"
        raise ApplicationError(complaint("aws_lambda", "event", "an HTTP request", keys, remedy))


def is_version_2(event: Mapping[str, Any]) -> bool:
    """Return whether an event has payload format 2.0: of an HTTP API or a function URL."""
    return event.get("version") == "2.0"


def is_from_alb(event: Mapping[str, Any]) -> bool:
    """Return whether an application load balancer sent an event."""
    return "elb" in (event.get("requestContext") or {})


def split_stage(event: Mapping[str, Any]) -> tuple[str, str]:
    """Return the stage that is in the URL, as ``/prod`` or nothing, and the path behind it.

    The URL has the stage only under API Gateway's own domain; there ``$default`` is the stage that isn't in it.
    """
    context = event.get("requestContext") or {}
    path: str = event["rawPath"] if is_version_2(event) else event["path"]
    stage = context.get("stage")
    if not stage:  # a load balancer has none
        return "", path
    prefix = f"/{stage}"
    if context.get("path") == prefix + path:  # a REST API has it in this path only
        return prefix, path
    # An HTTP API has it in every path, also with payload format 1.0.
    is_own_domain = ".execute-api." in (context.get("domainName") or "")
    if is_own_domain and (path == prefix or path.startswith(f"{prefix}/")):
        return prefix, path[len(prefix) :] or "/"
    return "", path


def client_address(event: Mapping[str, Any], forwarded_for: str) -> str:
    """Return the address that connected to AWS. What a client wrote into ``X-Forwarded-For`` isn't believed.

    Args:
        event: the event.
        forwarded_for: the header. An ALB appends the address to it, and tells it nowhere else.
    """
    context = event.get("requestContext") or {}
    if is_from_alb(event):
        return forwarded_for.rpartition(",")[2].strip()
    found = context.get("http") if is_version_2(event) else context.get("identity")
    return (found or {}).get("sourceIp") or ""


def complete_environ(environ: Environ, event: Mapping[str, Any]) -> None:
    """Change the environ that apig-wsgi made to one that PEP 3333 allows and that repeats no claim of the client."""
    for key, value in environ.items():
        # JSON may have characters that no header has; PEP 3333 wants bytes as latin-1.
        if key.startswith("HTTP_") and any(character > "\xff" for character in value):
            environ[key] = value.encode().decode("latin-1")
    for key in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP"):
        environ.pop(key, None)
    script_name, path = split_stage(event)
    environ["SCRIPT_NAME"] = script_name
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1")
    cookies = [
        value
        for name, values in (event.get("multiValueHeaders") or {}).items()
        if name.lower() == "cookie"
        for value in values
    ]
    cookie = "; ".join(cookies) if cookies else environ.pop("HTTP_COOKIE", "").strip("; ")
    if cookie:
        environ["HTTP_COOKIE"] = cookie
    forwarded = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip()
    scheme = environ["wsgi.url_scheme"] = "http" if forwarded == "http" else "https"
    domain = (event.get("requestContext") or {}).get("domainName")
    host, _, port = (environ.get("HTTP_HOST") or domain or "localhost").partition(":")
    environ["SERVER_NAME"] = host
    environ["SERVER_PORT"] = environ["SERVER_PORT"] or port or ("443" if scheme == "https" else "80")
    environ["REMOTE_ADDR"] = client_address(event, environ.get("HTTP_X_FORWARDED_FOR", ""))


def encode_body(body: bytes, headers: HeaderList) -> tuple[str, bool]:
    """Return a body as JSON can hold it, and whether that is base64: a text that is UTF-8 and isn't encoded is not."""
    named = {name.lower(): value for name, value in headers}
    kind = named.get("content-type", "").partition(";")[0].strip().lower()
    is_text = kind.startswith(_TEXT_TYPES) or kind.endswith(_TEXT_SUFFIXES)
    if not body or (is_text and named.get("content-encoding", "identity") == "identity"):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass  # a text in another charset
    return base64.b64encode(body).decode("ascii"), True


def fit_headers(headers: HeaderList, event: Mapping[str, Any]) -> HeaderList:
    """Return headers so that none is lost in the format of the response to an event.

    With multi-value headers, those of one name get one spelling. Without them the response has one value for a name,
    so values are joined (RFC 9110 §5.3). Cookies can't be joined: in format 2.0 they have a separate list, for
    others the spelling of ``Set-Cookie`` is varied.
    """
    spelling: dict[str, str] = {}
    if "multiValueHeaders" in event and not is_version_2(event):
        return [(spelling.setdefault(name.lower(), name), value) for name, value in headers]
    spellings = map("".join, product(*((letter, letter.swapcase()) for letter in "Set-Cookie")))
    unique = iter(dict.fromkeys(spellings))
    joined: dict[str, str] = {}
    cookies: HeaderList = []
    for name, value in headers:
        if name.lower() == "set-cookie":
            cookies.append((next(unique), value))
            continue
        known = spelling.setdefault(name.lower(), name)
        joined[known] = f"{joined[known]}, {value}" if known in joined else value
    return [*joined.items(), *cookies]


class _Call:
    """One request: the application is run to its end before apig-wsgi sees the head, which it takes once only."""

    def __init__(self, app: WSGIApplication, event: Mapping[str, Any]) -> None:
        self.app = app
        self.event = event
        self.body = bytearray()
        self.status = ""
        self.headers: HeaderList = []

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        complete_environ(environ, self.event)
        chunks = self.app(environ, self.start_response)
        try:
            for chunk in chunks:
                self.write(chunk)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()
        if not self.status:
            raise ProtocolError(complaint("aws_lambda", "start_response", "a call before the body's end", None))
        start_response(self.status, fit_headers(self.headers, self.event))
        return ()

    def start_response(self, status: str, headers: HeaderList, exc_info: Any = None, /) -> Write:
        """Keep a head. One with `exc_info` replaces it, until there is a part of the body (PEP 3333)."""
        try:
            if exc_info is not None and self.body:
                raise exc_info[1].with_traceback(exc_info[2])
            if exc_info is None and self.status:
                raise ProtocolError(complaint("aws_lambda", "start_response", "one call without exc_info", "another"))
        finally:
            exc_info = None  # PEP 3333: it would keep the frames alive
        self.status, self.headers = status, list(headers)
        return self.write

    def write(self, chunk: bytes) -> None:
        """Add to the body."""
        if chunk and not self.status:
            raise ProtocolError(complaint("aws_lambda", "start_response", "a call before the body", None))
        self.body += chunk
