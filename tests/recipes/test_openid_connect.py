"""The recipe `openid_connect`, against a provider in the test, and each answer that isn't to be believed."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from wsgikit.testing import TestClient

pytest.importorskip("authlib.integrations.requests_client")
APP = Path(__file__).parents[2] / "recipes" / "openid_connect" / "app.py"
HTML = {"Accept": "text/html"}


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Provider:
    """Gives a code to whoever asks, and an id token for it."""

    def __init__(self):
        self.key = ECKey.generate_key("P-256", {"kid": "one", "alg": "ES256", "use": "sig"})
        self.signing_key = self.key
        self.challenges = {}
        self.changes = {}
        self.issuer = ""

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        answer, status = {}, "200 OK"
        if path == "/.well-known/openid-configuration":
            answer = {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        elif path == "/keys":
            answer = {"keys": [self.key.as_dict(private=False)]}
        elif path == "/token":
            form = dict(parse_qsl(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])).decode()))
            answer = self.give_token(form, environ.get("HTTP_AUTHORIZATION", ""))
            status = "400 Bad Request" if "error" in answer else status
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]

    def authorize(self, url):
        """Stand for the provider's page: return the query that it sends the browser back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.challenges)}"
        self.challenges[code] = asked
        return f"code={code}&state={asked['state']}"

    def give_token(self, form, authorization):
        asked = self.challenges.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        secret = "Basic " + base64.b64encode(b"shop:secret-of-the-shop").decode()
        if asked is None or challenge != asked["code_challenge"] or authorization != secret:
            return {"error": "invalid_grant"}
        claims = {
            "iss": self.issuer,
            "aud": "shop",
            "sub": "7",
            "email": "ann@example.com",
            "nonce": asked["nonce"],
            "exp": int(time.time()) + 60,
            **self.changes,
        }
        token = jwt.encode({"alg": "ES256", "kid": "one"}, claims, self.signing_key, algorithms=["ES256"])
        return {"access_token": "x", "token_type": "Bearer", "id_token": token}


@pytest.fixture
def provider():
    made = Provider()
    with make_server("127.0.0.1", 0, made, handler_class=Quiet) as server:
        made.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def client(provider, monkeypatch):
    for name, value in {
        "WSGIKIT_SECRET": "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a",
        "OIDC_ISSUER": provider.issuer,
        "OIDC_CLIENT_ID": "shop",
        "OIDC_CLIENT_SECRET": "secret-of-the-shop",
        "AUTHLIB_INSECURE_TRANSPORT": "1",  # the provider of the test has no https
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("recipe_openid_connect", APP)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return TestClient(module.stack)


def begin(client, path="/login"):
    return client.get(path, status=303).headers["Location"]


def test_a_user_of_the_provider_logs_in(client, provider):
    form = client.get("/?a=1", headers=HTML, status=303).headers["Location"]
    assert form == "/login?next=/%3Fa%3D1"
    query = provider.authorize(begin(client, form))
    assert client.get(f"/callback?{query}", status=303).headers["Location"].endswith("/?a=1")
    assert client.get("/").text == "Hello ann@example.com"
    client.get(f"/callback?{query}", status=400)
    client.post("/logout")
    client.get("/", status=401)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-shop"},
        {"nonce": "of another login"},
        {"exp": 1},
        {"sub": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_id_token_for_something_else_is_refused(client, provider, changes):
    provider.changes = changes
    client.get(f"/callback?{provider.authorize(begin(client))}", status=403)
    client.get("/", status=401)


def test_an_id_token_of_another_key_is_refused(client, provider):
    provider.signing_key = ECKey.generate_key("P-256", {"kid": "one"})
    client.get(f"/callback?{provider.authorize(begin(client))}", status=403)


@pytest.mark.parametrize(
    ("query", "status"),
    [("code=x&state=wrong", 400), ("code=x", 400), ("", 400), ("error=access_denied&state={state}", 403)],
)
def test_an_answer_that_does_not_belong_to_this_login_is_refused(client, provider, query, status):
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    client.get(f"/callback?{query.format(state=state)}", status=status)
    client.get("/", status=401)


def test_the_code_of_another_visitor_is_refused(client, provider):
    stolen = parse_qs(provider.authorize(begin(TestClient(client.app))))["code"][0]
    state = parse_qs(urlsplit(begin(client)).query)["state"][0]
    client.get(f"/callback?code={stolen}&state={state}", status=403)
