"""Requests of one visitor at the same time. Points S4, S5, S8, B35, B36, Q3."""

import threading

import pytest

from wsgikit.sessions.backends import Conflict
from wsgikit.sessions.errors import LockTimeout, UnsupportedByStore
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.base import store_key


@pytest.fixture
def visitor(secret, spy):
    """A session in a store, and requests to it that can be held open: ``open() -> session``, ``finish(session)``."""

    class Visitor:
        def __init__(self):
            self.conflicts = []
            self.layer = SessionMiddleware(
                lambda e, s: [], secret_key=secret, store=spy, on_conflict=self.conflicts.append
            )
            self.cookie = None
            self.store = spy

        def open(self, cookie=None):
            cookie = cookie or self.cookie
            return self.layer.open_session(f"session={cookie}" if cookie else None)

        def finish(self, session):
            lines = self.layer.save_session(session)
            for line in lines:
                self.cookie = line.partition(";")[0].partition("=")[2] or None
            return lines

        def change(self, **values):
            session = self.open()
            session.update(values)
            self.finish(session)

        def read(self, cookie=None):
            return self.open(cookie).copy()

        def keys(self):
            """The keys of sessions; a rotated one leaves word of where it went for a while."""
            return [key for key in self.store.keys() if not self.store.load(key).data.startswith(b"moved to ")]

    return Visitor()


def test_s4_two_requests_that_change_different_keys_both_survive(visitor):
    visitor.change(start=0)
    one, two = visitor.open(), visitor.open()
    one["a"] = 1
    two["b"] = 2
    visitor.finish(one)
    visitor.finish(two)
    assert visitor.read() == {"start": 0, "a": 1, "b": 2}
    assert visitor.conflicts == [Conflict("merged", ())]


def test_s4_a_key_that_both_changed_keeps_the_later_value_and_is_reported(visitor):
    visitor.change(n=0, other=0)
    one, two = visitor.open(), visitor.open()
    one.update(n=1, other=1)
    two["n"] = 2
    visitor.finish(one)
    visitor.finish(two)
    assert visitor.read() == {"n": 2, "other": 1}
    assert visitor.conflicts == [Conflict("merged", ("n",))]


def test_s4_a_removal_and_a_nested_change_merge_too(visitor):
    visitor.change(a=1, cart=[], b=2)
    one, two = visitor.open(), visitor.open()
    del one["a"]
    two["cart"].append("x")
    visitor.finish(one)
    visitor.finish(two)
    assert visitor.read() == {"cart": ["x"], "b": 2}


def test_s4_what_is_cleared_takes_along_what_another_request_wrote_meanwhile(visitor):
    visitor.change(a=1)
    one, two = visitor.open(), visitor.open()
    one["b"] = 2
    two.clear()
    two["c"] = 3
    visitor.finish(one)
    visitor.finish(two)
    assert visitor.read() == {"c": 3}


def test_s4_two_threads_setting_different_keys_both_survive(visitor):
    visitor.change(start=0)
    barrier = threading.Barrier(8)

    def work(number):
        barrier.wait(10)
        for step in range(5):
            session = visitor.layer.open_session(f"session={visitor.cookie}")
            session[f"key{number}.{step}"] = number
            visitor.layer.save_session(session)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(visitor.read()) == 41


def test_s4_permanence_set_by_one_request_survives_another(visitor):
    visitor.change(a=1)
    one, two = visitor.open(), visitor.open()
    one.permanent = True
    two["b"] = 1
    visitor.finish(one)
    visitor.finish(two)
    assert visitor.open().permanent


def test_s4_no_lock_is_held_unless_asked_for(visitor):
    visitor.change(a=1)
    visitor.store.calls.clear()
    visitor.change(b=1)
    assert visitor.store.calls == ["load", "save"]


def test_s4_under_a_lock_increments_are_not_lost(visitor):
    visitor.change(n=0)

    def work():
        for _ in range(5):
            session = visitor.layer.open_session(f"session={visitor.cookie}")
            with session.lock():
                session["n"] += 1
            visitor.layer.save_session(session)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert visitor.read() == {"n": 20}
    assert visitor.store.count() == 1


@pytest.mark.parametrize("step", ["rotate", "destroy"])
def test_s8_rotating_and_destroying_work_under_a_lock(visitor, step):
    visitor.change(user=1)
    old = visitor.cookie
    session = visitor.open()
    with session.lock():
        getattr(session, step)()
    visitor.finish(session)
    assert visitor.read(old) == {}
    assert visitor.read() == ({"user": 1} if step == "rotate" else {})
    assert len(visitor.keys()) == (1 if step == "rotate" else 0)


def test_s4_an_error_under_a_lock_saves_nothing_and_gives_the_lock_back(visitor):
    visitor.change(n=0)
    session = visitor.open()

    def fail():
        with session.lock():
            session["n"] = 1
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert visitor.read() == {"n": 0}
    with visitor.open().lock(timeout_seconds=0) as again:
        assert again["n"] == 0
    assert visitor.store.count() == 1, "no record of a lock is left"


def test_s4_a_new_session_needs_no_lock(visitor):
    session = visitor.open()
    with session.lock():
        session["n"] = 1
    visitor.finish(session)
    assert visitor.read() == {"n": 1}


def test_s4_a_lock_that_is_held_for_too_long_is_an_error_with_its_name(visitor):
    visitor.change(n=0)
    holder, waiter = visitor.open(), visitor.open()
    with (
        holder.lock(),
        pytest.raises(LockTimeout, match=r"session: lock: expected it within 0.01 seconds"),
        waiter.lock(timeout_seconds=0.01),
    ):
        pytest.fail("two holders")


def test_s21_a_lock_whose_holder_died_expires(visitor, clock):
    visitor.change(n=0)
    dead = visitor.open().lock(hold_seconds=5)  # kept: a lock that nobody has any more gives itself back
    dead.__enter__()
    clock.move(4)
    with pytest.raises(LockTimeout):
        visitor.open().lock(timeout_seconds=0).__enter__()
    clock.move(2)
    with visitor.open().lock(timeout_seconds=0) as session:
        session["n"] = 1
    assert visitor.read() == {"n": 1}
    dead.__exit__(None, None, None)
    assert visitor.store.count() == 1, "no record of a lock is left"


def test_s4_a_session_in_a_cookie_cannot_be_locked(secret):
    session = SessionMiddleware(lambda e, s: [], secret_key=secret).open_session(None)
    with pytest.raises(
        UnsupportedByStore, match="session: lock: expected a server-side store, got sessions in cookies"
    ):
        session.lock()


def test_s5_b36_destroy_cannot_be_undone_by_a_request_in_flight(visitor):
    visitor.change(user=1)
    in_flight, logout = visitor.open(), visitor.open()
    in_flight["seen"] = 1
    logout.destroy()
    assert visitor.finish(logout)[0].startswith("session=; ")
    assert visitor.finish(in_flight) == []
    assert visitor.store.count() == 0
    assert visitor.conflicts == [Conflict("destroyed", ("seen",))]


def test_s5_a_response_that_came_too_late_is_intact(visitor, browse):
    step = {"do": lambda s: s.update(user=1)}

    def view(session, environ):
        step["do"](session)
        return "the page"

    browser = browse(view, store=visitor.store)
    browser.send()

    def late(session):
        session["seen"] = 1
        for key in list(visitor.store.keys()):
            visitor.store.delete(key)

    step["do"] = late
    response = browser.send()
    assert (response.status_int, response.text) == (200, "the page")
    assert visitor.store.count() == 0


def test_s5_a_touch_by_a_request_in_flight_does_not_revive(visitor, clock):
    visitor.change(user=1)
    clock.move(100_000)
    reader, logout = visitor.open(), visitor.open()
    reader.get("user")
    logout.destroy()
    visitor.finish(logout)
    visitor.finish(reader)
    assert visitor.store.count() == 0


def test_s5_an_emptied_session_is_destroyed(visitor):
    visitor.change(user=1)
    session = visitor.open()
    session.clear()
    visitor.finish(session)
    assert visitor.store.count() == 0


def test_s8_rotate_keeps_the_data_and_the_old_id_is_dead_at_once(visitor):
    visitor.change(user=1)
    old = visitor.cookie
    session = visitor.open()
    before = session.id
    session.rotate()
    assert session.id != before
    visitor.finish(session)
    assert visitor.cookie != old
    assert visitor.read() == {"user": 1}
    assert visitor.read(old) == {}
    assert visitor.keys() == [store_key(session.id)]


def test_s8_rotate_takes_along_what_another_request_wrote_meanwhile(visitor):
    visitor.change(a=1)
    login, other = visitor.open(), visitor.open()
    login.rotate()
    login["user"] = 1
    other["b"] = 2
    visitor.finish(other)
    visitor.finish(login)
    assert visitor.read() == {"a": 1, "b": 2, "user": 1}
    assert len(visitor.keys()) == 1


def test_s8_rotate_does_not_bring_back_a_session_that_was_destroyed_meanwhile(visitor):
    visitor.change(user=1)
    login, logout = visitor.open(), visitor.open()
    login.rotate()
    login["x"] = 1
    logout.destroy()
    visitor.finish(logout)
    assert visitor.finish(login) == []
    assert visitor.store.count() == 0


@pytest.mark.parametrize("times", [1, 2])
def test_s5_destroy_ends_a_session_that_a_request_in_flight_has_rotated_meanwhile(visitor, times):
    visitor.change(user=1)
    old = visitor.cookie
    logout = visitor.open()
    assert logout["user"] == 1
    for _ in range(times):
        login = visitor.open()
        login.rotate()
        login["user"] = 2
        visitor.finish(login)
    rotated = visitor.cookie
    logout.destroy()
    assert visitor.finish(logout)[0].startswith("session=; ")
    assert visitor.read(old) == {}
    assert visitor.read(rotated) == {}


def test_s5_destroy_ends_where_records_lead_in_a_circle(visitor):
    visitor.change(user=1)
    logout = visitor.open()
    assert logout["user"] == 1
    key = logout._token.key
    record = visitor.store.load(key)
    visitor.store.save(key, record._replace(data=b"moved to " + key.encode()), record.version)
    logout.destroy()
    assert visitor.finish(logout)[0].startswith("session=; ")
    assert visitor.store.count() == 0


def test_s5_destroy_ends_a_session_that_another_request_has_changed_meanwhile(visitor):
    visitor.change(user=1)
    old = visitor.cookie
    logout, other = visitor.open(), visitor.open()
    other["b"] = 2
    logout.destroy()
    visitor.finish(other)
    visitor.finish(logout)
    assert visitor.read(old) == {}
    assert visitor.store.count() == 0


def test_s8_the_word_that_a_rotated_session_leaves_is_no_session_and_expires(visitor, clock, caplog):
    visitor.change(user=1)
    old = visitor.cookie
    login, late = visitor.open(), visitor.open()
    assert late["user"] == 1
    login.rotate()
    visitor.finish(login)
    late["stolen"] = 1
    visitor.finish(late)
    again = visitor.open(old)
    assert again.new
    assert visitor.read() == {"user": 1}
    assert caplog.records == []
    clock.move(61)
    assert visitor.store.count() == 1


def test_s8_a_request_in_flight_does_not_bring_back_the_old_id(visitor):
    visitor.change(user=1)
    old = visitor.cookie
    in_flight, login = visitor.open(), visitor.open()
    in_flight["x"] = 1
    login.rotate()
    visitor.finish(login)
    visitor.finish(in_flight)
    assert visitor.read(old) == {}
    assert len(visitor.keys()) == 1


def test_s8_what_is_written_after_destroy_begins_another_session(visitor):
    visitor.change(user=1)
    old = visitor.cookie
    session = visitor.open()
    old_id = session.id
    session.destroy()
    session["flash"] = "bye"
    assert session.new
    assert session.id != old_id
    visitor.finish(session)
    assert visitor.read() == {"flash": "bye"}
    assert visitor.read(old) == {}
    assert visitor.store.count() == 1


@pytest.mark.parametrize("order", ["rotate destroy", "destroy rotate", "destroy destroy", "rotate rotate"])
def test_s8_rotate_and_destroy_can_follow_each_other(visitor, order):
    visitor.change(user=1)
    old = visitor.cookie
    session = visitor.open()
    for step in order.split():
        getattr(session, step)()
        session["after"] = step
    visitor.finish(session)
    assert visitor.read()["after"] == order.split()[1]
    assert ("user" in visitor.read()) is (order == "rotate rotate")
    assert visitor.read(old) == {}
    assert len(visitor.keys()) == 1


def test_s8_b35_an_id_that_a_client_invents_is_never_adopted(visitor, secret):
    for invented in ("a" * 43, "../../etc/passwd", "a" * 43 + "." + "b" * 43, "x"):
        visitor.store.calls.clear()
        session = visitor.layer.open_session(f"session={invented}")
        session["user"] = 1
        visitor.finish(session)
        assert session.id != invented
        assert visitor.store.calls == ["save"], "an id that isn't signed must not reach the store"
        visitor.change(user=None)


def test_s8_b35_an_id_that_was_ours_and_is_gone_is_not_adopted_either(visitor):
    visitor.change(user=1)
    old = visitor.cookie
    session = visitor.open()
    old_id = session.id
    session.destroy()
    visitor.finish(session)
    again = visitor.open(old)
    assert again.new
    again["user"] = 2
    visitor.finish(again)
    assert again.id != old_id
    assert visitor.cookie != old


def test_s8_is_revoked_ends_cookie_sessions_before_their_time(secret):
    revoked = set()
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, is_revoked=lambda session: session.id in revoked)
    session = layer.open_session(None)
    session["user"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    assert layer.open_session(cookie).copy() == {"user": 1}
    revoked.add(session.id)
    again = layer.open_session(cookie)
    assert again.copy() == {}
    assert again.new
    assert layer.save_session(again)[0].startswith("session=; ")


def test_s8_rotate_gives_a_cookie_session_another_id_too(secret):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret)
    session = layer.open_session(None)
    session["user"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0]
    again = layer.open_session(cookie)
    again.rotate()
    third = layer.open_session(layer.save_session(again)[0].partition(";")[0])
    assert third.copy() == {"user": 1}
    assert third.id != session.id
    assert third.created == session.created
