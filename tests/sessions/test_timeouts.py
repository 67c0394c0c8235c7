"""When sessions end. Points S10, S1, and `permanent`. The clock stands still unless it is moved."""

import re

import pytest

from wsgikit.sessions.errors import SessionReadOnly

DAY = 86_400


@pytest.fixture(params=["cookie", "encrypted", "memory", "sqlite"])
def options(request, tmp_path):
    return {
        "cookie": {},
        "encrypted": {"encrypt": True},
        "memory": {"store": "memory://"},
        "sqlite": {"store": f"sqlite:///{tmp_path}/s.db"},
    }[request.param]


def view(session, environ):
    if environ["PATH_INFO"] == "/w":
        session["n"] = session.get("n", 0) + 1
    return session.get("n")


def test_s10_the_idle_timeout_is_enforced_by_the_server_even_if_the_cookie_is_replayed(browse, clock, options):
    browser = browse(view, idle_timeout_seconds=600, refresh_after_seconds=600, **options)
    browser.send("/w")
    cookie = browser.cookie
    clock.move(599)
    assert browser.send("/").text == "1"
    clock.move(2)
    for _ in range(2):
        assert browser.send("/", headers={"Cookie": f"session={cookie}"}).text == ""


def test_s10_the_absolute_timeout_is_enforced_however_much_the_session_is_used(browse, clock, options):
    browser = browse(view, idle_timeout_seconds=600, absolute_timeout_seconds=2000, **options)
    browser.send("/w")
    for expected in range(2, 6):
        clock.move(400)
        assert browser.send("/w").text == str(expected if expected < 6 else 1)
    cookie = browser.cookie
    clock.move(401)
    assert browser.send("/", headers={"Cookie": f"session={cookie}"}).text == ""


def test_s10_the_absolute_timeout_outlives_rotation(browse, clock, options):
    browser = browse(
        lambda s, e: s.rotate() if e["PATH_INFO"] == "/rotate" else view(s, e), absolute_timeout_seconds=1000, **options
    )
    browser.send("/w")
    clock.move(600)
    browser.send("/rotate")
    assert browser.send("/").text == "1"
    clock.move(401)
    assert browser.send("/").text == ""


def test_s10_reading_counts_as_use_after_a_tenth_of_the_idle_timeout(browse, clock, options):
    browser = browse(view, idle_timeout_seconds=1000, **options)
    browser.send("/w")
    clock.move(90)
    assert "Set-Cookie" not in browser.send("/").headers
    for _ in range(30):
        clock.move(500)
        assert browser.send("/").text == "1"


def test_s10_reading_counts_as_use_once_a_day_at_the_most(browse, clock, spy):
    browser = browse(view, store=spy)
    browser.send("/w")
    spy.calls.clear()
    clock.move(DAY - 10)
    browser.send("/")
    assert spy.calls == ["load"]
    clock.move(20)
    browser.send("/")
    assert spy.calls == ["load", "load", "touch"]
    browser.send("/")
    assert spy.calls == ["load", "load", "touch", "load"]


def test_s1_s10_with_the_idle_timeout_as_refresh_only_writing_counts(browse, clock, options):
    browser = browse(view, idle_timeout_seconds=1000, refresh_after_seconds=1000, **options)
    browser.send("/w")
    clock.move(900)
    assert "Set-Cookie" not in browser.send("/").headers
    clock.move(200)
    assert browser.send("/").text == ""


def test_s4_s10_a_readonly_session_is_read_and_neither_touched_nor_saved(browse, clock, spy):
    def look(session, environ):
        return view(session.readonly() if environ["PATH_INFO"] == "/poll" else session, environ)

    browser = browse(look, store=spy, idle_timeout_seconds=1000)
    browser.send("/w")
    for _ in range(2):
        clock.move(400)
        spy.calls.clear()
        assert browser.send("/poll").text == "1"
        assert spy.calls == ["load"]
    clock.move(201)
    assert browser.send("/").text == "", "polling didn't keep it alive"


@pytest.mark.parametrize("touched_before", [True, False])
def test_s4_readonly_itself_reads_nothing(browse, spy, touched_before):
    browser = browse(lambda s, e: (touched_before and s.get("n")) or s.readonly(), store=spy)
    response = browser.send(headers={"Cookie": "session=x"})
    assert spy.calls == []
    assert ("Vary" in response.headers) is touched_before


CHANGES = {
    "set": lambda s: s.__setitem__("n", 2),
    "delete": lambda s: s.__delitem__("n"),
    "clear": lambda s: s.clear(),
    "rotate": lambda s: s.rotate(),
    "destroy": lambda s: s.destroy(),
    "flash": lambda s: s.flash("x"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_s4_a_change_of_a_readonly_session_is_a_named_error(browse, options, change):
    def poll(session, environ):
        if environ["PATH_INFO"] == "/w":
            session["n"] = 1
            with pytest.raises(SessionReadOnly, match="session: key 'n': expected none after readonly"):
                session.readonly()
            return
        with pytest.raises(SessionReadOnly, match=r"session: .*: expected none after readonly\(\), got one"):
            change(session.readonly())

    browser = browse(poll, **options)
    browser.send("/w")
    assert "Set-Cookie" not in browser.send("/").headers


def test_s4_a_change_inside_a_value_of_a_readonly_session_is_a_named_error_too(browse, options):
    def poll(session, environ):
        if environ["PATH_INFO"] == "/w":
            session["l"] = []
        else:
            session.readonly()["l"].append(1)

    browser = browse(poll, **options)
    browser.send("/w")
    with pytest.raises(SessionReadOnly, match="session: key 'l'"):
        browser.send("/")


def test_s4_a_rollback_leaves_a_readonly_session_readonly(browse, options):
    def poll(session, environ):
        if environ["PATH_INFO"] == "/w":
            session["n"] = 1
            return
        session.readonly().get("n")
        session.rollback()
        with pytest.raises(SessionReadOnly, match="session: key 'n'"):
            session["n"] = 2

    browser = browse(poll, **options)
    browser.send("/w")
    assert "Set-Cookie" not in browser.send("/").headers


def test_s4_s8_a_readonly_session_that_is_revoked_stays_readonly(browse):
    def poll(session, environ):
        if environ["PATH_INFO"] == "/w":
            session["n"] = 1
            return
        with pytest.raises(SessionReadOnly, match="session: key 'n'"):
            session.readonly()["n"] = 2

    browser = browse(poll, is_revoked=lambda session: True)
    browser.send("/w")
    browser.send("/")


def test_s10_none_never_ends_a_session(browse, clock):
    browser = browse(view, idle_timeout_seconds=None)
    browser.send("/w")
    clock.move(5000 * DAY)
    assert browser.send("/").text == "1"


def test_s10_a_shorter_timeout_holds_for_sessions_that_were_saved_under_a_longer_one(browse, clock, spy):
    cookie = (old := browse(view, store=spy, idle_timeout_seconds=1000 * DAY)).send("/w") and old.cookie
    clock.move(100)
    browser = browse(view, store=spy, idle_timeout_seconds=60)
    assert browser.send("/", headers={"Cookie": f"session={cookie}"}).text == ""


def test_a_session_is_kept_until_the_browser_is_closed_unless_it_is_permanent(browse, clock, options):
    def choose(session, environ):
        session["n"] = 1
        if environ["PATH_INFO"] == "/stay":
            session.permanent = True
        if environ["PATH_INFO"] == "/leave":
            session.permanent = False
        return session.permanent

    browser = browse(choose, **options)
    assert "Max-Age" not in browser.send("/").headers["Set-Cookie"]
    assert f"Max-Age={14 * DAY};" in browser.send("/stay").headers["Set-Cookie"]
    assert browser.send("/").text == "True"
    assert "Max-Age" not in browser.send("/leave").headers["Set-Cookie"]
    assert browser.send("/").text == "False"


@pytest.mark.parametrize("name", ["wsgikit", "flask"])
def test_a_session_can_be_less_permanent_than_the_option_says(browse, name):
    def choose(session, environ):
        if environ["PATH_INFO"] == "/leave":
            session.permanent = False
        session["n"] = session.get("n", 0) + 1
        return session.permanent

    browser = browse(choose, cookie_permanent=True, cookie_format=name)
    assert "Max-Age" not in browser.send("/leave").headers["Set-Cookie"]
    response = browser.send("/")
    assert response.text == "False"
    assert "Max-Age" not in response.headers["Set-Cookie"]


def test_what_is_written_after_destroy_is_as_permanent_as_any_new_session(browse, options):
    def login(session, environ):
        session.destroy()
        session["n"] = 1

    browser = browse(login, cookie_permanent=True, **options)
    for _ in range(2):
        assert f"Max-Age={14 * DAY};" in browser.send().headers["Set-Cookie"]


@pytest.mark.parametrize("name", ["wsgikit", "flask", "starlette", "django"])
def test_s10_a_cookie_that_is_permanent_by_option_is_so_each_time_it_is_written(browse, clock, name):
    browser = browse(view, idle_timeout_seconds=1000, cookie_permanent=True, cookie_format=name)
    for expected in range(1, 4):
        response = browser.send("/w")
        assert response.text == str(expected)
        assert "Max-Age=1000;" in response.headers["Set-Cookie"]
    clock.move(500)
    assert "Max-Age=1000;" in browser.send("/").headers["Set-Cookie"], "its use is noted"


def test_a_permanent_cookie_ends_with_the_absolute_timeout(browse, clock, options):
    browser = browse(view, absolute_timeout_seconds=1000, cookie_permanent=True, **options)
    assert "Max-Age=1000;" in browser.send("/w").headers["Set-Cookie"]
    clock.move(300)
    assert "Max-Age=700;" in browser.send("/w").headers["Set-Cookie"]


def test_a_permanent_session_gets_its_cookie_again_when_its_use_is_noted(browse, clock, options):
    browser = browse(view, idle_timeout_seconds=1000, cookie_permanent=True, **options)
    browser.send("/w")
    clock.move(500)
    line = browser.send("/").headers["Set-Cookie"]
    assert re.search("Max-Age=1000;", line)


def test_created_stays_and_new_is_true_once(browse, clock, options):
    seen = []

    def look(session, environ):
        seen.append((session.new, session.created))
        session["n"] = 1

    browser = browse(look, **options)
    browser.send()
    clock.move(50)
    browser.send()
    assert seen == [(True, 1_800_000_000), (False, 1_800_000_000)]


def test_s6_a_save_sweeps_with_the_probability_that_was_asked_for(browse, clock, spy):
    browse(view, store=spy, idle_timeout_seconds=10).send("/w")
    clock.move(20)
    browse(view, store=spy).send("/w")
    assert len(spy._records) == 2
    browse(view, store=spy, sweep_probability=1).send("/w")
    assert len(spy._records) == 2  # the one that had expired is gone, this one is new


@pytest.mark.parametrize("permanent", [False, True])
def test_reading_refreshes_a_session_in_flasks_format_only_if_it_is_permanent(browse, clock, permanent):
    def view(session, environ):
        if environ["PATH_INFO"] == "/w":
            session["n"] = 1
            session.permanent = permanent
        return session.get("n")

    browser = browse(view, idle_timeout_seconds=1000, cookie_format="flask")
    browser.send("/w")
    clock.move(900)
    assert ("Set-Cookie" in browser.send("/r").headers) is permanent
    clock.move(900)
    assert browser.send("/r").text == ("1" if permanent else "")
