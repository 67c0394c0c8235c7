"""Who the client is: by HTTP credentials, by the session, or by the server."""

from wsgikit.middleware.authentication.middleware import AuthenticationMiddleware
from wsgikit.middleware.authentication.schemes import Basic, Bearer, RemoteUser, Scheme, WrongCredentials
from wsgikit.middleware.authentication.session_login import SessionLogin

__all__ = [
    "AuthenticationMiddleware",
    "Basic",
    "Bearer",
    "RemoteUser",
    "Scheme",
    "SessionLogin",
    "WrongCredentials",
]
