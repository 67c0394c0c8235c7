"""Reading from a replica, except for a client that has just written: it shall see what it wrote."""

from __future__ import annotations

__all__ = ["Stickiness"]

from math import ceil

from itsdangerous import BadData, URLSafeTimedSerializer

from wsgikit.database.work import SAFE_METHODS
from wsgikit.exceptions import ConfigurationError
from wsgikit.onion.exchange import Exchange
from wsgikit.options.secrets import Secret, check_secrets
from wsgikit.wsgi import Environ

_COOKIE = "wsgikit_wrote"


class Stickiness:
    """Knows which requests may read from the replica, by a signed cookie with a time.

    Args:
        where: begins the text of errors.
        name: of the database; a cookie is good for one.
        environ_key: of the database; ``environ[key + ".primary"] = True`` asks for the primary.
        seconds: for how long a client that wrote reads from the primary: longer than the replica lags behind.
        secret_key: signs the cookie; of several, the first signs and all verify.

    Raises:
        ConfigurationError: no `secret_key`, or one that can't protect anything.
    """

    def __init__(self, where: str, name: str, environ_key: str, seconds: float, secret_key: Secret | None) -> None:
        if not secret_key:
            raise ConfigurationError(
                f"{where}: secret_key: expected one beside replica_url=, got none. It signs the cookie that says who "
                "has just written; `wsgikit secret` makes one."
            )
        keys = check_secrets(where, secret_key)
        # itsdangerous signs with the last.
        self._serializer = URLSafeTimedSerializer(list(reversed(keys)), salt=f"wsgikit.database.{name}")
        self._cookie = _COOKIE if name == "default" else f"{_COOKIE}_{name}"
        self._primary_key = f"{environ_key}.primary"
        self._seconds = ceil(seconds)  # cookies count in whole ones

    def may_read_elsewhere(self, environ: Environ) -> bool:
        """Tell whether a request may be served from the replica."""
        if environ["REQUEST_METHOD"] not in SAFE_METHODS or environ.get(self._primary_key):
            return False
        value = _cookie_of(environ, self._cookie)
        if value is None:
            return True
        try:
            self._serializer.loads(value, max_age=self._seconds)
        except BadData:  # too old, or not ours
            return True
        return False

    def remember(self, exchange: Exchange) -> None:
        """Let the client say, for so many seconds, that it has written."""
        value = self._serializer.dumps(1)
        secure = "; Secure" if exchange.environ.get("wsgi.url_scheme") == "https" else ""
        exchange.headers.add(
            "Set-Cookie",
            f"{self._cookie}={value}; Path=/; Max-Age={self._seconds}; HttpOnly; SameSite=Lax{secure}",
        )


def _cookie_of(environ: Environ, name: str) -> str | None:
    for part in environ.get("HTTP_COOKIE", "").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return str(value.strip('"'))
    return None
