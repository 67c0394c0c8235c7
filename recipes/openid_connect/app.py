"""Log in by an account elsewhere: OpenID Connect, with Authlib.

pip install 'wsgikit[serve]' authlib joserfc requests
export WSGIKIT_SECRET=$(wsgikit secret) OIDC_ISSUER=https://accounts.example.com OIDC_CLIENT_ID=… OIDC_CLIENT_SECRET=…
wsgikit serve app:stack
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, NamedTuple

import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from werkzeug.exceptions import BadRequest, Forbidden

from wsgikit import (
    AuthenticationMiddleware,
    ContextMiddleware,
    ErrorPagesMiddleware,
    Request,
    Response,
    Router,
    SessionMiddleware,
    build_stack,
    login_required,
    login_user,
    logout_user,
    next_url,
    redirect,
    session,
    url_for,
    use,
    user,
)
from wsgikit.middleware.authentication import SessionLogin

SECRET = os.environ["WSGIKIT_SECRET"]
ISSUER = os.environ["OIDC_ISSUER"]
CLIENT_ID, CLIENT_SECRET = os.environ["OIDC_CLIENT_ID"], os.environ["OIDC_CLIENT_SECRET"]
ALGORITHMS = ["RS256", "ES256"]
TIMEOUT_SECONDS = 10
STARTED = "openid_connect"  # the key of the session for what the answer is compared with

router = Router(__name__)


class User(NamedTuple):
    """Whom the provider named."""

    id: str
    email: str


@lru_cache(1)
def provider() -> dict[str, Any]:
    """Return the addresses of the provider (OpenID Connect Discovery 1.0)."""
    found = requests.get(f"{ISSUER}/.well-known/openid-configuration", timeout=TIMEOUT_SECONDS)
    found.raise_for_status()
    described: dict[str, Any] = found.json()
    if described["issuer"] != ISSUER:
        raise RuntimeError(f"expected the provider {ISSUER}, got {described['issuer']}")
    return described


def make_client(state: str | None = None) -> OAuth2Session:
    return OAuth2Session(
        CLIENT_ID,
        CLIENT_SECRET,
        scope="openid email",
        redirect_uri=url_for("callback", _external=True),
        code_challenge_method="S256",
        state=state,
        default_timeout=TIMEOUT_SECONDS,
    )


def read_id_token(text: str, nonce: str) -> User:
    """Return the user that an id token names (OpenID Connect Core 1.0 §3.1.3.7).

    Raises:
        JoseError, ValueError: it isn't the provider's, or not for this login.
    """
    keys = KeySet.import_key_set(requests.get(provider()["jwks_uri"], timeout=TIMEOUT_SECONDS).json())
    claims = jwt.decode(text, keys, algorithms=ALGORITHMS).claims
    rules = jwt.JWTClaimsRegistry(
        leeway=30,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": CLIENT_ID},
        nonce={"essential": True, "value": nonce},
        sub={"essential": True},
        exp={"essential": True},
    )
    rules.validate(claims)
    return User(str(claims["sub"]), str(claims.get("email", "")))


@router.get("/")
@login_required
def home() -> str:
    return f"Hello {user.email}"


@router.get("/login")
def log_in() -> Response:
    verifier, nonce = generate_token(48), generate_token(24)
    url, state = make_client().create_authorization_url(
        provider()["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    session[STARTED] = {"state": state, "verifier": verifier, "nonce": nonce, "next": next_url()}
    return redirect(url, 303, external=True)


@router.get("/callback")
def callback(request: Request) -> Response:
    started = session.pop(STARTED, None)
    if started is None or request.args.get("state") != started["state"]:
        raise BadRequest("This login was not begun here, or has ended already.")
    if "code" not in request.args:
        raise Forbidden("The provider did not log you in.")
    client = make_client(started["state"])
    try:
        token = client.fetch_token(
            provider()["token_endpoint"],
            code=request.args["code"],
            code_verifier=started["verifier"],
            grant_type="authorization_code",
        )
        found = read_id_token(str(token.get("id_token", "")), started["nonce"])
    except (OAuthError, JoseError, ValueError):
        raise Forbidden("The provider's answer could not be confirmed.") from None
    finally:
        client.close()
    login_user(found)
    session["email"] = found.email
    return redirect(started["next"], 303)


@router.post("/logout")
def log_out() -> Response:
    logout_user()
    return redirect("/", 303)


def load(user_id: str) -> User:
    """Return the user of the session: what is in it is signed, so that no table is needed."""
    return User(user_id, session.get("email", ""))


stack = build_stack(
    router,
    use(ContextMiddleware),
    use(ErrorPagesMiddleware),
    use(SessionMiddleware, secret_key=SECRET),  # SameSite=Lax: the way back from the provider brings the cookie along
    use(AuthenticationMiddleware, schemes=[SessionLogin(load, login_url="/login")]),
)
