"""The recipe `jwt`: tokens that are valid, and each way in which one isn't."""

from __future__ import annotations

import base64
import importlib.util
import json
import time
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from wsgikit.testing import TestClient

APP = Path(__file__).parents[2] / "recipes" / "jwt" / "app.py"
KEY = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.setenv("JWT_KEY", KEY)
    spec = importlib.util.spec_from_file_location("recipe_jwt", APP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask(recipe, token, path="/me", method="GET"):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return TestClient(recipe.stack).request(path, method=method, headers=headers, status="*")


def test_a_client_is_known_by_its_token(recipe):
    assert ask(recipe, recipe.make_token("shop", "read write")).json == {"id": "shop", "scopes": ["read", "write"]}


@pytest.mark.parametrize(("scope", "status"), [("read write", 201), ("read", 403), ("", 403), ("writer", 403)])
def test_a_scope_decides_who_may_write(recipe, scope, status):
    assert ask(recipe, recipe.make_token("shop", scope), "/notes", "POST").status_int == status


def test_without_a_token_there_is_a_challenge(recipe):
    response = ask(recipe, None)
    assert (response.status_int, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


def made(key=KEY, alg="HS256", **changes):
    now = int(time.time())
    claims = {
        "iss": "https://accounts.example.com",
        "aud": "https://api.example.com",
        "sub": "shop",
        "exp": now + 60,
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg}, kept, OctKey.import_key(key), algorithms=[alg])


def unsigned(alg="none"):
    parts = [{"alg": alg, "typ": "JWT"}, {"sub": "shop", "exp": 9_999_999_999}]
    text = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*text, ""])


# The mistakes of RFC 8725 (JSON Web Token Best Current Practices) that a token can show.
@pytest.mark.parametrize(
    "token",
    [
        made(key="another-key-of-the-same-length!!"),
        made(alg="HS512"),
        made(exp=int(time.time()) - 3600),
        made(exp=None),
        made(exp="soon"),
        made(nbf=int(time.time()) + 3600),
        made(iss="https://evil.example"),
        made(iss=None),
        made(aud="https://other.example"),
        made(aud=None),
        made(sub=None),
        made(sub=""),
        made(sub=7),
        unsigned(),
        unsigned("None"),
        unsigned("HS256"),
        "a.b.c",
        "a.b.c.d.e",
        "...",
        "x" * 5000,
        made() + "x",
        "",
        "é",
    ],
)
def test_a_token_that_is_not_valid_is_a_401(recipe, token):
    response = ask(recipe, token.encode().decode("latin-1"))
    assert response.status_int == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'
