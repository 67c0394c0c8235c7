"""Twenty secrets in all the places that secrets are in, and none of them on any form of any page."""

from __future__ import annotations

import base64
import json
import time

import pytest

from wsgikit import ErrorPagesMiddleware, Middleware, build_stack, use
from wsgikit.http.redact import Redactor, is_secret_name

# The texts are put together here, so that the source on the page doesn't have them from this table.
PLACES = [
    *(
        "environment variable",
        "environment URL",
        "cookie",
        "second cookie",
        "bearer",
        "basic password",
        "api key header",
    ),
    *("unknown header", "query token", "local", "local bytes", "local in dict", "local list", "message URL"),
    *("message assignment", "session value", "layer key", "layer old key", "layer URL", "literal"),
]
SECRETS = {place: f"S3CRET-{number:02}-{place.replace(' ', '')}" for number, place in enumerate(PLACES)}


class Keeper(Middleware):
    """A layer with a key, like a session layer, and a database URL."""

    def __init__(self, app, *, secret_key, url):
        super().__init__(app)
        self._signer = Signer(secret_key)
        self.url = url


class Signer:
    def __init__(self, keys):
        self.secret_keys = keys


class Session(dict):
    def __wsgikit_peek__(self):
        return list(self)


def app(environ, start_response):
    token = SECRETS["local"]
    api_key = SECRETS["local bytes"].encode()
    config = {"password": SECRETS["local in dict"], "host": "db"}
    passwords = [SECRETS["local list"]]
    session = environ["wsgikit.session"]
    use_all = (token, api_key, config, passwords, session)
    try:
        raise OSError(f"can't reach postgresql://app:{SECRETS['message URL']}@db/x: {token} {api_key!r} {use_all[3]}")
    except OSError as error:
        error.add_note(f"password={SECRETS['message assignment']}&x=1 {SECRETS['layer key']} {SECRETS['cookie']}")
        db_password = "S3CRET-19-literal"  # noqa: F841
        raise RuntimeError(f"{environ['HTTP_AUTHORIZATION']} {SECRETS['environment variable']}") from error


@pytest.fixture
def leaky(monkeypatch):
    monkeypatch.setenv("PAYMENT_API_KEY", SECRETS["environment variable"])
    monkeypatch.setenv("DATABASE", f"mysql://root:{SECRETS['environment URL']}@db/x")
    keys = [SECRETS["layer key"], SECRETS["layer old key"]]

    def leaky(**options):
        keeper = use(Keeper, secret_key=keys, url=f"redis://:{SECRETS['layer URL']}@cache/0")
        return build_stack(app, use(ErrorPagesMiddleware, **options), keeper)

    return leaky


def planted(authorization):
    return {
        "HTTP_AUTHORIZATION": authorization,
        "HTTP_COOKIE": f'session={SECRETS["cookie"]}; theme="{SECRETS["second cookie"]}"',
        "HTTP_X_API_KEY": SECRETS["api key header"],
        "HTTP_X_SOMETHING": SECRETS["unknown header"],
        "QUERY_STRING": f"page=2&reset_token={SECRETS['query token']}",
        "wsgikit.session": Session(card=SECRETS["session value"]),
    }


AUTHORIZATIONS = {
    "bearer": f"Bearer {SECRETS['bearer']}",
    "basic": "Basic " + base64.b64encode(f"ada:{SECRETS['basic password']}".encode()).decode(),
}


@pytest.mark.parametrize("authorization", AUTHORIZATIONS)
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
@pytest.mark.parametrize(
    "options",
    [{}, {"debug": True}, {"debug": True, "show_locals": True}],
    ids=["visitor", "developer", "developer with locals"],
)
def test_no_secret_is_on_any_page(ask, leaky, options, accept, authorization):
    got = ask(leaky(**options), accept=accept, **planted(AUTHORIZATIONS[authorization]))
    assert got.status == "500 Internal Server Error"
    everything = got.text + str(list(got.headers))
    found = [place for place, secret in SECRETS.items() if secret in everything]
    assert not found
    assert "S3CRET" not in everything, "not even a part of one"
    assert AUTHORIZATIONS[authorization].partition(" ")[2] not in everything


def test_what_is_no_secret_is_still_there(ask, leaky):
    data = ask(leaky(debug=True, show_locals=True), accept="application/json", **planted("Bearer x-y-z")).json["debug"]
    assert data["headers"]["Cookie"] == "session=••••••; theme=••••••"
    assert data["headers"]["X-Something"] == f"•••••• ({len(SECRETS['unknown header'])} characters)"
    assert data["request"]["URL"] == "http://localhost/?page=2&reset_token=••••••"
    assert data["session_keys"] == ["card"]
    outer, inner = data["exceptions"]
    assert inner["message"].startswith("can't reach postgresql://app:••••••@db/x: ")
    assert inner["notes"] == ["password=••••••&x=1 •••••• ••••••"]
    variables = outer["frames"][-1]["locals"]
    assert variables["config"] == "{'password': ••••••, 'host': 'db'}"
    assert variables["token"] == variables["session"] == "••••••"
    onion = json.dumps(data["onion"], ensure_ascii=False)
    assert "secret_key=[***, ***]" in onion
    assert "redis://:••••••@cache/0" in onion


def test_a_secret_in_the_path_is_known_by_the_name_of_its_argument(ask):
    def app(environ, start_response):
        raise ValueError(environ["PATH_INFO"])

    arguments = {"wsgiorg.routing_args": ((), {"token": "S3CRET-of-the-path"})}
    stack = ErrorPagesMiddleware(app, debug=True, show_locals=True)
    for accept in ("text/html", "application/json", "*/*"):
        got = ask(stack, path="/reset/S3CRET-of-the-path", accept=accept, **arguments)
        assert "/reset/••••••" in got.text
        assert "S3CRET" not in got.text.replace('"S3CRET', "").replace("&quot;S3CRET", "")


def test_a_secret_that_would_be_cut_in_the_middle_is_gone_whole(ask):
    secret = "Z" * 600

    def app(environ, start_response):
        mine = "x" * 300 + environ["HTTP_X_API_KEY"]
        raise ValueError("y" * 3800 + mine)

    stack = ErrorPagesMiddleware(app, debug=True, show_locals=True)
    for accept in ("text/html", "application/json", "*/*"):
        assert 3 * "Z" not in ask(stack, accept=accept, HTTP_X_API_KEY=secret).text


@pytest.mark.parametrize("text", ["y", "a-", "a.", "=", ": ", "a=", "'", "x://", "://a:", "password=", '["'])
def test_long_texts_are_looked_through_in_a_time_that_grows_with_their_length(text):
    redactor = Redactor(["password-one", "password-two"])
    begin = time.process_time()
    redactor.message(text * 20_000)
    assert time.process_time() - begin < 0.5


def test_a_password_is_hidden_in_every_form_it_comes_in():
    redactor = Redactor(["p@ss/w:rd"])
    assert redactor.text("p@ss/w:rd p%40ss%2Fw%3Ard") == "•••••• ••••••"


def test_a_short_password_does_not_shred_the_page():
    redactor = Redactor(["test", "abc"])
    assert redactor.text("tests/test_x.py: test, abc") == "tests/test_x.py: ••••••, abc"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password = 'x'", "password = '••••••'"),
        ('api_key: str = "x"', 'api_key: str = "••••••"'),
        ("connect(password='x', host='h')", "connect(password='••••••', host='h')"),
        ("d['token'] = 'x'", "d['token'] = '••••••'"),
        ("{'secret': 'x', 'a': 'y'}", "{'secret': '••••••', 'a': 'y'}"),
        ("password = load()", "password = load()"),
        ("token = None", "token = None"),
        ("create_engine('mysql://u:pw@h')", "create_engine('mysql://u:••••••@h')"),
    ],
)
def test_literals_given_to_secret_names_are_hidden_in_source(line, shown):
    assert Redactor().code(line) == shown


@pytest.mark.parametrize(
    "name",
    [
        *("password", "DB_PASSWORD", "passwd", "pwd", "pw", "secret_key", "apiKey", "API-Key", "X-Auth-Token", "token"),
        *("sessionid", "csrf_token", "Authorization", "Cookie", "userPin", "card_cvc", "dsn", "client_secret", "key"),
    ],
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["name", "inside", "keyboard", "monkey", "author", "encoded", "status", "opinion", "compass_x", "host", "id"],
)
def test_names_of_other_things(name):
    assert not is_secret_name(name)


def test_the_keys_and_passwords_of_the_real_layers_are_known(ask):
    import sqlalchemy

    from wsgikit import DatabaseMiddleware, SessionMiddleware

    secrets = [f"S3CRET-of-a-layer-{number}-0123456789abcdef" for number in range(4)]

    def app(environ, start_response):
        raise ValueError(" ".join(secrets))

    engine = sqlalchemy.create_engine(f"postgresql+psycopg://app:{secrets[3]}@127.0.0.1:1/x")
    stack = build_stack(
        app,
        use(ErrorPagesMiddleware, debug=True, show_locals=True),
        use(SessionMiddleware, secret_key=secrets[:2]),
        use(DatabaseMiddleware, url=f"postgresql+psycopg://app:{secrets[2]}@127.0.0.1:1/x"),
        use(DatabaseMiddleware, name="second", environ_key="second.db", engine=engine),
    )
    for accept in ("text/html", "application/json", "*/*"):
        got = ask(stack, accept=accept)
        assert "•••••• •••••• •••••• ••••••" in got.text
        assert "S3CRET-of-a-layer-0" not in got.text
    stack.close()


MARK = "h8unter2XYZ"  # put into texts here, so that the source on the page doesn't have them


@pytest.mark.parametrize(
    "message",
    [
        "upstream refused 'Authorization: Bearer {}'",
        "upstream refused Authorization: Basic {}",
        "KeyError: Bearer {}",
        "Set-Cookie: sid={}; Path=/",
        "the password was {}",
        "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
        "(sqlite3.IntegrityError) UNIQUE\n[SQL: insert into t values (?)]\n[parameters: ('bob', '{}')]",
        "(psycopg.Error) duplicate\nDETAIL:  Key (token)=({}) already exists.",
        "sent [('Authorization', 'Negotiate {}')]",
    ],
)
def test_a_message_does_not_show_credentials(ask, message):
    def app(environ, start_response):
        error = RuntimeError(message.format(MARK))
        error.add_note(message.format(MARK))
        raise ExceptionGroup("several", [error])

    for accept in ("text/html", "application/json", "text/plain"):
        got = ask(ErrorPagesMiddleware(app, debug=True), accept=accept)
        assert MARK not in got.text
        assert "several" in got.text


def test_locals_and_log_do_not_show_keys_pairs_and_sql_parameters(ask, caplog):
    import sqlalchemy

    engine = sqlalchemy.create_engine("sqlite://")

    def app(environ, start_response):
        pem = f"-----BEGIN PRIVATE KEY-----{MARK}"  # noqa: F841
        pairs = [("Authorization", MARK)]  # noqa: F841
        creds = ("bob", MARK)  # noqa: F841
        with engine.connect() as connection:
            connection.exec_driver_sql("insert into missing values (?, ?)", ("bob", MARK))

    got = ask(ErrorPagesMiddleware(app, debug=True, show_locals=True))
    assert "missing" in got.text
    assert MARK not in got.text
    assert "insert into missing" in caplog.text
    assert MARK not in caplog.text


@pytest.mark.parametrize(
    ("path", "is_hidden"),
    [
        ("/reset/rou8c167255b56c4e", True),
        ("/reset/8d0c7f1e-6a7b-4c0e-9d57-2a51cf0f1f6e", True),
        ("/posts/2024-01-31-the-release", False),
        ("/static/jquery-3.7.1.min.js", False),
        ("/internationalization", False),
    ],
)
def test_a_token_in_a_path_without_a_route_is_hidden(ask, failing, path, is_hidden):
    got = ask(ErrorPagesMiddleware(failing(RuntimeError("x")), debug=True), path=path, accept="application/json")
    assert (path in got.text) is not is_hidden


class ExitsInStr(OSError):
    def __str__(self):
        raise SystemExit(3)


class RaisesInCause(Exception):
    @property
    def __cause__(self):
        raise SystemExit(3)

    @property
    def __notes__(self):
        raise ValueError("notes")


@pytest.mark.parametrize("kind", [ExitsInStr, RaisesInCause])
@pytest.mark.parametrize("debug", [True, False])
def test_an_error_that_cannot_be_read_gets_a_page_and_a_record(ask, failing, records, kind, debug):
    got = ask(ErrorPagesMiddleware(failing(kind()), debug=debug, show_locals=debug))
    assert got.status == "500 Internal Server Error"
    (record,) = records(40)
    assert kind.__name__ in record.getMessage()


@pytest.mark.parametrize(
    "text", ["a://", "a://b:", "password-", "eyJ-", "Key (", "Duplicate entry '", "a-", "Bearer a"]
)
def test_a_long_text_is_read_in_linear_time(text):
    Redactor().message(text * (40_000 // len(text)))  # quadratic ones take minutes: pytest's time limit ends them
