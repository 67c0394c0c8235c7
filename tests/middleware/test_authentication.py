"""`AuthenticationMiddleware`: who the client is, by each scheme, and who is refused."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.middleware.test_security_frameworks import FRAMEWORKS
from wsgikit import (
    AuthenticationMiddleware,
    ContextMiddleware,
    ErrorPagesMiddleware,
    Request,
    Router,
    SessionMiddleware,
    build_stack,
    login_required,
    login_user,
    logout_user,
    next_url,
    policy,
    redirect,
    use,
    user,
)
from wsgikit.exceptions import ApplicationError, ConfigurationError, OutsideRequestError
from wsgikit.http.targets import is_local_target
from wsgikit.http.users import id_of
from wsgikit.middleware.authentication import Basic, Bearer, RemoteUser, Scheme, SessionLogin, WrongCredentials
from wsgikit.middleware.authentication.schemes import read_basic, read_bearer
from wsgikit.testing import TestClient, assert_conforms
from wsgikit.views import is_fresh_login

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"
HTML = {"Accept": "text/html"}


@dataclass
class User:
    id: int
    name: str
    epoch: int = 0
    is_admin: bool = False


@pytest.fixture
def users():
    return {"1": User(1, "ann"), "2": User(2, "ben", is_admin=True)}


def who(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['wsgikit.user']} {environ.get('REMOTE_USER')}".encode()]


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def verify(name, password):
    return name if (name, password) in {("ann", "a:b"), ("jörg", "pässword")} else None


# ---------------------------------------------------------------------- Basic, Bearer, RemoteUser


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("YW5uOmE6Yg==", ("ann", "a:b")),  # split at the first colon only (RFC 7617 §2)
        ("YW5uOg==", ("ann", "")),
        ("OnB3", ("", "pw")),
        ("YW5u", None),  # no colon
        ("", None),
        ("YW5uOmE6Yg", None),  # no padding
        ("YW5u OmE6Yg==", None),
        ("YW5uOmE6Yg==x", None),
        ("!!!!", None),
        ("YW5uOmEAYg==", None),  # a NUL
        ("/zr/", None),  # no UTF-8
        ("\u00fc", None),
        (base64.b64encode("jörg:pässword".encode()).decode(), ("jörg", "pässword")),
    ],
)
def test_credentials_of_basic(text, expected):
    assert read_basic(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abc.DEF-_~+/==", True), ("", False), ("a b", False), ("a,b", False), ("=", False), ("a=b", False), ("ü", False)],
)
def test_tokens_of_bearer(text, expected):
    assert (read_bearer(text) == text) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
@example("Basic")
@example("Basic  ")
@example("Bearer \x00")
def test_no_authorization_is_a_500_or_passes_as_a_user(text):
    heads = []
    app = AuthenticationMiddleware(
        who, schemes=[Basic({"ann": "secret-of-ann"}), Bearer(lambda token: None)], required=True
    )
    environ = {"REQUEST_METHOD": "GET", "HTTP_AUTHORIZATION": text, "PATH_INFO": "/"}
    list(app(environ, lambda status, headers, exc_info=None: heads.append(status[:3])))
    assert heads == ["401"]


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({}, 200, "None None"),
        (basic("ann", "a:b"), 200, "ann ann"),
        (basic("jörg", "pässword"), 200, "jörg jörg"),
        ({"Authorization": "bASIC  YW5uOmE6Yg=="}, 200, "ann ann"),
        (basic("ann", "wrong"), 401, ""),
        (basic("nobody", "a:b"), 401, ""),
        ({"Authorization": "Basic"}, 401, ""),
        ({"Authorization": "Basic ???"}, 401, ""),
        ({"Authorization": "Digest username=ann"}, 200, "None None"),
    ],
)
def test_wrong_credentials_are_a_401_also_if_no_user_is_required(headers, status, text):
    client = TestClient(AuthenticationMiddleware(who, schemes=[Basic(verify, realm="Shop")]))
    sent = {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}
    response = client.get("/", headers=sent, status=status)
    assert response.text == text or status == 401
    assert (response.headers.get("WWW-Authenticate") == 'Basic realm="Shop", charset="UTF-8"') == (status == 401)


def test_passwords_may_be_a_mapping():
    client = TestClient(AuthenticationMiddleware(who, schemes=Basic({"ann": "one-password", "ben": "other"})))
    assert client.get("/", headers=basic("ben", "other")).text == "ben ben"
    for wrong in (basic("ben", "one-password"), basic("cat", "other"), basic("", ""), basic("ben", "öther")):
        client.get("/", headers=wrong, status=401)


def test_each_password_of_a_mapping_is_compared_whatever_is_sent(monkeypatch):
    from wsgikit.middleware.authentication import schemes

    compared = []
    monkeypatch.setattr(schemes, "texts_are_equal", lambda a, b: compared.append((a, b)) or a == b)
    client = TestClient(AuthenticationMiddleware(who, schemes=Basic({"ann": "first", "ben": "second"})))
    counts = []
    for headers in (basic("ann", "first"), basic("ben", "x"), basic("nobody", "x")):
        compared.clear()
        client.get("/", headers=headers, status="*")
        counts.append(len(compared))
    assert counts == [4, 4, 4]


def test_each_scheme_has_its_challenge_in_a_401():
    client = TestClient(
        AuthenticationMiddleware(
            who, schemes=[Bearer({"t": "ann"}.get, realm="api"), Basic(verify, realm="Shop")], required=True
        )
    )
    response = client.get("/", status=401)
    assert response.headers.getall("WWW-Authenticate") == ['Bearer realm="api"', 'Basic realm="Shop", charset="UTF-8"']
    response = client.get("/", status=401, headers={"Authorization": "Bearer wrong"})
    assert response.headers.getall("WWW-Authenticate")[0] == 'Bearer realm="api", error="invalid_token"'
    assert client.get("/", headers={"Authorization": "Bearer t"}).text == "ann ann"
    assert client.get("/", headers=basic("ann", "a:b")).text == "ann ann"


@pytest.mark.parametrize(
    ("load", "expected"), [(None, "ann ann"), ({"ann": "Ann Example"}.get, "Ann Example Ann Example")]
)
def test_the_server_may_know_the_user(load, expected):
    client = TestClient(AuthenticationMiddleware(who, schemes=[RemoteUser(load)]))
    assert client.get("/", extra_environ={"REMOTE_USER": "ann"}).text == expected
    assert client.get("/", headers={"Remote-User": "ann"}).text == "None None"


def test_a_scheme_of_your_own_may_read_anything():
    class Certificate(Scheme):
        challenge = "Certificate"

        def identify(self, exchange):
            name = exchange.environ.get("SSL_CLIENT_S_DN_CN")
            if name == "expired":
                raise WrongCredentials
            return name

    client = TestClient(AuthenticationMiddleware(who, schemes=[Certificate()]))
    assert client.get("/", extra_environ={"SSL_CLIENT_S_DN_CN": "ann"}).text == "ann ann"
    refused = client.get("/", extra_environ={"SSL_CLIENT_S_DN_CN": "expired"}, status=401)
    assert refused.headers["WWW-Authenticate"] == "Certificate"


@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_the_application_of_each_framework_needs_a_user(kind):
    client = TestClient(
        build_stack(FRAMEWORKS[kind](), use(AuthenticationMiddleware, schemes=[Basic(verify)], required=True))
    )
    client.post("/form", {"name": "Ann"}, status=401)
    assert client.post("/form", {"name": "Ann"}, headers=basic("ann", "a:b")).text == "Ann"


@pytest.mark.parametrize(
    ("own", "expected"), [(None, "private, no-cache"), ("public, max-age=60", "public, max-age=60")]
)
def test_a_response_to_a_user_is_private_unless_the_application_says_otherwise(own, expected):
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), *([("cache-control", own)] if own else [])])
        return [b""]

    client = TestClient(AuthenticationMiddleware(app, schemes=[Basic(verify)]))
    assert client.get("/", headers=basic("ann", "a:b")).headers["Cache-Control"] == expected
    assert client.get("/").headers.get("Cache-Control") == own


@pytest.mark.parametrize(
    ("given", "expected"),
    [("ann", "ann"), (7, "7"), (User(3, "cat"), "3"), (type("U", (), {"get_id": lambda self: "x9", "id": 1})(), "x9")],
)
def test_a_user_is_known_by_an_id(given, expected):
    assert id_of(given) == expected


@pytest.mark.parametrize("given", ["", User(None, "x")])
def test_a_user_without_an_id_is_an_error(given):
    with pytest.raises(ApplicationError, match="id"):
        id_of(given)


# ---------------------------------------------------------------------- the session


def site(users):
    router = Router(name="site")

    @router.get("/")
    def home(request: Request):
        return f"{user.name if user else 'nobody'} {request.user is None} {request.environ.get('REMOTE_USER')}"

    @router.post("/login")
    def login(request: Request):
        session = request.environ["wsgikit.session"]
        login_user(users[request.form["id"]], remember="remember" in request.form)
        session.setdefault("logins", 0)
        session["logins"] += 1
        return redirect(next_url())

    @router.get("/login")
    def form():
        return "form"

    @router.post("/logout")
    def logout():
        logout_user()
        return "bye" if not user else "still here"

    @router.get("/account")
    @login_required
    def account():
        return f"account of {user.name}"

    @router.get("/password")
    @login_required(fresh=True, redirect="/confirm")
    def password():
        return "new password"

    @router.get("/policy")
    @policy(login=True)
    def by_policy():
        return f"hello {user.name}"

    @router.get("/admin")
    @policy(login=lambda user: user.is_admin)
    def admin():
        return "admin"

    @router.get("/fresh")
    def fresh():
        return str(is_fresh_login())

    return router


def stack_of(users, app=None, *, required=False, session=(), **options):
    options = {"login_url": "/login", "secret_key": SECRET, "epoch": lambda user: user.epoch, **options}
    return build_stack(
        app or site(users),
        use(ContextMiddleware),
        use(ErrorPagesMiddleware),
        use(SessionMiddleware, secret_key=SECRET, **{"store": "memory://", **dict(session)}),
        use(AuthenticationMiddleware, schemes=[SessionLogin(users.get, **options)], required=required),
    )


@pytest.fixture
def client(users):
    return TestClient(stack_of(users))


def test_a_user_logs_in_and_out(client):
    assert client.get("/").text == "nobody True None"
    client.post("/login", {"id": "1"}, status=302)
    assert client.get("/").text == "ann False 1"
    assert client.post("/logout").text == "bye"
    assert client.get("/").text == "nobody True None"


def test_a_login_gives_the_session_a_new_id_and_keeps_its_data(client):
    with client.session() as session:
        session["cart"] = ["tea"]
        session.get_csrf_token()
        before = session.id, session["_csrf_token"] if "_csrf_token" in session else session.get_csrf_token()
    client.post("/login", {"id": "1"})
    with client.session() as session:
        assert session["cart"] == ["tea"]
        assert session.id != before[0]
        assert session.get_csrf_token() != before[1]


def test_another_user_does_not_get_the_data_of_the_one_before(client):
    client.post("/login", {"id": "1"})
    with client.session() as session:
        session["cart"] = ["tea"]
    client.post("/login", {"id": "2"})
    assert client.get("/").text == "ben False 2"
    with client.session() as session:
        assert "cart" not in session


def test_a_logout_ends_the_session_with_all_that_it_holds(client):
    client.post("/login", {"id": "1"})
    cookies = dict(client.cookies)
    client.post("/logout")
    with client.session() as session:
        assert dict(session) == {}
    stolen = TestClient(client.app)
    for name, value in cookies.items():
        stolen.set_cookie(name, value)
    assert stolen.get("/").text == "nobody True None"


def test_the_keys_of_the_session_are_those_of_flask_login(client):
    client.post("/login", {"id": "1"})
    with client.session() as session:
        assert (session["_user_id"], session["_fresh"]) == ("1", True)


def test_a_user_who_is_gone_is_nobody(client, users):
    client.post("/login", {"id": "1"})
    del users["1"]
    assert client.get("/").text == "nobody True None"


def test_a_new_epoch_ends_all_logins_of_the_user(users):
    stack = stack_of(users)
    clients = [TestClient(stack) for _ in range(3)]
    for client, number in zip(clients, "112", strict=True):
        client.post("/login", {"id": number, "remember": "1"})
    users["1"].epoch += 1
    assert [client.get("/").text.split()[0] for client in clients] == ["nobody", "nobody", "ben"]


def test_a_request_without_cookies_does_not_touch_the_session(client):
    response = client.get("/")
    assert "Set-Cookie" not in response.headers
    assert "Cookie" not in response.headers.get("Vary", "")


# ---------------------------------------------------------------------- remember me


def cookie_of(response, name="remember"):
    return next((line for line in response.headers.getall("Set-Cookie") if line.startswith(f"{name}=")), None)


def forget_session(client):
    client.cookiejar.clear(domain="localhost.local", path="/", name="session")


def test_the_cookie_logs_the_user_in_again_but_not_fresh(client):
    line = cookie_of(client.post("/login", {"id": "1", "remember": "1"}))
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"} <= {part.strip() for part in line.split(";")}
    assert client.get("/fresh").text == "True"
    forget_session(client)
    assert client.get("/").text == "ann False 1"
    assert client.get("/fresh").text == "False"
    assert client.get("/account").text == "account of ann"
    assert client.get("/password", status=303, headers=HTML).headers["Location"] == "/confirm?next=/password"


def test_a_logout_removes_the_cookie(client):
    client.post("/login", {"id": "1", "remember": "1"})
    assert "Max-Age=0" in cookie_of(client.post("/logout"))
    assert client.get("/").text == "nobody True None"


def test_without_remember_there_is_no_cookie(client):
    assert cookie_of(client.post("/login", {"id": "1"})) is None


@pytest.mark.parametrize(
    ("secure", "scheme", "expected"), [("auto", "http", False), ("auto", "https", True), (True, "http", True)]
)
def test_the_cookie_is_secure_if_that_of_the_session_is(users, secure, scheme, expected):
    stack = stack_of(users, session={"cookie_secure": secure})
    client = TestClient(stack, extra_environ={"wsgi.url_scheme": scheme})
    assert ("; Secure" in cookie_of(client.post("/login", {"id": "1", "remember": "1"}))) == expected


def test_the_end_of_the_cookie_is_inside_the_signature(users, monkeypatch):
    from wsgikit.middleware.authentication import session_login

    scheme = SessionLogin(users.get, secret_key=SECRET, remember_seconds="1h")
    value = scheme.make_cookie(users["1"], is_secure=False).split(";")[0].partition("=")[2]
    assert scheme.read_cookie(value) == ("1", None)
    now = session_login.time.time()
    monkeypatch.setattr(session_login.time, "time", lambda: now + 3601)
    assert scheme.read_cookie(value) is None


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_cookie_that_was_changed_is_nobodys(data):
    scheme = SessionLogin({"1": "ann"}.get, secret_key=SECRET)
    value = scheme.make_cookie("1", is_secure=False).split(";")[0].partition("=")[2]
    at = data.draw(st.integers(0, len(value) - 1))
    changed = value[:at] + data.draw(st.text(max_size=3)) + value[at + 1 :]
    known = scheme.read_cookie(changed)
    assert known is None or changed.rstrip("=") == value


def test_another_secret_still_reads_if_it_is_listed(users):
    old = SessionLogin(users.get, secret_key=SECRET).make_cookie("1", is_secure=False).split(";")[0].partition("=")[2]
    new = SessionLogin(users.get, secret_key=[SECRET[::-1], SECRET])
    assert new.read_cookie(old) == ("1", None)
    assert SessionLogin(users.get, secret_key=SECRET[::-1]).read_cookie(old) is None


def test_remembering_without_a_secret_is_an_error(users):
    client = TestClient(stack_of(users, secret_key=None), throw_errors=True)
    with pytest.raises(ApplicationError, match="remember: expected a secret_key="):
        client.post("/login", {"id": "1", "remember": "1"})


# ---------------------------------------------------------------------- who may not


@pytest.mark.parametrize("path", ["/account", "/policy", "/admin"])
def test_a_page_that_needs_a_user_leads_to_the_form(client, path):
    response = client.get(f"{path}?a=b%20c&d=/", status=303, headers=HTML)
    assert response.headers["Location"] == f"/login?next={path}%3Fa%3Db%2520c%26d%3D/"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "accept"), [("GET", "application/json"), ("GET", None), ("HEAD", "application/json")]
)
def test_what_is_no_page_for_people_is_a_401(client, method, accept):
    headers = {} if accept is None else {"Accept": accept}
    response = client.request("/account", method=method, headers=headers, status=401)
    assert response.headers["WWW-Authenticate"] == "Session"


def test_a_form_is_not_redirected(users):
    router = Router(name="site")

    @router.post("/")
    @login_required
    def view():
        return "done"

    TestClient(stack_of(users, router)).post("/", {}, headers=HTML, status=401)


def test_the_policy_of_a_view_is_a_403_for_users_who_may_not(client):
    client.login(User(1, "ann"))
    assert client.get("/policy").text == "hello ann"
    client.get("/admin", status=403)
    client.login(User(2, "ben"))
    assert client.get("/admin").text == "admin"


def test_the_login_leads_back_to_where_it_was_asked_for(client):
    location = client.get("/account", status=303, headers=HTML).headers["Location"]
    assert client.post(location, {"id": "1"}).headers["Location"].endswith("/account")


# From Django's url_has_allowed_host_and_scheme tests (tests/utils_tests/test_http.py), as far as they are paths.
@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "http://evil.example",
        "http:///evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        " /account",
        "/\t/evil.example",
        "/\n/evil.example",
        "\x08//evil.example",
        "account",
        "",
        "/account\x00",
        "/a b",
    ],
)
def test_a_target_that_may_leave_the_site_is_never_followed(client, target):
    assert not is_local_target(target)
    response = client.post("/login", {"id": "1", "next": target})
    assert response.headers["Location"].endswith("/")
    assert "evil" not in response.headers["Location"]


def test_a_path_with_two_slashes_is_not_put_into_next(users):
    client = TestClient(stack_of(users, required=True))
    request = {"PATH_INFO": "//evil.example"}
    response = client.get("/", extra_environ=request, status=303, headers=HTML)
    assert response.headers["Location"] == "/login"


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_the_decorator_works_on_each_kind_of_view(users, kind):
    router = Router(name="site")
    if kind == "function":

        @router.get("/")
        @login_required
        def view():
            return user.name
    else:

        @router.get("/")
        @login_required
        async def waiting():
            return user.name

    client = TestClient(stack_of(users, router))
    client.get("/", status=401)
    client.login(User(1, "ann"))
    assert client.get("/").text == "ann"


def flask_site():
    import flask

    app = flask.Flask("site")

    @app.get("/account")
    @login_required
    def account():
        return f"account of {user.name} {flask.request.environ['REMOTE_USER']}"

    @app.post("/login")
    def login():
        login_user(User(1, "ann"))
        return "in"

    return app


def bottle_site():
    import bottle

    app = bottle.Bottle()

    @app.get("/account")
    @login_required
    def account():
        return f"account of {user.name} {bottle.request.environ['REMOTE_USER']}"

    @app.post("/login")
    def login():
        login_user(User(1, "ann"))
        return "in"

    return app


@pytest.mark.parametrize("make", [flask_site, bottle_site])
def test_the_decorator_works_in_views_of_other_frameworks(users, make):
    client = TestClient(stack_of(users, make()))
    assert client.get("/account", status=303, headers=HTML).headers["Location"] == "/login?next=/account"
    client.get("/account", status=401)
    client.post("/login")
    assert client.get("/account").text == "account of ann 1"


def test_a_session_of_flask_login_is_known(users):
    import flask
    import flask_login

    app = flask.Flask("site")
    app.secret_key = SECRET
    manager = flask_login.LoginManager(app)

    class Member(flask_login.UserMixin):
        id = 1

    @manager.user_loader
    def load(user_id):
        return Member()

    @app.post("/login")
    def login():
        flask_login.login_user(Member())
        return "in"

    @app.get("/")
    def home():
        return f"{flask.request.environ['REMOTE_USER']} {flask_login.current_user.is_authenticated}"

    stack = build_stack(
        app,
        use(SessionMiddleware, secret_key=SECRET, cookie_format="flask"),
        use(AuthenticationMiddleware, schemes=[SessionLogin(users.get)]),
    )
    client = TestClient(stack)
    client.post("/login")
    assert client.get("/").text == "1 True"


@pytest.mark.parametrize("path", ["/", "/account", "/missing"])
def test_a_site_that_requires_a_user_shows_only_the_form(users, path):
    client = TestClient(stack_of(users, required=True))
    client.get(path, status=401)
    assert client.get("/login").text == "form"
    client.login(users["1"])
    assert client.get("/").text == "ann False 1"


def test_a_refused_page_has_the_form_of_error_pages(client):
    client.login(User(1, "ann"))
    response = client.get("/admin", status=403, headers={"Accept": "application/json"})
    assert response.content_type == "application/problem+json"


# ---------------------------------------------------------------------- the local, and mistakes


def test_the_local_is_false_and_says_so_if_nobody_is_logged_in(users):
    with stack_of(users).request_context("/"):
        assert not user
        assert user == None  # noqa: E711  # the proxy stands for nobody
        assert repr(user) == "<nobody>"
        with pytest.raises(AttributeError, match="nobody is logged in, so there is no 'name'"):
            user.name  # noqa: B018


def test_outside_of_a_request_there_is_no_user():
    with pytest.raises(OutsideRequestError, match="AuthenticationMiddleware"):
        user.name  # noqa: B018


def test_a_login_without_the_layer_is_an_error(users):
    stack = build_stack(site(users), use(ContextMiddleware), use(SessionMiddleware, secret_key=SECRET))
    client = TestClient(stack, throw_errors=True)
    with pytest.raises(ApplicationError, match=r"login_user: .*Add use\(AuthenticationMiddleware"):
        client.post("/login", {"id": "1"})


def test_a_login_without_a_session_login_is_an_error(users):
    stack = build_stack(
        site(users),
        use(ContextMiddleware),
        use(SessionMiddleware, secret_key=SECRET),
        use(AuthenticationMiddleware, schemes=[Basic(verify)]),
    )
    with pytest.raises(ApplicationError, match="login_user: schemes: expected a SessionLogin"):
        TestClient(stack, throw_errors=True).post("/login", {"id": "1"})


def test_a_policy_without_the_layer_is_an_error(users):
    stack = build_stack(site(users), use(ContextMiddleware), use(SessionMiddleware, secret_key=SECRET))
    with pytest.raises(ApplicationError, match="login"):
        TestClient(stack, throw_errors=True).get("/policy")


def test_a_client_without_the_layer_cannot_log_in():
    with pytest.raises(ConfigurationError, match=r"client\.login\(\): app: expected a SessionLogin"):
        TestClient(who).login("ann")


def test_a_session_login_needs_a_session_layer(users):
    with pytest.raises(ConfigurationError, match=r"needs environ\['wsgikit.session'\]"):
        build_stack(who, use(AuthenticationMiddleware, schemes=[SessionLogin(users.get)]))


def test_verify_has_to_return_the_user():
    client = TestClient(AuthenticationMiddleware(who, schemes=[Basic(lambda *_: True)]), throw_errors=True)
    with pytest.raises(ApplicationError, match=r"Basic\.verify: result: expected the user"):
        client.get("/", headers=basic("a", "b"))


def test_the_user_may_stand_under_another_key():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['my.user']} {'wsgikit.user' in environ}".encode()]

    client = TestClient(AuthenticationMiddleware(app, schemes=[Basic(verify)], environ_key="my.user"))
    assert client.get("/", headers=basic("ann", "a:b")).text == "ann False"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: AuthenticationMiddleware(who, schemes=[]), "schemes: expected at least one scheme"),
        (lambda: AuthenticationMiddleware(who, schemes=["basic"]), "schemes: expected schemes, got 'str'"),
        (lambda: AuthenticationMiddleware(who, schemes=[Basic]), "schemes: expected schemes"),
        (lambda: AuthenticationMiddleware(who, schemes=[RemoteUser()], required="no"), "required: expected"),
        (lambda: AuthenticationMiddleware(who, schemes=[RemoteUser()], environ_key=""), "environ_key: expected"),
        (lambda: Basic("ann"), "Basic: verify: expected a function"),
        (lambda: Basic({}), "Basic: verify: expected a mapping"),
        (lambda: Basic({"ann": ""}), "Basic: verify: expected a mapping"),
        (lambda: Basic(verify, realm='a"b'), "Basic: realm: expected text"),
        (lambda: Basic(verify, realm="a\r\nb"), "Basic: realm: expected text"),
        (lambda: Bearer("t"), "Bearer: verify: expected a function"),
        (lambda: Bearer(verify, realm="ü"), "Bearer: realm: expected text"),
        (lambda: RemoteUser("x"), "RemoteUser: load: expected a function"),
        (lambda: SessionLogin("x"), "SessionLogin: load: expected a function"),
        (lambda: SessionLogin(id, epoch=3), "SessionLogin: epoch: expected a function"),
        (lambda: SessionLogin(id, "https://x.example/"), "SessionLogin: login_url: expected a path"),
        (lambda: SessionLogin(id, secret_key="short"), "SessionLogin: secret_key: expected"),
        (lambda: SessionLogin(id, remember_seconds=0), "SessionLogin: remember_seconds: expected"),
        (lambda: SessionLogin(id, remember_cookie="a b"), "SessionLogin: cookie_name: expected"),
        (lambda: login_required(redirect="//evil.example"), "login_required: redirect: expected a path"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(make, text):
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert text in str(caught.value)


def test_no_message_has_a_password():
    with pytest.raises(ConfigurationError) as caught:
        Basic({"ann": "secret-word", "ben": ""})
    assert "secret-word" not in str(caught.value)


def test_the_layer_conforms():
    assert_conforms(lambda app: AuthenticationMiddleware(app, schemes=[Basic(verify), RemoteUser()]))
