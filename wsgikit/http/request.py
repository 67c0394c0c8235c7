"""The request and response objects that hooks and views work with: webob's, and Flask's names beside them.

Where webob and Flask give one name two meanings, webob's stands: `path` begins with the prefix that the application is
mounted under, `user_agent` and `query_string` are text. docs/reference/flask-names.md lists them all.
"""

from __future__ import annotations

__all__ = ["Request", "Response"]

from typing import Any
from urllib.parse import parse_qsl

import werkzeug.urls  # noqa: F401  # it registers the error handler that `args` names
from werkzeug.datastructures import ImmutableMultiDict, MIMEAccept
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.http import parse_accept_header, parse_options_header

from wsgikit.http import json_text
from wsgikit.http.fields import Fields
from wsgikit.http.media_types import is_json, media_type_of
from wsgikit.http.request_body import BodyRequest
from wsgikit.http.request_headers import RequestHeaders, UserAgent
from wsgikit.http.response import Response
from wsgikit.wsgi import ROUTING, USER


class Request(BodyRequest):
    """A request: webob's, made from environ on first use, with Flask's names for query, form, files and JSON.

    `BodyRequest` says how its body is read, and by which limits.
    """

    # ------------------------------------------------------------------ query and form

    @property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The query string, parsed: `args["q"]`, `args.get("page", 1, type=int)`, `args.getlist("tag")`."""
        text = self.environ.get("QUERY_STRING", "")
        cached = self.environ.get("wsgikit.args")
        if cached is not None and cached[0] == text:
            return cached[1]  # type: ignore[no-any-return]  # put there below
        # environ holds bytes as latin-1 (PEP 3333); what isn't percent-encoded in them is UTF-8.
        query = text.encode("latin-1").decode("utf-8", "replace")
        parsed = Fields(parse_qsl(query, keep_blank_values=True, errors="werkzeug.url_quote"))
        self.environ["wsgikit.args"] = (text, parsed)
        return parsed

    @property
    def headers(self) -> Any:  # a `RequestHeaders`; webob's stubs want webob's class
        """The headers as a mapping without regard to case, a `RequestHeaders`."""
        return RequestHeaders(self.environ)

    @headers.setter
    def headers(self, headers: Any) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        mapping = RequestHeaders(self.environ)
        mapping.clear()
        mapping.update(headers)

    @property
    def user_agent(self) -> UserAgent | None:
        """The ``User-Agent`` header: text, which has itself as `string`, as in Flask; None if there is none."""
        text = self.environ.get("HTTP_USER_AGENT")
        return None if text is None else UserAgent(text)

    @user_agent.setter
    def user_agent(self, value: str | None) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]  # stubs
        RequestHeaders(self.environ).put("User-Agent", value)

    @property
    def values(self) -> ImmutableMultiDict[str, str]:
        """The fields of the query, then those of the form."""
        return Fields([*self.args.items(multi=True), *self.form.items(multi=True)])

    # ------------------------------------------------------------------ media type, JSON

    @property
    def mimetype(self) -> str:
        """The media type of the body, in lower case and without parameters."""
        return media_type_of(self.environ.get("CONTENT_TYPE"))

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the body's media type."""
        return parse_options_header(self.environ.get("CONTENT_TYPE"))[1]

    @property
    def is_json(self) -> bool:
        """Whether the body says that it is JSON: ``application/json`` or ``application/*+json``."""
        return is_json(self.mimetype)

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body parsed as JSON.

        Args:
            force: parse it whatever its media type says.
            silent: return None if it can't be parsed.
            cache: keep what was parsed for the next call.

        Raises:
            UnsupportedMediaType: the body doesn't say that it is JSON (415).
            BadRequest: it isn't JSON (400).
        """
        if not (force or self.is_json):
            if silent:
                return None
            raise UnsupportedMediaType(
                "The request body has to be JSON: send it with 'Content-Type: application/json'."
            )
        cached = self.environ.get("wsgikit.json")
        if cache and cached is not None and cached[0] is self.environ["wsgi.input"]:
            return cached[1]
        record = self.environ.get(ROUTING)  # a router has its own way to read JSON
        loads = json_text.loads if record is None else record.router.json.loads
        try:
            value = loads(self.get_data())
        except (ValueError, RecursionError) as error:  # json's and Unicode's errors are ValueErrors
            if silent:
                return None
            raise BadRequest("The request body can't be parsed as JSON.") from error
        if cache:
            self.environ["wsgikit.json"] = (self.environ["wsgi.input"], value)
        return value

    def _set_json(self, value: Any) -> None:
        self.body = json_text.dumps(value).encode()

    json = property(get_json, _set_json, doc="The body parsed as JSON: `get_json()`. Setting it sets the body.")
    json_body = property(
        lambda self: self.get_json(force=True), _set_json, doc="The body parsed as JSON, whatever its media type."
    )

    # ------------------------------------------------------------------ who it is from

    @property
    def user(self) -> Any:
        """The user whom `AuthenticationMiddleware` knows; None if nobody is logged in. It may be set."""
        return self.environ.get(USER)

    @user.setter
    def user(self, user: Any) -> None:
        self.environ[USER] = user

    # ------------------------------------------------------------------ where it went

    @property
    def endpoint(self) -> str | None:
        """The name of the matched route; None if none matched."""
        match = self.environ.get(ROUTING)
        return match.endpoint if match is not None else None

    @property
    def url_rule(self) -> Any:
        """The matched rule; None if none matched."""
        match = self.environ.get(ROUTING)
        return match.rule if match is not None else None

    @property
    def view_args(self) -> dict[str, Any] | None:
        """The variables of the matched rule."""
        match = self.environ.get(ROUTING)
        return match.values if match is not None else None

    @property
    def blueprint(self) -> str | None:
        """The name of the included router that the matched route is in, such as ``"blog.admin"``."""
        endpoint = self.endpoint
        return endpoint.rpartition(".")[0] or None if endpoint is not None else None

    @property
    def blueprints(self) -> list[str]:
        """The names of the included routers around the matched route, innermost first."""
        name, names = self.blueprint, []
        while name:
            names.append(name)
            name = name.rpartition(".")[0]
        return names

    @property
    def script_root(self) -> str:
        """The prefix that the application is mounted under, as text."""
        return self.script_name.rstrip("/")

    @property
    def full_path(self) -> str:
        """The path inside the application, with the query string."""
        return f"{self.path_info}?{self.environ.get('QUERY_STRING', '')}"

    @property
    def base_url(self) -> str:
        """The address without the query string."""
        return self.path_url

    @property
    def url_root(self) -> str:
        """The address of the application's root, with a slash at its end."""
        return self.application_url.rstrip("/") + "/"

    @property
    def is_secure(self) -> bool:
        """Whether the request came over HTTPS."""
        return bool(self.environ["wsgi.url_scheme"] == "https")

    @property
    def accept_mimetypes(self) -> MIMEAccept:
        """The media types that the client accepts: `accept_mimetypes.best_match([…])`."""
        return parse_accept_header(self.environ.get("HTTP_ACCEPT"), MIMEAccept)

    @property
    def access_route(self) -> list[str]:
        """The addresses of ``X-Forwarded-For``, as sent: don't trust them unless a proxy of yours wrote them."""
        forwarded = self.environ.get("HTTP_X_FORWARDED_FOR")
        if forwarded:
            return [part.strip() for part in forwarded.split(",") if part.strip()]
        address = self.environ.get("REMOTE_ADDR")
        return [address] if address else []
