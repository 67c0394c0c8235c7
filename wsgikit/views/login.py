"""Logging in and out, and views that ask for a user."""

from __future__ import annotations

__all__ = ["is_fresh_login", "login_required", "login_user", "logout_user", "next_url"]

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, overload

from wsgikit.context.locals import current_exchange
from wsgikit.exceptions import ApplicationError, ConfigurationError, complaint
from wsgikit.http.targets import is_local_target
from wsgikit.onion.exchange import Exchange
from wsgikit.wsgi import AUTHENTICATION, SESSION

V = TypeVar("V", bound=Callable[..., Any])


def login_user(user: Any, *, remember: bool = False, fresh: bool = True) -> None:
    """Log a user in for this session, which gets a new id.

    Check the password first. What the session holds is kept, unless another user was logged in.

    Args:
        user: any object with ``get_id()`` or ``id``, or a text.
        remember: whether a cookie logs the user in again later, when the session has ended.
        fresh: whether the user has just typed a password.

    Raises:
        OutsideRequestError: there is no request.
        ApplicationError: there is no `AuthenticationMiddleware` with a `SessionLogin`, or it has no secret to remember
            by, or the head of the response has left.
    """
    exchange = current_exchange("login_user()")
    _layer(exchange, "login_user").log_in(exchange, user, remember=remember, fresh=fresh)


def logout_user() -> None:
    """End the session, with all that it holds, and the cookie that remembers the user.

    Raises:
        OutsideRequestError: there is no request.
        ApplicationError: there is no `AuthenticationMiddleware` with a `SessionLogin`.
    """
    exchange = current_exchange("logout_user()")
    _layer(exchange, "logout_user").log_out(exchange)


def is_fresh_login() -> bool:
    """Return whether the user typed a password in this session, and wasn't logged in by "remember me".

    Raises:
        OutsideRequestError: there is no request.
    """
    exchange = current_exchange("is_fresh_login()")
    return bool(exchange.environ[SESSION].get("_fresh"))


def next_url(default: str = "/") -> str:
    """Return where a form of a login leads: the field ``next`` of form or query, if it is a path of this site.

    Args:
        default: where it leads otherwise.

    Raises:
        OutsideRequestError: there is no request.
    """
    request = current_exchange("next_url()").request
    wanted = request.form.get("next") or request.args.get("next")
    return wanted if wanted is not None and is_local_target(wanted) else default


@overload
def login_required(view: V, /) -> V: ...
@overload
def login_required(*, redirect: str | None = None, fresh: bool = False) -> Callable[[V], V]: ...


def login_required(view: Any = None, /, *, redirect: str | None = None, fresh: bool = False) -> Any:
    """Ask for a user before a view of any framework. It stands below the framework's own decorator.

    Without a user, a GET that accepts HTML is sent to the page with the form, and anything else is a 401. The stack
    needs `ContextMiddleware` and `AuthenticationMiddleware`. On views of a `Router`, ``policy(login=True)`` does the
    same earlier.

    Args:
        view: the view.
        redirect: the page with the form; None is the `login_url` of `SessionLogin`.
        fresh: whether the user must have typed a password in this session.

    Raises:
        ConfigurationError: `redirect` isn't a path of this site.

    Example::

        @app.get("/account")
        @login_required
        def account(): ...
    """
    if redirect is not None and not is_local_target(redirect):
        raise ConfigurationError(complaint("login_required", "redirect", "a path such as '/login'", redirect))

    def is_refused() -> bool:
        exchange = current_exchange("login_required")
        layer = _layer(exchange, "login_required")
        return bool(layer.refuse_unless_logged_in(exchange, redirect=redirect, fresh=fresh))

    def decorate(view: Any) -> Any:
        if iscoroutinefunction(view):

            @wraps(view)
            async def awaited(*args: Any, **values: Any) -> Any:
                return "" if is_refused() else await view(*args, **values)

            return awaited

        @wraps(view)
        def called(*args: Any, **values: Any) -> Any:
            return "" if is_refused() else view(*args, **values)  # the layer puts its answer in the place of the text

        return called

    return decorate if view is None else decorate(view)


def _layer(exchange: Exchange, where: str) -> Any:
    layer = exchange.environ.get(AUTHENTICATION)
    if layer is None:
        raise ApplicationError(
            f"{where}: expected a layer that knows users, got none. Add use(AuthenticationMiddleware, schemes=[…])."
        )
    return layer
