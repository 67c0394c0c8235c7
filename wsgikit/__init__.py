"""What Flask gives its own applications, around the WSGI application you have.

A request meets the layers from the outside in, the response from the inside out::

            request │                    ▲ response
    ┌───────────────▼────────────────────┴────────────────┐
    │ ErrorPagesMiddleware     an answer for every error  │
    │ ┌─────────────────────────────────────────────────┐ │
    │ │ ContextMiddleware      request, g, session, db  │ │
    │ │ ┌─────────────────────────────────────────────┐ │ │
    │ │ │ SessionMiddleware    signed, lazy           │ │ │
    │ │ │ ┌─────────────────────────────────────────┐ │ │ │
    │ │ │ │ DatabaseMiddleware  one transaction     │ │ │ │
    │ │ │ │ ┌─────────────────────────────────────┐ │ │ │ │
    │ │ │ │ │ RouterMiddleware  routes in front   │ │ │ │ │
    │ │ │ │ │        ┌────────────────┐           │ │ │ │ │
    │ │ │ │ │        │    your app    │           │ │ │ │ │
    │ │ │ │ │        └────────────────┘           │ │ │ │ │
    └─┴─┴─┴─┴─────────────────────────────────────┴─┴─┴─┴─┘

Each is a `Middleware` with up to five hooks; `build_stack` puts them together, and one engine runs them all.
Names are loaded when they are first used, so that importing wsgikit costs little.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgikit import presets as presets
    from wsgikit.context.locals import copy_current_context as copy_current_context
    from wsgikit.context.locals import current_app as current_app
    from wsgikit.context.locals import db as db
    from wsgikit.context.locals import g as g
    from wsgikit.context.locals import has_app_context as has_app_context
    from wsgikit.context.locals import has_request_context as has_request_context
    from wsgikit.context.locals import request as request
    from wsgikit.context.locals import session as session
    from wsgikit.context.locals import user as user
    from wsgikit.context.middleware import ContextMiddleware as ContextMiddleware
    from wsgikit.database.middleware import DatabaseMiddleware as DatabaseMiddleware
    from wsgikit.error_pages.middleware import ErrorPagesMiddleware as ErrorPagesMiddleware
    from wsgikit.http.event_stream import EventStream as EventStream
    from wsgikit.http.request import Request as Request
    from wsgikit.http.request import Response as Response
    from wsgikit.middleware.access_list import AccessListMiddleware as AccessListMiddleware
    from wsgikit.middleware.access_log.middleware import AccessLogMiddleware as AccessLogMiddleware
    from wsgikit.middleware.authentication import AuthenticationMiddleware as AuthenticationMiddleware
    from wsgikit.middleware.body_limit import BodyLimitMiddleware as BodyLimitMiddleware
    from wsgikit.middleware.cache.middleware import CacheMiddleware as CacheMiddleware
    from wsgikit.middleware.compression import CompressionMiddleware as CompressionMiddleware
    from wsgikit.middleware.conditional import ConditionalMiddleware as ConditionalMiddleware
    from wsgikit.middleware.cookie_policy import CookiePolicyMiddleware as CookiePolicyMiddleware
    from wsgikit.middleware.cors import CorsMiddleware as CorsMiddleware
    from wsgikit.middleware.csrf import CsrfMiddleware as CsrfMiddleware
    from wsgikit.middleware.deadline import DeadlineMiddleware as DeadlineMiddleware
    from wsgikit.middleware.fetch_policy import FetchPolicyMiddleware as FetchPolicyMiddleware
    from wsgikit.middleware.health import HealthMiddleware as HealthMiddleware
    from wsgikit.middleware.https import HttpsMiddleware as HttpsMiddleware
    from wsgikit.middleware.idempotency.middleware import IdempotencyMiddleware as IdempotencyMiddleware
    from wsgikit.middleware.inspector.middleware import InspectorMiddleware as InspectorMiddleware
    from wsgikit.middleware.maintenance import MaintenanceMiddleware as MaintenanceMiddleware
    from wsgikit.middleware.method_override import MethodOverrideMiddleware as MethodOverrideMiddleware
    from wsgikit.middleware.metrics.middleware import MetricsMiddleware as MetricsMiddleware
    from wsgikit.middleware.page_calls import Calls as Calls
    from wsgikit.middleware.page_calls import PageCallsMiddleware as PageCallsMiddleware
    from wsgikit.middleware.page_calls import PageReply as PageReply
    from wsgikit.middleware.profiler import ProfilerMiddleware as ProfilerMiddleware
    from wsgikit.middleware.proxy_headers import ProxyHeadersMiddleware as ProxyHeadersMiddleware
    from wsgikit.middleware.rate_limit import RateLimitMiddleware as RateLimitMiddleware
    from wsgikit.middleware.request_id import RequestIdMiddleware as RequestIdMiddleware
    from wsgikit.middleware.security_headers import SecurityHeadersMiddleware as SecurityHeadersMiddleware
    from wsgikit.middleware.sendfile import SendfileMiddleware as SendfileMiddleware
    from wsgikit.middleware.server_timing import ServerTimingMiddleware as ServerTimingMiddleware
    from wsgikit.middleware.static.middleware import StaticMiddleware as StaticMiddleware
    from wsgikit.middleware.tracing.middleware import TracingMiddleware as TracingMiddleware
    from wsgikit.middleware.trusted_hosts import TrustedHostsMiddleware as TrustedHostsMiddleware
    from wsgikit.onion.exchange import Exchange as Exchange
    from wsgikit.onion.middleware import Middleware as Middleware
    from wsgikit.onion.policies import policy as policy
    from wsgikit.onion.reply import reply as reply
    from wsgikit.onion.stack import Stack as Stack
    from wsgikit.onion.stack import build_stack as build_stack
    from wsgikit.onion.stack import use as use
    from wsgikit.routing.middleware import RouterMiddleware as RouterMiddleware
    from wsgikit.routing.router import Router as Router
    from wsgikit.sessions.middleware import SessionMiddleware as SessionMiddleware
    from wsgikit.templating import TemplateMiddleware as TemplateMiddleware
    from wsgikit.templating import Templates as Templates
    from wsgikit.templating import get_template_attribute as get_template_attribute
    from wsgikit.templating import render_template as render_template
    from wsgikit.templating import render_template_string as render_template_string
    from wsgikit.templating import stream_template as stream_template
    from wsgikit.templating import stream_template_string as stream_template_string
    from wsgikit.views import abort as abort
    from wsgikit.views import after_this_request as after_this_request
    from wsgikit.views import check_preconditions as check_preconditions
    from wsgikit.views import csp_nonce as csp_nonce
    from wsgikit.views import csrf_field as csrf_field
    from wsgikit.views import csrf_token as csrf_token
    from wsgikit.views import flash as flash
    from wsgikit.views import get_flashed_messages as get_flashed_messages
    from wsgikit.views import jsonify as jsonify
    from wsgikit.views import login_required as login_required
    from wsgikit.views import login_user as login_user
    from wsgikit.views import logout_user as logout_user
    from wsgikit.views import make_response as make_response
    from wsgikit.views import next_url as next_url
    from wsgikit.views import redirect as redirect
    from wsgikit.views import secure_filename as secure_filename
    from wsgikit.views import send_file as send_file
    from wsgikit.views import send_from_directory as send_from_directory
    from wsgikit.views import url_for as url_for

__version__ = "0.1.0"

# Each module with the public names that live in it.
_HOMES = {
    "wsgikit": "presets",
    "wsgikit.context.locals": (
        "copy_current_context current_app db g has_app_context has_request_context request session user"
    ),
    "wsgikit.context.middleware": "ContextMiddleware",
    "wsgikit.database.middleware": "DatabaseMiddleware",
    "wsgikit.error_pages.middleware": "ErrorPagesMiddleware",
    "wsgikit.middleware.cache.middleware": "CacheMiddleware",
    "wsgikit.middleware.compression": "CompressionMiddleware",
    "wsgikit.middleware.conditional": "ConditionalMiddleware",
    "wsgikit.middleware.method_override": "MethodOverrideMiddleware",
    "wsgikit.middleware.sendfile": "SendfileMiddleware",
    "wsgikit.middleware.static.middleware": "StaticMiddleware",
    "wsgikit.middleware.access_log.middleware": "AccessLogMiddleware",
    "wsgikit.middleware.request_id": "RequestIdMiddleware",
    "wsgikit.middleware.metrics.middleware": "MetricsMiddleware",
    "wsgikit.middleware.tracing.middleware": "TracingMiddleware",
    "wsgikit.middleware.profiler": "ProfilerMiddleware",
    "wsgikit.middleware.server_timing": "ServerTimingMiddleware",
    "wsgikit.middleware.access_list": "AccessListMiddleware",
    "wsgikit.middleware.cookie_policy": "CookiePolicyMiddleware",
    "wsgikit.middleware.fetch_policy": "FetchPolicyMiddleware",
    "wsgikit.middleware.page_calls": "Calls PageCallsMiddleware PageReply",
    "wsgikit.middleware.proxy_headers": "ProxyHeadersMiddleware",
    "wsgikit.middleware.trusted_hosts": "TrustedHostsMiddleware",
    "wsgikit.middleware.cors": "CorsMiddleware",
    "wsgikit.middleware.idempotency.middleware": "IdempotencyMiddleware",
    "wsgikit.middleware.https": "HttpsMiddleware",
    "wsgikit.middleware.security_headers": "SecurityHeadersMiddleware",
    "wsgikit.middleware.csrf": "CsrfMiddleware",
    "wsgikit.middleware.authentication": "AuthenticationMiddleware",
    "wsgikit.middleware.rate_limit": "RateLimitMiddleware",
    "wsgikit.middleware.body_limit": "BodyLimitMiddleware",
    "wsgikit.middleware.deadline": "DeadlineMiddleware",
    "wsgikit.middleware.health": "HealthMiddleware",
    "wsgikit.middleware.inspector.middleware": "InspectorMiddleware",
    "wsgikit.middleware.maintenance": "MaintenanceMiddleware",
    "wsgikit.onion.exchange": "Exchange",
    "wsgikit.onion.middleware": "Middleware",
    "wsgikit.onion.reply": "reply",
    "wsgikit.http.event_stream": "EventStream",
    "wsgikit.http.request": "Request Response",
    "wsgikit.onion.policies": "policy",
    "wsgikit.onion.stack": "Stack build_stack use",
    "wsgikit.routing.middleware": "RouterMiddleware",
    "wsgikit.routing.router": "Router",
    "wsgikit.sessions.middleware": "SessionMiddleware",
    "wsgikit.templating": (
        "TemplateMiddleware Templates get_template_attribute render_template render_template_string stream_template"
        " stream_template_string"
    ),
    "wsgikit.views": (
        "abort after_this_request check_preconditions csp_nonce csrf_field csrf_token flash get_flashed_messages"
        " jsonify login_required login_user logout_user make_response next_url redirect secure_filename send_file"
        " send_from_directory url_for"
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]  # the table above is the one list


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        from wsgikit.flask_hints import missing_attribute  # for mistakes only

        raise missing_attribute("wsgikit", name)
    if module == "wsgikit":  # a module that is public by itself
        return importlib.import_module(f"wsgikit.{name}")
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    """List the public names and the rooms that are loaded, without what this module itself is made with."""
    rooms = [name for name in globals() if f"wsgikit.{name}" in sys.modules]
    return sorted({*(name for name in globals() if name.startswith("__")), *rooms, *__all__})
