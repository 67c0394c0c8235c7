"""Where a session is lost, undone or badly explained between two of its parts."""

import copy
import inspect
import os

import pytest

from wsgikit.crypto.signing import encode_base64
from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.errors import SessionTooLarge, SessionValueError, StoreUnavailable
from wsgikit.sessions.manager import SessionManager
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.memcached import MemcachedStore
from wsgikit.sessions.stores.memory import MemoryStore

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"
FORMATS = ["wsgikit", "flask", "starlette", "django"]


def layer_of(**options):
    return SessionMiddleware(lambda environ, start_response: [], **{"secret_key": SECRET, **options})


def save(layer, session):
    """Save as at the end of a request; return the cookie that the browser then has, "" where it is removed."""
    lines = layer.save_session(session)
    if not lines:
        return session._header
    return "" if lines[0].startswith("session=;") else lines[0].partition(";")[0]


def begin(layer, **values):
    session = layer.open_session()
    session.update(values)
    return save(layer, session)


def two_requests(layer, cookie):
    first, second = layer.open_session(cookie), layer.open_session(cookie)
    assert first == second
    return first, second


# ---------------------------------------------------------------------- two requests


@pytest.mark.parametrize("empty", [lambda s: s.pop("a"), lambda s: s.popitem()], ids=["pop", "popitem"])
def test_s4_a_request_that_takes_out_the_last_key_keeps_what_another_put_in(empty):
    told = []
    layer = layer_of(store=MemoryStore(), on_conflict=told.append)
    cookie = begin(layer, a=1)
    slow, fast = two_requests(layer, cookie)
    fast["b"] = 2
    save(layer, fast)
    empty(slow)
    assert save(layer, slow) == cookie, "the session goes on"
    assert layer.open_session(cookie) == {"b": 2}
    assert [conflict.kind for conflict in told] == ["merged"]


def test_b33_a_session_that_nobody_else_writes_is_removed_when_it_is_emptied():
    store = MemoryStore()
    layer = layer_of(store=store)
    session = layer.open_session(begin(layer, a=1))
    del session["a"]
    assert save(layer, session) == ""
    assert store.count() == 0
    assert not store._records


def test_s5_a_session_that_was_destroyed_does_not_return_by_becoming_small_enough_for_a_cookie():
    told = []
    layer = layer_of(on_oversize=MemoryStore(), cookie_max_bytes=400, on_conflict=told.append)
    cookie = begin(layer, user=1, large=os.urandom(500).hex())
    slow, fast = two_requests(layer, cookie)
    fast.destroy()
    save(layer, fast)
    slow["large"] = ""
    assert layer.save_session(slow) == []
    assert layer.open_session(cookie) == {}
    assert [conflict.kind for conflict in told] == ["destroyed"]


@pytest.mark.parametrize("is_rotated", [False, True])
def test_s4_a_session_that_leaves_the_fallback_store_takes_along_what_another_request_wrote(is_rotated):
    store = MemoryStore()
    layer = layer_of(on_oversize=store, cookie_max_bytes=400)
    cookie = begin(layer, user=1, large=os.urandom(500).hex())
    slow, fast = two_requests(layer, cookie)
    fast["b"] = 2
    save(layer, fast)
    slow["large"] = ""
    if is_rotated:
        slow.rotate()
    assert layer.open_session(save(layer, slow)) == {"user": 1, "large": "", "b": 2}
    assert store.count() == 0


def test_a_session_that_would_leave_the_fallback_store_stays_where_another_request_made_it_large():
    store = MemoryStore()
    layer = layer_of(on_oversize=store, cookie_max_bytes=400)
    cookie = begin(layer, user=1, large=os.urandom(500).hex())
    slow, fast = two_requests(layer, cookie)
    fast["b"] = os.urandom(500).hex()
    save(layer, fast)
    slow["large"] = ""
    assert layer.open_session(save(layer, slow)) == {"user": 1, "large": "", "b": fast["b"]}
    assert store.count() == 1


def test_s7_what_was_put_in_under_a_lock_may_still_be_changed_inside_after_it():
    layer = layer_of(store=MemoryStore())
    cookie = begin(layer, a=1)
    session = layer.open_session(cookie)
    with session.lock():
        session["cart"] = cart = []
    cart.append(1)
    save(layer, session)
    assert layer.open_session(cookie)["cart"] == [1]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_s2_a_copy_is_a_dict_and_counts_as_reading(browse, duplicate):
    kinds = []
    browser = browse(lambda session, environ: kinds.append(type(duplicate(session))))
    assert browser.send().headers.getall("Vary") == ["Cookie"]
    assert kinds == [dict]


def test_the_manager_has_the_options_of_the_layer_and_their_defaults():
    ours, theirs = (inspect.signature(each.__init__).parameters for each in (SessionMiddleware, SessionManager))
    assert {*ours} - {*theirs} == {"app", "environ_key", "save_on_error"}
    assert {*theirs} - {*ours} == {"where", "session_class"}
    for name in {*ours} & {*theirs}:
        assert (ours[name].default, ours[name].annotation) == (theirs[name].default, theirs[name].annotation), name


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize("encrypt", [False, True])
def test_s9_a_session_that_could_not_be_unpacked_again_is_too_large(encrypt):
    layer = layer_of(encrypt=encrypt)
    session = layer.open_session()
    session["page"] = "a" * 2_000_000  # two kilobytes when compressed
    with pytest.raises(SessionTooLarge, match=r"the largest keys are 'page' with 2000009 bytes"):
        layer.save_session(session)


@pytest.mark.parametrize("name", FORMATS)
def test_s13_an_int_too_long_to_be_written_is_named(name):
    layer = layer_of(cookie_format=name)
    session = layer.open_session()
    session["cart"] = [{"n": 1}, {"n": -(10**5000)}]
    with pytest.raises(SessionValueError, match=r"session: cart\[1\]\.n: expected an int of at most 4300 digits"):
        layer.save_session(session)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def in_itself():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [nested(5000), in_itself()], ids=["deep", "in itself"])
def test_s13_what_is_nested_without_end_is_named(name, value):
    layer = layer_of(cookie_format=name)
    session = layer.open_session()
    session.update(a=[1], tree=value)
    with pytest.raises(SessionValueError, match=r"session: tree: expected a value that isn't nested so deeply"):
        layer.save_session(session)


@pytest.mark.parametrize("value", ['{" di":{}}', '{" di":[]}', '{" u":5}', '{" d":5}', '{" d":"x"}', '{" t":5}'])
def test_s14_a_tag_of_flasks_with_something_else_in_it_is_no_session(value):
    layer = layer_of(cookie_format="flask")
    payload = encode_base64(f'{{"a":{value}}}'.encode())
    cookie = layer.manager.backend.format._signer.sign(payload).decode()
    assert layer.open_session(f"session={cookie}") == {}


@pytest.mark.parametrize("path", ["/日本", "/€"])
def test_s17_a_path_that_no_header_can_carry_is_refused(path):
    with pytest.raises(ConfigurationError, match=r"SessionMiddleware: cookie_path: expected a path that begins"):
        layer_of(cookie_path=path)


# ---------------------------------------------------------------------- stores


class DownStore(MemoryStore):
    """A store that doesn't answer any more once it is told so."""

    is_down = False

    def load(self, key):
        if self.is_down:
            raise StoreUnavailable("DownStore: expected an answer, got none. Is it up?")
        return super().load(key)

    def save(self, key, record, expected=None):
        if self.is_down:
            raise StoreUnavailable("DownStore: expected an answer, got none. Is it up?")
        return super().save(key, record, expected)


@pytest.mark.parametrize("what", ["503", "empty-readonly"])
@pytest.mark.parametrize("path", ["/load", "/save"])
def test_s19_a_store_that_is_down_is_logged_once_for_each_request(browse, caplog, what, path):
    def view(session, environ):
        if environ["PATH_INFO"] == "/load":
            store.is_down = True
            return len(session)
        session["a"] = session.get("a", 0) + 1
        store.is_down = environ["PATH_INFO"] == "/save"
        return None

    store = DownStore()
    browser = browse(view, store=store, on_store_error=what)
    browser.send()
    assert caplog.records == []
    browser.send(path)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("wsgikit.sessions", "ERROR")
    text = f"GET {path}: SessionMiddleware: DownStore: expected an answer, got none. Is it up?"
    assert record.getMessage() == text


def test_s19_with_raise_nothing_is_logged_twice(browse, caplog):
    store = DownStore()
    browser = browse(lambda session, environ: session.update(a=1), store=store, on_store_error="raise")
    store.is_down = True
    with pytest.raises(StoreUnavailable):
        browser.send()
    assert caplog.records == []


def test_s2_a_page_made_in_place_of_what_a_store_did_not_tell_says_vary(browse):
    def view(session, environ):
        try:
            return session.get("a")
        except StoreUnavailable:
            return "somebody"

    store = DownStore()
    browser = browse(view, store=store)
    session = browser.app.open_session()
    session["a"] = 1
    browser.cookie = save(browser.app, session).partition("=")[2]
    store.is_down = True
    response = browser.send()
    assert (response.text, response.headers.getall("Vary")) == ("somebody", ["Cookie"])
    assert "Set-Cookie" not in response.headers


def test_what_memcached_has_no_room_for_is_too_large_rather_than_an_outage():
    pymemcache = pytest.importorskip("pymemcache")

    class Full:
        def add(self, *args, **kwargs):
            raise pymemcache.exceptions.MemcacheServerError(b"object too large for cache")

    layer = layer_of(store=MemcachedStore(Full()))
    session = layer.open_session()
    session["a"] = "x" * 2_000_000
    with pytest.raises(SessionTooLarge, match=r"MemcachedStore: record: expected what memcached takes .* got 20000"):
        layer.save_session(session)
