"""What views are written with: Flask's helpers, on the current request."""

from __future__ import annotations

__all__ = [
    "JsonProvider",
    "MethodView",
    "Page",
    "Problem",
    "UnsafeRedirect",
    "View",
    "abort",
    "after_this_request",
    "as_problem",
    "check_preconditions",
    "csp_nonce",
    "csrf_field",
    "csrf_token",
    "flash",
    "get_flashed_messages",
    "is_fresh_login",
    "jsonify",
    "login_required",
    "login_user",
    "logout_user",
    "make_response",
    "next_url",
    "paginate",
    "redirect",
    "secure_filename",
    "send_file",
    "send_from_directory",
    "url_for",
]

from werkzeug.utils import secure_filename

from wsgikit.http.json_provider import JsonProvider
from wsgikit.routing.method_view import MethodView, View
from wsgikit.routing.pages import Page, paginate
from wsgikit.routing.problem import Problem, as_problem
from wsgikit.views.flashes import flash, get_flashed_messages
from wsgikit.views.login import is_fresh_login, login_required, login_user, logout_user, next_url
from wsgikit.views.preconditions import check_preconditions
from wsgikit.views.redirects import UnsafeRedirect, redirect
from wsgikit.views.responses import (
    abort,
    after_this_request,
    jsonify,
    make_response,
    send_file,
    send_from_directory,
)
from wsgikit.views.security import csp_nonce, csrf_field, csrf_token
from wsgikit.views.urls import url_for
