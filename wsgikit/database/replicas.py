"""Reading from a replica, except for a client that has just written, so that it sees what it wrote."""

from __future__ import annotations

__all__ = ["Stickiness"]

from math import ceil

from itsdangerous import BadData, URLSafeTimedSerializer

from wsgikit.database.work import SAFE_METHODS
from wsgikit.exceptions import ConfigurationError
from wsgikit.http.cookies import CookieWriter, cookie_finder
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
        cookie = _COOKIE if name == "default" else f"{_COOKIE}_{name}"
        self._writer = CookieWriter(
            where,
            name=cookie,
            path="/",
            domain=None,
            secure="auto",
            httponly=True,
            samesite="Lax",
            partitioned=False,
        )
        self._find = cookie_finder(cookie)
        self._primary_key = f"{environ_key}.primary"
        self._seconds = ceil(seconds)  # cookies count in whole ones

    def may_read_elsewhere(self, environ: Environ) -> bool:
        """Return whether a request may be served from the replica."""
        if environ["REQUEST_METHOD"] not in SAFE_METHODS or environ.get(self._primary_key):
            return False
        return not any(map(self._is_recent, self._find(environ.get("HTTP_COOKIE", ""))))

    def remember(self, exchange: Exchange) -> None:
        """Set the cookie that says for some seconds that this client has written."""
        value = self._serializer.dumps(1)
        is_https = exchange.environ.get("wsgi.url_scheme") == "https"
        line = self._writer.write(value, is_https=is_https, max_age=self._seconds)
        exchange.headers.add("Set-Cookie", line)

    def _is_recent(self, value: str) -> bool:
        try:
            self._serializer.loads(value, max_age=self._seconds)
        except BadData:  # too old, or forged
            return False
        return True
