"""The session's cookie. Points A2, S9, S14, S15, S16, S17, B39, B40, B41, B42, B46, B47, B49."""

import logging
import random
import string

import pytest

from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.middleware import SessionMiddleware


def test_a_session_is_not_taken_out_of_the_value_of_another_cookie(browse):
    def view(session, environ):
        if environ["PATH_INFO"] == "/login":
            session["user"] = environ["QUERY_STRING"]
        return session.get("user")

    browser = browse(view, cookie_name="__Host-session", cookie_secure=True)
    lines = [browser.send(f"/login?{user}").headers["Set-Cookie"].partition(";")[0] for user in ("attacker", "victim")]
    attacker, victim = lines
    for header, user in {
        f"theme=a,{attacker}; {victim}": "victim",
        f"{victim}; theme=a,{attacker}": "victim",
        f"theme=a,{attacker}": "",
    }.items():
        assert browser.send("/", headers={"Cookie": header}).text == user


def test_s15_b47_of_several_the_first_valid_one_wins(browse):
    browser = browse(lambda s, e: s.update(n=s.get("n", 0) + 1) if e["PATH_INFO"] == "/w" else s.get("n"))
    browser.send("/w")
    good = browser.cookie
    for header in (
        f"session=evil; session={good}",
        f"session={good}; session=evil",
        f"session=; session={good}",
        f'session="{good}"',
    ):
        response = browser.send(headers={"Cookie": header})
        assert response.text == "1", header
        assert "Set-Cookie" not in response.headers
        browser.cookie = good


KINDS = {"signed": {}, "encrypted": {"encrypt": True}, "store": {"store": "memory://"}}

BROKEN = {
    "empty": "",
    "text": "hello",
    "dots": "...",
    "one dot": ".",
    "no ASCII": "\xff\xfe.\xe4.\xf6",
    "not base64": "!!!.???.***",
    "long": "a" * 4000,
    "of another secret": "W3siYSI6MX0sMTgwMDAwMDAwMCxudWxsLDBd.a0nSAA.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJlc2lnbmE",
    "encrypted": "e1." + "A" * 80,
    "percent": "%00%FF",
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN)
def test_s14_a_broken_cookie_is_an_empty_session_and_is_left_alone(browse, options, value, caplog):
    browser = browse(lambda s, e: dict(s), **options)
    with caplog.at_level(logging.DEBUG, "wsgikit.sessions"):
        response = browser.send(headers={"Cookie": f"session={value}"})
    assert (response.status_int, response.text) == (200, "{}")
    assert "Set-Cookie" not in response.headers
    assert response.headers["Vary"] == "Cookie"
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_s14_each_change_of_a_good_cookie_makes_it_worthless(browse, options):
    browser = browse(lambda s, e: s.update(user=1) if e["PATH_INFO"] == "/w" else dict(s), **options)
    browser.send("/w")
    good = browser.cookie
    for index in range(len(good)):
        other = "A" if good[index] != "A" else "B"
        for bad in (good[:index] + other + good[index + 1 :], good[:index], good[:index] + good[index + 1 :]):
            assert browser.send(headers={"Cookie": f"session={bad}"}).text == "{}", (index, bad)
    assert browser.send(headers={"Cookie": f"session={good}"}).text == "{'user': 1}"


def test_s14_errors_of_the_application_are_not_swallowed(secret):
    def broken(environ, start_response):
        environ["wsgikit.session"].get("a")
        raise KeyError("the application's own")

    with pytest.raises(KeyError, match="the application's own"):
        SessionMiddleware(broken, secret_key=secret)({"REQUEST_METHOD": "GET"}, lambda *a: None)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encrypt": True},
        {"store": "memory://"},
        {"cookie_format": "flask"},
        {"cookie_format": "starlette"},
        {"cookie_format": "django"},
    ],
    ids=str,
)
def test_s14_fuzzed_cookie_headers_never_fail(secret, options):
    """200,000 headers in all: random bytes, pieces of grammar, and good cookies with pieces changed."""
    layer = SessionMiddleware(lambda e, s: s("200 OK", []) and [b""] or [b""], secret_key=secret, **options)
    session = layer.open_session(None)
    session.update(user=1, cart=["a" * 20])
    good = layer.save_session(session)[0].partition(";")[0]
    chance = random.Random(20261122)
    pieces = [
        good,
        good[8:],
        "session=",
        "session",
        ";",
        ",",
        "; ",
        '"',
        "=",
        ".",
        "e1.",
        "a={",
        "\xff",
        "\0",
        "\n",
        " ",
    ]
    alphabet = string.printable + "".join(map(chr, range(128, 256)))
    for number in range(200_000 // 6 + 1):
        kind = number % 4
        if kind == 0:
            header = "".join(chance.choices(alphabet, k=chance.randrange(60)))
        elif kind == 1:
            header = "".join(chance.choices(pieces, k=chance.randrange(8)))
        elif kind == 2:
            at = chance.randrange(len(good))
            header = good[:at] + chance.choice(alphabet) + good[at + chance.randrange(3) :]
        else:
            header = "session=" + "".join(chance.choices(alphabet, k=chance.randrange(80)))
        found = layer.open_session(header)
        assert found.copy() in ({}, {"user": 1, "cart": ["a" * 20]})
        layer.save_session(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cookie_samesite": "None"}, "cookie_secure with cookie_samesite='None': expected True, got 'auto'"),
        ({"cookie_samesite": "None", "cookie_secure": False}, "expected True, got False. Set cookie_secure=True."),
        ({"cookie_partitioned": True}, "cookie_secure with cookie_partitioned: expected True, got 'auto'"),
        ({"cookie_name": "__Host-s"}, "cookie_secure with cookie_name '__Host-s': expected True, got 'auto'"),
        ({"cookie_name": "__Secure-s", "cookie_secure": False}, "cookie_secure with cookie_name '__Secure-s'"),
        ({"cookie_name": "__host-s", "cookie_secure": False}, "cookie_secure with cookie_name '__host-s'"),
        (
            {"cookie_name": "__Host-s", "cookie_secure": True, "cookie_domain": "x.org"},
            "cookie_domain with cookie_name '__Host-s': expected None, got 'x.org'. Remove cookie_domain.",
        ),
        (
            {"cookie_name": "__Host-s", "cookie_secure": True, "cookie_path": "/a"},
            "cookie_path with cookie_name '__Host-s': expected '/', got '/a'",
        ),
        (
            {"cookie_name": "__Host-s", "cookie_secure": True, "cookie_path": "mount"},
            "cookie_path with cookie_name '__Host-s'",
        ),
        ({"cookie_name": "__Http-s", "cookie_secure": True, "cookie_httponly": False}, "Set cookie_httponly=True."),
        ({"cookie_samesite": "lax"}, "cookie_samesite: expected 'Lax', 'Strict', 'None' or None, got 'lax'"),
        ({"cookie_samesite": False}, "cookie_samesite: expected"),
        ({"cookie_secure": "yes"}, "cookie_secure: expected True, False or 'auto', got 'yes'"),
        ({"cookie_secure": 1}, "cookie_secure: expected True, False or 'auto', got 1"),
        (
            {"cookie_name": "my session"},
            "cookie_name: expected letters, digits or -_. without spaces, got 'my session'",
        ),
        ({"cookie_name": ""}, "cookie_name: expected"),
        ({"cookie_name": "a\r\nb"}, "cookie_name: expected"),
        ({"cookie_path": "app"}, "cookie_path: expected a path that begins with '/', or 'mount', got 'app'"),
        ({"cookie_path": "/a;b"}, "cookie_path: expected"),
        ({"cookie_domain": "x;y"}, "cookie_domain: expected a host name such as 'example.org', got 'x;y'"),
        ({"cookie_max_bytes": 10}, "cookie_max_bytes: expected at least 256, got 10"),
        (
            {"cookie_format": "falsk"},
            "expected 'wsgikit' or 'flask' or 'starlette' or 'django', got 'falsk'. Did you mean 'flask'?",
        ),
        ({"cookie_digest": "md5"}, "cookie_digest: expected 'sha256' or 'sha512', got 'md5'"),
        ({"cookie_format": "flask", "encrypt": True}, "encrypt: expected False with a foreign cookie_format"),
        ({"cookie_format": "flask", "store": "memory://"}, "cookie_format with a server-side store"),
        ({"encrypt": True, "store": "memory://"}, "encrypt with a server-side store"),
        (
            {"cookie_format": "flask", "absolute_timeout_seconds": 60},
            "absolute_timeout_seconds with cookie_format='flask': expected None, got 60",
        ),
        ({"idle_timeout_seconds": 0}, "idle_timeout_seconds: expected a number of seconds above 0, or None, got 0"),
        ({"idle_timeout_seconds": "60"}, "idle_timeout_seconds: expected"),
        ({"absolute_timeout_seconds": -1}, "absolute_timeout_seconds: expected"),
        ({"refresh_after_seconds": -1}, "refresh_after_seconds: expected a number of seconds, or None, got -1"),
        ({"on_store_error": "ignore"}, "on_store_error: expected '503', 'raise' or 'empty-readonly', got 'ignore'"),
        ({"on_oversize": "drop"}, "on_oversize: expected a URL such as"),
        ({"sweep_probability": 2}, "sweep_probability: expected a number from 0 to 1, got 2"),
        ({"store": "cookies"}, "store: expected a URL such as"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_s17_b40_what_cannot_work_is_refused_while_building(stack, options, message):
    with pytest.raises(ConfigurationError) as caught:
        stack(**options)
    assert str(caught.value).startswith(("SessionMiddleware: ", "RedisStore: "))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "scheme", "attributes"),
    [
        ({}, "http", ["Path=/", "HttpOnly", "SameSite=Lax"]),
        ({}, "https", ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]),
        ({"cookie_secure": False}, "https", ["Path=/", "HttpOnly", "SameSite=Lax"]),
        ({"cookie_secure": True}, "http", ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]),
        ({"cookie_httponly": False, "cookie_samesite": None}, "http", ["Path=/"]),
        (
            {"cookie_domain": "example.org", "cookie_path": "/app"},
            "http",
            ["Domain=example.org", "Path=/app", "HttpOnly", "SameSite=Lax"],
        ),
        (
            {"cookie_secure": True, "cookie_samesite": "None", "cookie_partitioned": True},
            "https",
            ["Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"],
        ),
        (
            {"cookie_name": "__Host-session", "cookie_secure": True},
            "https",
            ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"],
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_s17_b41_b46_set_and_delete_carry_the_same_attributes(browse, store, options, scheme, attributes):
    def view(session, environ):
        if environ["PATH_INFO"].endswith("/out"):
            session.destroy()
        else:
            session["a"] = 1

    prefix = options.get("cookie_path", "").rstrip("/")
    browser = browse(view, store=store, environ={"wsgi.url_scheme": scheme, "HTTP_HOST": "example.org"}, **options)
    name = options.get("cookie_name", "session")
    made = browser.send(prefix + "/in").headers.getall("Set-Cookie")
    assert len(made) == 1
    assert not made[0].startswith(" ")
    assert made[0].split("; ")[1:] == attributes
    deleted = browser.send(prefix + "/out").headers["Set-Cookie"]
    assert deleted.split("; ") == [f"{name}=", "Expires=Thu, 01 Jan 1970 00:00:00 GMT", "Max-Age=0", *attributes]


def test_b40_a_permanent_cookie_has_both_expires_and_max_age(browse, clock):
    line = (
        browse(lambda s, e: s.update(a=1) or setattr(s, "permanent", True), idle_timeout_seconds=3600)
        .send()
        .headers["Set-Cookie"]
    )
    assert "; Expires=Fri, 15 Jan 2027 09:00:00 GMT; Max-Age=3600; Path=/" in line


def test_s17_secure_behind_a_proxy_that_is_not_trusted_warns_once_naming_the_fix(browse, caplog):
    browser = browse(lambda s, e: s.update(n=1), environ={"HTTP_X_FORWARDED_PROTO": "https"})
    with caplog.at_level(logging.WARNING):
        assert "Secure" not in browser.send().headers["Set-Cookie"]
        browser.send()
    assert len(caplog.records) == 1
    assert "Put werkzeug's ProxyFix around the stack, or set cookie_secure=True" in caplog.text


def test_s17_a_trusted_proxy_makes_the_cookie_secure(stack, new_browser):
    from werkzeug.middleware.proxy_fix import ProxyFix

    browser = new_browser(ProxyFix(stack(lambda s, e: s.update(n=1))), environ={"HTTP_X_FORWARDED_PROTO": "https"})
    assert "; Secure" in browser.send().headers["Set-Cookie"]


def test_s16_b42_the_path_is_the_root_unless_the_mount_is_asked_for(stack, new_browser):
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    def missing(environ, start_response):
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b""]

    whole = stack(lambda s, e: s.update(n=1))
    mounted = stack(lambda s, e: s.update(n=1), cookie_path="mount")
    browser = new_browser(DispatcherMiddleware(missing, {"/a": whole, "/b;c": mounted, "/d": mounted}))
    assert "; Path=/;" in browser.send("/a/x").headers["Set-Cookie"]
    assert "; Path=/d;" in browser.send("/d/x").headers["Set-Cookie"]
    assert "; Path=/b%3Bc;" in browser.send("/b%3Bc/x").headers["Set-Cookie"]
    assert "; Path=/;" in new_browser(mounted).send("/x").headers["Set-Cookie"]


def test_b42_a_change_outside_of_the_cookies_path_warns_once(browse, caplog):
    browser = browse(lambda s, e: s.update(n=1), cookie_path="/app")
    with caplog.at_level(logging.WARNING):
        browser.send("/app")
        browser.send("/app/x")
        assert caplog.records == []
        browser.send("/apple")
        browser.send("/apple")
    assert len(caplog.records) == 1
    assert "the session was changed at a path outside of '/app'" in caplog.text


def test_s16_two_sessions_of_one_name_in_one_onion_are_refused(secret):
    inner = SessionMiddleware(lambda e, s: [], secret_key=secret, environ_key="other.session")
    with pytest.raises(
        ConfigurationError,
        match="cookie_name: expected one that no other session in this stack has, got 'session' twice",
    ):
        SessionMiddleware(inner, secret_key=secret)
    inner = SessionMiddleware(lambda e, s: [], secret_key=secret, cookie_name="other")
    with pytest.raises(ConfigurationError, match="environ_key: expected one that no other session in this stack has"):
        SessionMiddleware(inner, secret_key=secret)


def test_s16_a_namesake_at_a_mount_warns_once_with_the_remedy(stack, new_browser, caplog):
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    one = stack(lambda s, e: s.update(n=1))
    two = stack(lambda s, e: s.get("n"), secret_key="another-secret-0123456789abcdef")
    browser = new_browser(DispatcherMiddleware(one, {"/b": two}))
    with caplog.at_level(logging.WARNING):
        browser.send("/")
        cookie = browser.cookie
        browser.send("/b", headers={"Cookie": f"session={cookie}"})
        browser.send("/b", headers={"Cookie": f"session={cookie}"})
    assert len(caplog.records) == 1
    assert "give each a cookie_name, or set cookie_path='mount'" in caplog.text


def test_s9_b39_a_session_that_is_too_large_names_its_largest_keys_and_keeps_the_old_cookie(secret):
    from wsgikit.sessions.errors import SessionTooLarge

    layer = SessionMiddleware(lambda e, s: [], secret_key=secret)
    session = layer.open_session(None)
    chance = random.Random(1)
    session["small"] = 1
    session["cart"] = "".join(chance.choices(string.ascii_letters, k=5000))
    session["history"] = "".join(chance.choices(string.ascii_letters, k=1000))
    with pytest.raises(SessionTooLarge) as caught:
        layer.save_session(session)
    assert caught.value.sizes == [("cart", 5009), ("history", 1012), ("small", 9)]
    assert caught.value.length > 4093
    assert "expected at most 4093 bytes" in str(caught.value)
    assert "the largest keys are 'cart' with 5009, 'history' with 1012, 'small' with 9 bytes" in str(caught.value)


def test_s9_in_the_whole_onion_it_is_a_500_that_leaves_the_browsers_cookie_and_is_logged(secret, new_browser, caplog):
    from wsgikit import ErrorPagesMiddleware, build_stack, use

    def app(environ, start_response):
        session = environ["wsgikit.session"]
        if environ["PATH_INFO"] == "/grow":
            session["cart"] = random.Random(1).randbytes(4000).hex()
        elif environ["PATH_INFO"] == "/set":
            session["user"] = "ada"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(session.get("user")).encode()]

    browser = new_browser(build_stack(app, use(ErrorPagesMiddleware), use(SessionMiddleware, secret_key=secret)))
    browser.send("/set")
    response = browser.send("/grow")
    assert response.status_int == 500
    assert "Set-Cookie" not in response.headers
    assert "'cart' with 8" in caplog.text
    assert browser.send("/").text == "ada"


def test_s9_the_whole_header_counts(secret):
    def length(path):
        layer = SessionMiddleware(lambda e, s: [], secret_key=secret, cookie_path=path, cookie_max_bytes=400)
        session = layer.open_session(None)
        session["a"] = 1
        return len(layer.save_session(session)[0])

    from wsgikit.sessions.errors import SessionTooLarge

    assert length("/" + "a" * 100) - length("/") == 100
    with pytest.raises(SessionTooLarge):
        length("/" + "a" * 300)


def test_s9_on_oversize_warn_logs_and_leaves_the_old_cookie(browse, caplog):
    browser = browse(
        lambda s, e: s.update(a=random.Random(1).randbytes(4000).hex() if e["PATH_INFO"] == "/big" else 1),
        on_oversize="warn",
    )
    browser.send()
    with caplog.at_level(logging.WARNING):
        response = browser.send("/big")
    assert response.status_int == 200
    assert "Set-Cookie" not in response.headers
    assert "expected at most 4093 bytes" in caplog.text
    assert "The cookie was left as it was." in caplog.text


def test_s9_on_oversize_a_store_takes_what_does_not_fit_and_gives_it_back(browse, spy):
    big = random.Random(1).randbytes(4000).hex()

    def view(session, environ):
        path = environ["PATH_INFO"]
        if path == "/grow":
            session["big"] = big
        elif path == "/shrink":
            del session["big"]
        elif path == "/out":
            session.destroy()
        elif path == "/add":
            session["n"] = session.get("n", 0) + 1
        return len(session.get("big", "")), session.get("n", 0)

    browser = browse(view, on_oversize=spy)
    assert browser.send("/add").text == "(0, 1)"
    assert spy.calls == []
    assert browser.send("/grow").text == "(8000, 1)"
    assert spy.count() == 1
    assert browser.send("/add").text == "(8000, 2)"
    assert browser.send("/").text == "(8000, 2)"
    assert spy.count() == 1
    assert browser.send("/shrink").text == "(0, 2)"
    assert spy.count() == 0, "what fits again goes back into the cookie"
    assert browser.send("/add").text == "(0, 3)"
    browser.send("/grow")
    browser.send("/out")
    assert spy.count() == 0
    assert browser.send("/").text == "(0, 0)"
