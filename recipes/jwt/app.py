"""An API whose clients send a JSON Web Token, checked by joserfc.

pip install 'wsgikit[serve]' joserfc
JWT_KEY=$(wsgikit secret) wsgikit serve app:stack
"""

from __future__ import annotations

import os
import time
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from wsgikit import (
    AuthenticationMiddleware,
    ContextMiddleware,
    ErrorPagesMiddleware,
    Router,
    build_stack,
    policy,
    use,
    user,
)
from wsgikit.middleware.authentication import Bearer

ISSUER, AUDIENCE, ALGORITHM = "https://accounts.example.com", "https://api.example.com", "HS256"
LEEWAY_SECONDS = 30  # the clocks of two machines are never the same

key = OctKey.import_key(os.environ["JWT_KEY"])
# Each claim is required: a token without an end, or for another service, is refused.
claims_rules = jwt.JWTClaimsRegistry(
    leeway=LEEWAY_SECONDS,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True},
    exp={"essential": True},
)

router = Router(__name__)


class Client(NamedTuple):
    """Whom a token names, and what it allows."""

    id: str
    scopes: frozenset[str]


def verify(token: str) -> Client | None:
    """Return the client that a token names, or None if the token isn't valid now, here."""
    try:
        claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims  # never the algorithm that the token names
        claims_rules.validate(claims)
    except (JoseError, ValueError):
        return None
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        return None
    return Client(claims["sub"], frozenset(str(claims.get("scope", "")).split()))


def make_token(subject: str, scope: str = "", seconds: int = 600) -> str:
    """Return a token, as the server that knows the passwords would."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "scope": scope, "iat": now, "exp": now + seconds}
    return jwt.encode({"alg": ALGORITHM}, claims, key)


def may_write(client: Client) -> bool:
    return "write" in client.scopes


@router.get("/me")
def me() -> dict[str, Any]:
    return {"id": user.id, "scopes": sorted(user.scopes)}


@router.post("/notes")
@policy(login=may_write)
def add_note() -> tuple[dict[str, Any], int]:
    return {"by": user.id}, 201


stack = build_stack(
    router,
    use(ContextMiddleware),
    use(ErrorPagesMiddleware),
    use(AuthenticationMiddleware, schemes=[Bearer(verify, realm="api")], required=True),
)
