"""Secrets, signatures, rotation. Points S11, S12, S18, B37, B38, and the wire format of itsdangerous."""

import hashlib
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import BadSignature, TimestampSigner, URLSafeTimedSerializer

from wsgikit.crypto.signing import TimedSigner, decode_base64, encode_base64
from wsgikit.exceptions import ConfigurationError
from wsgikit.sessions.formats.signed import SignedFormat
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.base import store_key
from wsgikit.sessions.stores.memory import MemoryStore

OLD = "an-old-secret-0123456789abcdef"
NEW = "a-newer-secret-0123456789abcdef"


def theirs(secret, digest=hashlib.sha256):
    """itsdangerous' serializer for our cookies, as docs/howto/sessions.md has it."""
    options = {"key_derivation": "hmac", "digest_method": digest}
    return URLSafeTimedSerializer(secret, salt="wsgikit.session:session", signer_kwargs=options)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "secret_key: expected a secret, got none. Make one with: wsgikit secret."),
        ("", "secret_key: expected a secret, got none."),
        ([], "secret_key: expected a secret, got none."),
        ("short", "secret_key: expected at least 16 bytes, got 5. Make one with: wsgikit secret."),
        ([NEW, "short"], "secret_key[1]: expected at least 16 bytes, got 5."),
        (b"x", "secret_key: expected at least 16 bytes, got 1."),
        (
            "CHANGE_ME",
            "secret_key: expected a secret, got a placeholder: it contains 'changeme'. Make one with: wsgikit secret.",
        ),
        ("todo: make a secret key", "got a placeholder: it contains 'todo'"),
        ("an insecure key for development", "got a placeholder: it contains 'insecure'"),
        ("aaaa" * 8, "secret_key: expected a random secret, got one of 1 different characters."),
        ("0101" * 8, "expected a random secret, got one of 2 different characters."),
        (b"\0" * 32, "expected at least 16 bytes, got 0 and NULs."),
        (b"short" + b"\0" * 27, "expected at least 16 bytes, got 5 and NULs."),
        ([NEW, ""], "secret_key[1]: expected a secret, got none."),
        ("please-change-me-0123456789", "got a placeholder"),
        ("<insert your secret key here>", "got a placeholder"),
        ("your-secret-key-goes-here", "got a placeholder"),
        ("django-insecure-abcdefghijklmnop", "got a placeholder"),
        (
            list("an-old-secret-key"),
            "secret_key: expected whole secrets, got 17 of one character. A str was taken apart into a list",
        ),
        (tuple("ab"), "expected whole secrets, got 2 of one character"),
        (42, "secret_key: expected a str or a list of str, got an int."),
        ({"a": 1}, "expected a str or a list of str, got a dict."),
        ([NEW, 42], "secret_key[1]: expected a str or bytes, got an int."),
    ],
    ids=repr,
)
def test_s12_s11_a_secret_that_protects_nothing_is_refused_while_building(value, message):
    with pytest.raises(ConfigurationError) as caught:
        SessionMiddleware(lambda e, s: [], secret_key=value)
    assert str(caught.value).startswith("SessionMiddleware: ")
    assert message in str(caught.value)
    if isinstance(value, str) and value:
        assert value not in str(caught.value)


@pytest.mark.parametrize("stray", ["=", " ", "!", "\n", "\xe4", "€", "A", "AAAA"], ids=ascii)
@pytest.mark.parametrize("place", [3, 20, -1, None])
def test_an_encrypted_cookie_with_a_stray_character_is_refused(stray, place):
    layer = SessionMiddleware(lambda e, s: [], secret_key=NEW, encrypt=True)
    session = layer.open_session(None)
    session["user"] = 1
    value = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    assert layer.manager.backend.format.load(value).data == {"user": 1}
    changed = value + stray if place is None else value[:place] + stray + value[place:]
    assert layer.manager.backend.format.load(changed) is None


RANDOM_KEYS_WITH_A_WORD = [
    "Qk3TODOw9rXb0uZ1nN5sVtYpLm2Jc7HfGd8Ea4RiKoU",  # base64url: one in 26,000 contains "todo"
    "x_to-doQk3w9rXb0uZ1nN5sVtYpLm2Jc7HfGd8Ea4Ri",
    "q7InsecureXb0uZ1nN5sVtYpLm2Jc7HfGd8Ea4RiKoU",
    b"\x00\x8f" + bytes(range(60, 90)),  # a NUL within random bytes is as good as any other
    "8302756149038271",
]


@pytest.mark.parametrize("secret", RANDOM_KEYS_WITH_A_WORD, ids=repr)
def test_a_random_secret_that_happens_to_contain_a_word_is_accepted(secret):
    SessionMiddleware(lambda e, s: [], secret_key=secret)


@pytest.mark.parametrize("cookie_format", ["flask", "starlette", "django"])
@pytest.mark.parametrize(
    ("secret", "weakness"),
    [
        ("dev", "expected at least 16 bytes, got 3"),
        ("django-insecure-abcdefghijklmnop", "expected a secret, got a placeholder: it contains 'djangoinsecure'"),
    ],
    ids=["short", "placeholder"],
)
def test_a_weak_secret_of_another_application_is_a_warning(caplog, cookie_format, secret, weakness):
    SessionMiddleware(lambda e, s: [], secret_key=secret, cookie_format=cookie_format)
    (record,) = caplog.records
    assert record.getMessage().startswith(f"SessionMiddleware: secret_key: {weakness}. Anybody can forge")


@pytest.mark.parametrize("cookie_format", ["flask", "starlette", "django"])
def test_another_application_needs_a_secret_too(cookie_format):
    for secret in ("", None, [], [NEW, ""]):
        with pytest.raises(ConfigurationError, match="expected a secret, got none"):
            SessionMiddleware(lambda e, s: [], secret_key=secret, cookie_format=cookie_format)


@pytest.mark.parametrize(
    "options", [{}, {"encrypt": True}, {"store": MemoryStore()}], ids=["signed", "encrypted", "store"]
)
def test_s11_the_first_key_signs_all_verify_and_the_next_write_signs_anew(options):

    def layer(*keys):
        return SessionMiddleware(lambda e, s: [], secret_key=list(keys), **options)

    before = layer(OLD)
    first = before.open_session(None)
    first["user"] = 1
    cookie = before.save_session(first)[0].partition(";")[0]
    rotated = layer(NEW, OLD)
    session = rotated.open_session(cookie)
    assert session.copy() == {"user": 1}
    assert rotated.save_session(session) == [], "a request that only reads signs nothing anew"
    session = rotated.open_session(cookie)
    session["n"] = 1
    cookie = rotated.save_session(session)[0].partition(";")[0]
    assert layer(NEW).open_session(cookie).copy() == {"user": 1, "n": 1}
    assert layer(OLD).open_session(cookie).copy() == {}


def test_s11_every_place_of_a_key_in_the_list_verifies():
    keys = [f"secret-number-{number}-0123456789" for number in range(4)]
    for key in keys:
        cookie = theirs(key).dumps({"a": 1})
        layer = SessionMiddleware(lambda e, s: [], secret_key=keys)
        assert layer.open_session(f"session={cookie}").copy() == {"a": 1}
        for other in keys:
            if other != key:
                alone = SessionMiddleware(lambda e, s: [], secret_key=other)
                assert alone.open_session(f"session={cookie}").copy() == {}


def test_s11_the_length_of_a_signature_tells_its_digest_so_that_changing_it_logs_nobody_out(secret):
    for old, new in (("sha256", "sha512"), ("sha512", "sha256")):
        before = SessionMiddleware(lambda e, s: [], secret_key=secret, cookie_digest=old)
        session = before.open_session(None)
        session["a"] = 1
        cookie = before.save_session(session)[0].partition(";")[0]
        after = SessionMiddleware(lambda e, s: [], secret_key=secret, cookie_digest=new)
        assert after.open_session(cookie).copy() == {"a": 1}


def test_a_cookie_of_one_name_cannot_be_passed_off_as_one_of_another(secret):
    for encrypt in (False, True):
        one = SessionMiddleware(lambda e, s: [], secret_key=secret, encrypt=encrypt)
        session = one.open_session(None)
        session["is_admin"] = True
        value = one.save_session(session)[0].partition(";")[0].partition("=")[2]
        other = SessionMiddleware(lambda e, s: [], secret_key=secret, cookie_name="admin", encrypt=encrypt)
        assert other.open_session(f"admin={value}").copy() == {}


def test_b37_ids_are_256_random_bits(secret, spy):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=spy)
    ids = {layer.open_session(None).id for _ in range(1000)}
    assert len(ids) == 1000
    numbers = [int.from_bytes(decode_base64(session_id.encode())) for session_id in ids]
    assert max(numbers).bit_length() == 256
    for bit in range(256):  # each is its own coin: 500 of 1000, and equal to its neighbours half of the time
        for other in (None, bit - 1, bit - 8, bit - 128):
            heads = sum((number >> bit ^ (0 if other is None else number >> other % 256)) & 1 for number in numbers)
            assert 380 < heads < 620, (bit, other)  # 7.6 standard deviations


def test_s18_b37_the_store_has_only_hashes_and_a_dump_of_it_cannot_be_replayed(secret, spy):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret, store=spy)
    session = layer.open_session(None)
    session["user"] = 1
    cookie = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    again = layer.open_session(f"session={cookie}")
    again["n"] = 1
    layer.save_session(again)
    (key,) = spy.keys()
    assert key == hashlib.sha256(session.id.encode()).hexdigest() == store_key(session.id)
    dump = repr(spy._records)
    assert session.id not in dump
    assert cookie not in dump
    assert layer.open_session(f"session={key}").copy() == {}
    # Even who knows the secret as well can't make a cookie of a key.
    signed = layer.manager.backend._signer.sign(key.encode()).decode()
    assert layer.open_session(f"session={signed}").copy() == {}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(data=st.dictionaries(st.text().filter(lambda key: not key.startswith("!")), JSON, max_size=4))
def test_itsdangerous_reads_our_cookies_and_we_read_its(data):
    if "!" in json.dumps(data):
        return  # our tags; see test_serializer.py
    layer = SessionMiddleware(lambda e, s: [], secret_key=NEW, cookie_max_bytes=1 << 20)
    ours = layer.open_session(None)
    ours.update(data)
    lines = layer.save_session(ours)
    if data:
        cookie = lines[0].partition(";")[0].partition("=")[2]
        written, created, session_id, flags = theirs(NEW).loads(cookie)
        assert (written, created, session_id, flags) == (data, ours.created, ours.id, 0)
    cookie = theirs(NEW).dumps(data)
    assert layer.open_session(f"session={cookie}").copy() == data


@pytest.mark.parametrize("size", [10, 3000])
def test_itsdangerous_reads_and_writes_compressed_cookies_too(secret, size):
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret)
    session = layer.open_session(None)
    session["a"] = "x" * size
    cookie = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    assert cookie.startswith(".") is (size > 1024)
    assert theirs(secret).loads(cookie)[0] == {"a": "x" * size}
    assert layer.open_session(f"session={theirs(secret).dumps({'a': 'x' * size})}").copy() == {"a": "x" * size}


@given(payload=st.binary().map(encode_base64))
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize(
    ("digest", "method"), [("sha256", hashlib.sha256), ("sha1", hashlib.sha1), ("sha512", hashlib.sha512)]
)
def test_our_signatures_are_those_of_itsdangerous(payload, digest, method):
    signer = TimestampSigner(NEW, salt="s", key_derivation="hmac", digest_method=method)
    ours = TimedSigner([NEW.encode()], b"s", digest=digest)
    token = ours.sign(payload)
    assert signer.unsign(token) == payload
    assert ours.unsign_timed(signer.sign(payload))[0] == payload
    with pytest.raises(BadSignature):
        signer.unsign(token[:-3] + (b"AAA" if token[-3:] != b"AAA" else b"BBB"))


def test_a_compressed_cookie_that_unpacks_to_too_much_is_no_session(secret):
    bomb = b"." + encode_base64(zlib.compress(b'{"a":"' + b"x" * (2 << 20) + b'"}'))
    form = SignedFormat([secret.encode()], "session")
    assert form.load(form._signer.sign(bomb).decode()) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"[1]",
        b"7",
        b'"x"',
        b"null",
        b"{",
        b"\xff",
        b"",
        b'[{},1,"x"]',
        b'[1,1,"x",0]',
        b'[{},"1","x",0]',
        b"[{},1,[],0]",
        b'[{"a":{"!d":"no date"}},1,null,0]',
        b'[{"a":{"!u":7}},1,null,0]',
        b'[{"a":{"!n":"x"}},1,null,0]',
        b"[" * 5000,
    ],
)
def test_s14_what_another_program_signed_with_our_secret_is_no_session(secret, payload):
    form = SignedFormat([secret.encode()], "session")
    assert form.load(form._signer.sign(encode_base64(payload)).decode()) is None


def test_b38_signatures_are_compared_in_constant_time(secret, monkeypatch):
    """All comparisons go through `hmac.compare_digest`, on bytes: with text it would fail on what is no ASCII."""
    import hmac

    seen = []
    genuine = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: seen.append((type(a), type(b))) or genuine(a, b))
    layer = SessionMiddleware(lambda e, s: [], secret_key=secret)
    session = layer.open_session(None)
    token = session.get_csrf_token()
    cookie = layer.save_session(session)[0].partition(";")[0]
    assert layer.open_session(cookie).check_csrf_token(token)
    assert not layer.open_session(cookie).check_csrf_token("\xe4")
    assert len(seen) == 4
    assert set(seen) == {(bytes, bytes)}


# ---------------------------------------------------------------------- a secret that was changed


def visit(layer, cookies):
    for cookie in cookies:
        len(layer.open_session(cookie))


def cookies_of(layer, count=10):
    for number in range(count):
        session = layer.open_session()
        session["n"] = number
        yield layer.save_session(session)[0].partition(";")[0]


def layer_of(secret_key, store="cookie", **options):
    return SessionMiddleware(lambda environ, start_response: [], secret_key=secret_key, store=store, **options)


@pytest.mark.parametrize("options", [{}, {"store": "memory://"}, {"cookie_format": "flask"}], ids=str)
def test_a_secret_changed_without_keeping_the_old_one_is_warned_of_once(options, caplog):
    cookies = [*cookies_of(layer_of(OLD, **options), 20)]
    layer = layer_of(NEW, **options)
    visit(layer, cookies[:9])
    assert caplog.messages == []
    visit(layer, cookies)
    (text,) = caplog.messages
    assert text.startswith("SessionMiddleware: secret_key: expected cookies that it signed, got 10 named 'session'")
    assert "keep the old one: secret_key=[new, old]." in text
    assert NEW not in text
    assert OLD not in text


def test_a_secret_whose_old_one_is_kept_is_not_warned_of(caplog):
    visit(layer_of([NEW, OLD]), cookies_of(layer_of(OLD)))
    assert caplog.messages == []


@pytest.mark.parametrize("store", ["cookie", "memory://"])
def test_cookies_that_have_expired_are_not_taken_for_those_of_another_secret(store, caplog, clock):
    layer = layer_of(NEW, store)
    cookies = [*cookies_of(layer)]
    clock.move(20 * 86_400)
    visit(layer, cookies)
    assert caplog.messages == []


def test_one_visitor_who_sends_the_same_cookie_again_is_no_changed_secret(caplog):
    visit(layer_of(NEW), [*cookies_of(layer_of(OLD), 1)] * 30)
    assert caplog.messages == []


def test_a_forged_cookie_now_and_then_is_no_changed_secret(caplog, clock):
    layer = layer_of(NEW)
    for number in range(30):
        visit(layer, [f"session=forged{number}"])
        clock.move(600)
    assert caplog.messages == []
