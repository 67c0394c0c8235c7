"""When the session is read, written and sent. Points S1, S2, S6, S7, S20, B31, B32, B33, B34, B43, B48, B49."""

import pytest
from webob import exc
from werkzeug.exceptions import NotFound

from wsgikit.onion.middleware import Middleware
from wsgikit.sessions.middleware import SessionMiddleware

ACCESSORS = {
    "[]": lambda s: s["a"],
    "get": lambda s: s.get("a"),
    "get of a missing key": lambda s: s.get("zzz"),
    "in": lambda s: "a" in s,
    "not in": lambda s: "zzz" not in s,
    "len": len,
    "iter": lambda s: list(iter(s)),
    "reversed": lambda s: list(reversed(s)),
    "keys": lambda s: list(s.keys()),
    "values": lambda s: list(s.values()),
    "items": lambda s: list(s.items()),
    "bool": bool,
    "==": lambda s: s == {},
    "!=": lambda s: s != {},
    "copy": lambda s: s.copy(),
    "dict": dict,
    "|": lambda s: s | {},
    "r|": lambda s: {} | s,
    "pop with a default": lambda s: s.pop("zzz", None),
    "setdefault of a present key": lambda s: s.setdefault("a", 2),
    "new": lambda s: s.new,
    "id": lambda s: s.id,
    "created": lambda s: s.created,
    "permanent": lambda s: s.permanent,
    "peek_flash": lambda s: s.peek_flash(),
    "pop_flash": lambda s: s.pop_flash(),
}

MUTATORS = {
    "[]=": lambda s: s.__setitem__("b", 1),
    "del": lambda s: s.__delitem__("a"),
    "pop": lambda s: s.pop("a"),
    "popitem": lambda s: s.popitem(),
    "setdefault": lambda s: s.setdefault("b", 1),
    "update": lambda s: s.update(b=1),
    "|=": lambda s: s.__ior__({"b": 1}),
    "clear": lambda s: s.clear(),
    "append in a list": lambda s: s["l"].append(1),
    "change in a dict in a list": lambda s: s["l"][0].update(x=2),
    "append by get": lambda s: s.get("l").append(1),
    "append by values": lambda s: next(v for v in s.values() if isinstance(v, list)).append(1),
    "append by items": lambda s: next(v for k, v in s.items() if k == "l").append(1),
    "append by copy": lambda s: s.copy()["l"].append(1),
    "append by setdefault": lambda s: s.setdefault("l", []).append(1),
    "append after setting": lambda s: s.__setitem__("n", []) or s["n"].append(1),
    "changed()": lambda s: s.changed(),
    "modified = True": lambda s: setattr(s, "modified", True),
    "permanent": lambda s: setattr(s, "permanent", True),
    "rotate": lambda s: s.rotate(),
    "flash": lambda s: s.flash("x"),
    "csrf": lambda s: s.get_csrf_token(),
}

STORES = ["cookie", "memory://"]


def start(session, environ):
    if not session:
        session.update(a=1, l=[{"x": 1}])


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("access", ACCESSORS.values(), ids=ACCESSORS)
def test_s1_s2_b32_reading_sends_no_cookie_but_vary(browse, store, access):
    step = {"do": start}
    browser = browse(lambda s, e: step["do"](s, e), store=store)
    browser.send()
    step["do"] = lambda s, e: access(s) and None
    response = browser.send()
    assert response.headers.getall("Set-Cookie") == []
    assert response.headers.getall("Vary") == ["Cookie"]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("mutate", MUTATORS.values(), ids=MUTATORS)
def test_s7_b34_every_change_is_noticed_and_survives(browse, store, mutate):
    step = {"do": start}
    browser = browse(lambda s, e: step["do"](s, e), store=store)
    browser.send()
    seen = {}

    def change(session, environ):
        mutate(session)
        assert session.modified
        seen.update(session.copy())

    def read(session, environ):
        assert session.copy() == seen

    step["do"] = change
    response = browser.send()
    assert response.headers.getall("Vary") == ["Cookie"]
    step["do"] = read
    browser.send()


def test_s6_an_untouched_session_makes_no_store_call_and_no_header(browse, spy):
    touch = []
    browser = browse(lambda s, e: touch and s.update(a=1), store=spy)
    for _ in range(3):
        response = browser.send()
        assert "Vary" not in response.headers
    touch.append(1)
    browser.send()
    touch.clear()
    spy.calls.clear()
    response = browser.send()
    assert spy.calls == []
    assert "Vary" not in response.headers
    assert "Set-Cookie" not in response.headers


def test_s6_a_thousand_visitors_without_a_cookie_who_only_read_leave_no_row(browse, spy):
    browser = browse(lambda s, e: s.get("user"), store=spy)
    for _ in range(1000):
        browser.send()
    assert spy.calls == []
    assert spy.count() == 0


def test_s1_a_read_costs_one_load_and_a_write_one_save_more(browse, spy):
    browser = browse(
        lambda s, e: (
            s.update(n=s.get("n", 0) + ("write" in e["PATH_INFO"])) if "write" in e["PATH_INFO"] else s.get("n")
        ),
        store=spy,
    )
    browser.send("/write")
    spy.calls.clear()
    browser.send("/read")
    assert spy.calls == ["load"]
    spy.calls.clear()
    browser.send("/write")
    assert spy.calls == ["load", "save"]


def test_s1_a_slow_reader_carries_no_cookie_that_could_undo_a_fast_writer(browse):
    browser = browse(lambda s, e: s.update(n=1) if e["PATH_INFO"] == "/write" else s.get("n"))
    browser.send("/write")
    old = browser.cookie
    browser.send("/write")
    slow = browser.send("/read", headers={"Cookie": f"session={old}"})
    assert "Set-Cookie" not in slow.headers


def test_s2_vary_is_merged_into_what_is_there(browse):
    browser = browse(lambda s, e: s.get("a"), headers=[("Vary", "Accept-Encoding"), ("Vary", "cookie")])
    assert browser.send().headers.getall("Vary") == ["Accept-Encoding", "cookie"]
    browser = browse(lambda s, e: s.get("a"), headers=[("Vary", "Accept")])
    assert browser.send().headers.getall("Vary") == ["Accept, Cookie"]
    browser = browse(lambda s, e: s.get("a"), headers=[("Vary", "*")])
    assert browser.send().headers.getall("Vary") == ["*"]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    "path", ["/set", "/refresh", "/rotate", "/clear", "/destroy", "/dead"], ids=lambda path: path.strip("/")
)
def test_s2_every_response_that_sets_refreshes_or_deletes_the_cookie_says_vary(browse, clock, store, path):
    def view(session, environ):
        path = environ["PATH_INFO"]
        if path == "/set":
            session["n"] = 1
        elif path in ("/refresh", "/dead"):
            session.get("n")
        elif path != "/free":
            getattr(session, path.strip("/"))()

    browser = browse(view, store=store, idle_timeout_seconds=1000, cookie_permanent=True)
    browser.send("/set")
    clock.move(1001 if path == "/dead" else 500)
    response = browser.send(path)
    assert len(response.headers.getall("Set-Cookie")) == 1
    assert response.headers.getall("Vary") == ["Cookie"]
    assert "Vary" not in browser.send("/free").headers


@pytest.mark.parametrize("store", STORES)
def test_b33_an_emptied_session_deletes_its_cookie_with_the_same_attributes(browse, store):
    browser = browse(
        lambda s, e: s.clear() if e["PATH_INFO"] == "/empty" else s.update(a=1),
        store=store,
        cookie_path="/",
        cookie_samesite="Strict",
    )
    set_line = browser.send("/").headers["Set-Cookie"]
    deleted = browser.send("/empty").headers["Set-Cookie"]
    assert deleted.startswith("session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; ")
    assert set_line.split("; ")[1:] == deleted.split("; ")[3:] == ["Path=/", "HttpOnly", "SameSite=Strict"]


def test_b33_an_empty_new_session_sends_no_cookie(browse):
    def view(session, environ):
        session["a"] = 1
        del session["a"]

    assert "Set-Cookie" not in browse(view).send().headers


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("status", "save_on_error", "is_saved"),
    [
        ("200 OK", False, True),
        ("302 Found", False, True),
        ("303 See Other", False, True),
        ("404 Not Found", False, True),
        ("422 Unprocessable Content", False, True),
        ("500 Internal Server Error", False, False),
        ("503 Service Unavailable", False, False),
        ("500 Internal Server Error", True, True),
    ],
)
def test_s20_b43_a_status_from_500_drops_the_changes(browse, store, status, save_on_error, is_saved):
    browser = browse(lambda s, e: s.update(a=1), store=store, status=status, save_on_error=save_on_error)
    response = browser.send()
    assert ("Set-Cookie" in response.headers) is is_saved
    assert response.headers["Vary"] == "Cookie"


def test_s20_an_escaped_exception_drops_the_changes(secret, spy):
    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        raise ValueError("broken")

    layer = SessionMiddleware(app, secret_key=secret, store=spy)
    with pytest.raises(ValueError, match="broken"):
        layer({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
    assert spy.calls == []


@pytest.mark.parametrize("error", [exc.HTTPFound(location="/in"), exc.HTTPSeeOther(location="/in")], ids=["302", "303"])
def test_s20_a_raised_redirect_saves_the_session(secret, new_browser, error):
    class Outer(Middleware):
        def handle_exception(self, exchange, error):
            return exchange.reply(500, "seen outside")

    def app(environ, start_response):
        environ["wsgikit.session"]["user"] = 1
        raise error

    browser = new_browser(Outer(SessionMiddleware(app, secret_key=secret)))
    response = browser.send()
    assert response.status_int == error.code
    assert response.headers["Location"].endswith("/in")
    assert browser.cookie


@pytest.mark.parametrize("how", ["returned", "aborted"])
def test_s20_a_redirect_of_a_view_saves_the_session_in_the_whole_onion(secret, new_browser, how):
    import wsgikit
    from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Router, build_stack, use

    router = Router("views")

    @router.get("/login")
    def login():
        wsgikit.session["user"] = 1
        answer = wsgikit.redirect("/")
        return answer if how == "returned" else wsgikit.abort(answer)

    layers = use(ErrorPagesMiddleware), use(ContextMiddleware), use(SessionMiddleware, secret_key=secret)
    browser = new_browser(build_stack(router, *layers))
    response = browser.send("/login")
    assert response.status_int == 302
    assert response.headers["Location"].endswith("/")
    assert browser.cookie


def test_s20_a_raised_redirect_that_has_nothing_to_save_is_left_to_the_layers_outside(secret, new_browser):
    class Outer(Middleware):
        def handle_exception(self, exchange, error):
            return exchange.reply(500, "seen outside")

    def app(environ, start_response):
        environ["wsgikit.session"].get("user")
        raise exc.HTTPFound(location="/in")

    assert new_browser(Outer(SessionMiddleware(app, secret_key=secret))).send().text == "seen outside"


def test_s20_a_raised_404_drops_the_changes_like_any_exception(secret, new_browser):
    class Outer(Middleware):
        def handle_exception(self, exchange, error):
            return error

    def app(environ, start_response):
        environ["wsgikit.session"]["user"] = 1
        raise NotFound

    browser = new_browser(Outer(SessionMiddleware(app, secret_key=secret)))
    assert browser.send().status_int == 404
    assert browser.cookie is None


@pytest.mark.parametrize("store", STORES)
def test_s20_rollback_forgets_the_changes_of_this_request(browse, store):
    def view(session, environ):
        if environ["PATH_INFO"] == "/change":
            session["a"] = 2
            session["l"].append(5)
            session.rollback()
            assert not session.modified
            assert session.copy() == {"a": 1, "l": [{"x": 1}]}
        else:
            start(session, environ)

    browser = browse(view, store=store)
    browser.send()
    assert "Set-Cookie" not in browser.send("/change").headers


def test_b31_the_session_is_saved_before_the_head_leaves(secret, spy):
    events = []

    class Save(type(spy)):
        def save(self, *args):
            events.append("save")
            return super().save(*args)

    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        start_response("200 OK", [])
        yield b"x"

    layer = SessionMiddleware(app, secret_key=secret, store=Save())
    body = layer({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: events.append("head"))
    assert list(body) == [b"x"]
    body.close()
    assert events == ["save", "head"]


def test_b48_other_cookies_of_the_response_stay_as_they_are(browse):
    others = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/, c"), ("Set-Cookie", "sessionx=3")]
    browser = browse(lambda s, e: s.update(a=1), headers=others)
    lines = browser.send().headers.getall("Set-Cookie")
    assert lines[:3] == [value for _, value in others]
    assert lines[3].startswith("session=")


def test_b49_one_line_is_sent_where_the_application_set_the_same_session(stack, browse):
    inner = stack(store="memory://")
    session = inner.open_session()
    session["a"] = 0
    (line,) = inner.save_session(session)
    browser = browse(lambda s, e: s.update(a=1), store="memory://", headers=[("Set-Cookie", line)])
    lines = browser.send().headers.getall("Set-Cookie")
    assert len(lines) == 1
    assert lines != [line]


def test_b49_deleting_and_setting_in_one_response_sends_one_line(browse):
    def view(session, environ):
        session["a"] = 1
        if environ["PATH_INFO"] == "/again":
            session.destroy()
            session["b"] = 2

    browser = browse(view)
    browser.send()
    lines = browser.send("/again").headers.getall("Set-Cookie")
    assert len(lines) == 1
    assert "Max-Age=0" not in lines[0]


def test_a_printed_session_stays_untouched_and_keeps_its_values_to_itself(browse):
    def view(session, environ):
        text = repr(session)
        if environ["PATH_INFO"] == "/touch":
            session["password"] = "secret-value"
            text = repr(session)
        return text

    browser = browse(view)
    response = browser.send()
    assert response.text == "<Session, not read yet>"
    assert "Vary" not in response.headers
    assert browser.send("/touch").text == "<Session with 'password'>"


def test_a_missing_key_is_a_key_error_and_changes_nothing(browse):
    def view(session, environ):
        for missing in (
            lambda: session["x"],
            lambda: session.__delitem__("x"),
            lambda: session.pop("x"),
            session.popitem,
        ):
            with pytest.raises(KeyError):
                missing()
        assert not session.modified

    assert "Set-Cookie" not in browse(view).send().headers


def test_the_environ_key_can_be_renamed_and_provides_follows(browse, stack):
    browser = browse(lambda s, e: s.update(a=1), environ_key="my.session")
    browser.send()
    assert browser.cookie
    assert stack(environ_key="my.session").provides == ("my.session",)
    assert stack().provides == ("wsgikit.session",)


def test_two_sessions_of_different_names_live_in_one_onion(secret, new_browser):
    def app(environ, start_response):
        environ["wsgikit.session"]["n"] = environ["wsgikit.session"].get("n", 0) + 1
        environ["admin.session"].setdefault("m", []).append(1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{environ['wsgikit.session']['n']} {len(environ['admin.session']['m'])}".encode()]

    inner = SessionMiddleware(
        app, secret_key=secret, cookie_name="admin", environ_key="admin.session", store="memory://"
    )
    outer = SessionMiddleware(inner, secret_key=secret)
    browser = new_browser(outer)
    first = browser.send()
    cookies = "; ".join(line.split(";")[0] for line in first.headers.getall("Set-Cookie"))
    assert browser.send(headers={"Cookie": cookies}).text == "2 2"


def test_a_stack_mounted_in_another_one_has_its_own_session_under_the_same_key(secret, new_browser):
    def inner_app(environ, start_response):
        environ["wsgikit.session"]["inner"] = 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    inner = SessionMiddleware(inner_app, secret_key=secret, cookie_name="inner")

    def outer_app(environ, start_response):
        environ["wsgikit.session"]["outer"] = 1
        return inner(environ, start_response)

    lines = new_browser(SessionMiddleware(outer_app, secret_key=secret)).send().headers.getall("Set-Cookie")
    assert sorted(line.partition("=")[0] for line in lines) == ["inner", "session"]


def test_a_stack_that_calls_itself_saves_both_requests(secret, new_browser, spy):
    def app(environ, start_response):
        environ["wsgikit.session"][environ["PATH_INFO"]] = 1
        if environ["PATH_INFO"] == "/outer":
            list(layer({**environ, "PATH_INFO": "/inner"}, lambda *a: None))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    layer = SessionMiddleware(app, secret_key=secret, store=spy)
    new_browser(layer).send("/outer")
    assert spy.calls == ["save", "save"]
