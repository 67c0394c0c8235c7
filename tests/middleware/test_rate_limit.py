"""`RateLimitMiddleware`: who is counted, by which limit, and what the response says."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from tests.middleware.test_security_frameworks import FRAMEWORKS
from wsgikit import (
    AuthenticationMiddleware,
    ContextMiddleware,
    ErrorPagesMiddleware,
    Middleware,
    ProxyHeadersMiddleware,
    RateLimitMiddleware,
    Router,
    SessionMiddleware,
    build_stack,
    policy,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.authentication import Bearer
from wsgikit.middleware.rate_limit import counter as counter_module
from wsgikit.middleware.rate_limit.clients import SHARED, address_key
from wsgikit.testing import TestClient, assert_conforms

SECRET = "bcd4b7f9e6a0d1c2b3e4f5a9f2c1c5e3a8"


def hello(environ, start_response):
    start_response(environ.get("status", "200 OK"), [("Content-Type", "text/plain")])
    return [b"Hello"]


def client_of(app=hello, *layers, **options):
    options.setdefault("limits", "3/minute")
    stack = build_stack(app, *layers, use(RateLimitMiddleware, **options))
    return TestClient(stack, extra_environ={"REMOTE_ADDR": "192.0.2.1"})


def statuses(client, count=4, **request):
    return [client.get("/", status="*", **request).status_int for _ in range(count)]


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window", "sliding-window"])
def test_a_client_gets_as_many_responses_as_the_limit_says(strategy):
    assert statuses(client_of(strategy=strategy), 5) == [200, 200, 200, 429, 429]


@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_the_application_of_each_framework_is_limited(kind):
    client = client_of(FRAMEWORKS[kind](), limits="2/minute")
    assert [client.post("/form", {"name": "Ann"}, status="*").status_int for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ("both", {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit", "RateLimit-Policy"}),
        ("x", {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}),
        ("draft", {"RateLimit", "RateLimit-Policy"}),
    ],
)
def test_each_response_says_what_is_left(headers, names):
    client = client_of(headers=headers)
    for left in (2, 1, 0, 0):
        response = client.get("/", status="*")
        assert {name for name in response.headers if "ratelimit" in name.lower()} == names
        if headers != "draft":
            assert response.headers["X-RateLimit-Limit"] == "3"
            assert response.headers["X-RateLimit-Remaining"] == str(left)
            assert 58 <= int(response.headers["X-RateLimit-Reset"]) <= 60
        if headers != "x":
            assert response.headers["RateLimit-Policy"] == '"3-per-1-minute";q=3;w=60'
            assert response.headers["RateLimit"].startswith(f'"3-per-1-minute";r={left};t=')


def test_a_refusal_says_when_to_come_back_in_whole_seconds():
    client = client_of()
    statuses(client, 3)
    response = client.get("/", status=429, headers={"Accept": "application/json"})
    assert response.content_type == "application/problem+json"
    assert 58 <= int(response.headers["Retry-After"]) <= 60
    assert response.json["status"] == 429


def test_a_wait_of_less_than_a_second_is_rounded_up():
    client = client_of(limits="1/second")
    refused = next(r for r in iter(lambda: client.get("/", status="*"), None) if r.status_int == 429)
    assert refused.headers["Retry-After"] == "1"


def test_the_wait_is_that_of_the_limit_that_was_exceeded():
    client = client_of(limits="2/minute; 100/day")
    statuses(client, 2)
    assert int(client.get("/", status=429).headers["Retry-After"]) <= 60


def test_a_page_of_error_pages_carries_the_headers():
    stack = build_stack(
        hello, use(ContextMiddleware), use(ErrorPagesMiddleware), use(RateLimitMiddleware, limits="1/minute")
    )
    client = TestClient(stack, extra_environ={"REMOTE_ADDR": "192.0.2.1"})
    client.get("/")
    response = client.get("/", status=429, headers={"Accept": "text/html"})
    assert response.headers["Retry-After"]
    assert response.headers["X-RateLimit-Remaining"] == "0"


def test_the_limit_with_the_least_remaining_is_reported():
    client = client_of(limits="100/minute; 5/hour")
    response = client.get("/")
    assert (response.headers["X-RateLimit-Limit"], response.headers["X-RateLimit-Remaining"]) == ("5", "4")
    assert response.headers["RateLimit-Policy"] == '"100-per-1-minute";q=100;w=60, "5-per-1-hour";q=5;w=3600'


def test_of_two_layers_the_one_with_less_left_is_reported_once():
    client = client_of(hello, use(RateLimitMiddleware, limits="2/minute", name="burst"), limits="9/minute")
    response = client.get("/")
    assert response.headers.getall("X-RateLimit-Remaining") == ["1"]


def test_headers_of_the_application_stay():
    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-RateLimit-Limit", "77")])
        return [b"Hello"]

    assert client_of(app).get("/").headers.getall("X-RateLimit-Limit") == ["77"]


@pytest.mark.parametrize(("cost", "expected"), [(1, [200, 200, 200, 429]), (2, [200, 429]), (3, [200, 429])])
def test_a_request_counts_as_its_cost(cost, expected):
    assert statuses(client_of(cost=cost), len(expected)) == expected


# ---------------------------------------------------------------------- whose requests count together


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("", None, True),
        ("junk", "", True),
        ("192.0.2.1", "", False),
    ],
)
def test_which_addresses_are_one_client(first, second, is_same):
    assert (address_key(first, 64) == address_key(second, 64)) == is_same


def test_the_prefix_says_how_much_of_an_address_is_one_client():
    assert address_key("2001:db8:1:2::1", 48) == address_key("2001:db8:1:3::1", 48) == "2001:db8:1::/48"
    assert address_key("2001:db8::1", 128) != address_key("2001:db8::2", 128)
    assert address_key("nothing", 64) == SHARED


def test_a_header_is_the_client_and_without_it_the_address():
    client = client_of(key="X-API-Key", limits="1/minute")
    assert statuses(client, 2, headers={"X-API-Key": "a"}) == [200, 429]
    assert statuses(client, 2, headers={"X-API-Key": "b"}) == [200, 429]
    assert statuses(client, 2) == [200, 429]


def test_the_store_does_not_hold_the_value_of_the_header():
    client = client_of(key="X-API-Key")
    client.get("/", headers={"X-API-Key": "very-secret"})
    layer = client.app.find(RateLimitMiddleware)
    assert "very-secret" not in repr(vars(layer._counter._storage))


def test_a_function_names_the_client_and_none_is_no_limit():
    client = client_of(key=lambda exchange: exchange.request.args.get("who"), limits="1/minute")
    assert [client.get(f"/?who={who}", status="*").status_int for who in "aab"] == [200, 429, 200]
    assert "X-RateLimit-Limit" not in client.get("/").headers
    assert statuses(client, 3) == [200] * 3


@pytest.mark.parametrize("key", ["user", "session"])
def test_users_and_sessions_are_counted_after_the_layers_that_know_them(key):
    class KnowsUsers(Middleware):
        def before_request(self, exchange):
            name = exchange.request.args.get("who")
            if name:
                exchange.environ["REMOTE_USER"] = name

    def app(environ, start_response):
        environ["wsgikit.session"]["is_here"] = True
        return hello(environ, start_response)

    layers = [
        use(RateLimitMiddleware, limits="1/minute", key=key),
        use(SessionMiddleware, secret_key=SECRET, store="memory://"),
        use(KnowsUsers),
    ]
    stack = build_stack(app, *layers)
    ann, ben = (TestClient(stack, extra_environ={"REMOTE_ADDR": "192.0.2.1"}) for _ in range(2))
    if key == "user":
        assert [ann.get(f"/?who={who}", status="*").status_int for who in ("ann", "ann", "ben")] == [200, 429, 200]
        return
    for client in (ann, ben):
        with client.session() as session:
            session["is_here"] = True
    assert statuses(ann, 2) == [200, 429]
    assert statuses(ben, 2) == [200, 429]


@pytest.mark.parametrize("by", ["wsgikit.user", "REMOTE_USER"])
def test_a_user_is_counted_wherever_the_requests_come_from(by):
    client = client_of(key="user", limits="1/minute")
    addresses = ["192.0.2.1", "192.0.2.2"]
    codes = [client.get("/", extra_environ={by: "ann", "REMOTE_ADDR": a}, status="*").status_int for a in addresses]
    assert codes == [200, 429]


def test_users_of_our_layer_are_counted_by_their_id():
    class User:
        def __init__(self, name):
            self.id = name

    schemes = [Bearer(lambda token: User(token))]
    layers = [
        use(RateLimitMiddleware, limits="1/minute", key="user"),
        use(AuthenticationMiddleware, schemes=schemes),
    ]
    client = TestClient(build_stack(hello, *layers), extra_environ={"REMOTE_ADDR": "192.0.2.1"})
    sent = [{"Authorization": f"Bearer {name}"} for name in ("ann", "ann", "ben")]
    assert [client.get("/", headers=headers, status="*").status_int for headers in sent] == [200, 429, 200]


def test_a_client_that_keeps_no_cookie_is_not_unlimited():
    stack = build_stack(
        hello,
        use(RateLimitMiddleware, limits="1/minute", key="session"),
        use(SessionMiddleware, secret_key=SECRET),
    )
    clients = [TestClient(stack, extra_environ={"REMOTE_ADDR": "192.0.2.1"}) for _ in range(2)]
    assert [client.get("/", status="*").status_int for client in clients] == [200, 429]


def test_layers_of_other_names_count_for_themselves():
    layers = [
        use(RateLimitMiddleware, limits="1/minute", only="/a", name="a"),
        use(RateLimitMiddleware, limits="1/minute", only="/b", name="b"),
    ]
    client = TestClient(build_stack(hello, *layers), extra_environ={"REMOTE_ADDR": "192.0.2.1"})
    assert [client.get(path, status="*").status_int for path in ("/a", "/b", "/a", "/b", "/c")] == [
        200,
        200,
        429,
        429,
        200,
    ]


@pytest.mark.parametrize(("address", "expected"), [("10.1.2.3", [200] * 4), ("192.0.2.1", [200, 200, 200, 429])])
def test_the_safelist_has_no_limit(address, expected):
    client = client_of(safelist=["10.0.0.0/8"])
    assert statuses(client, extra_environ={"REMOTE_ADDR": address}) == expected


def test_the_client_behind_the_proxy_is_counted():
    client = client_of(hello, use(ProxyHeadersMiddleware, trusted_proxies=["192.0.2.1"]), limits="1/minute")
    sent = ["198.51.100.1", "198.51.100.1", "198.51.100.2"]
    codes = [client.get("/", headers={"X-Forwarded-For": name}, status="*").status_int for name in sent]
    assert codes == [200, 429, 200]


# ---------------------------------------------------------------------- views, counted responses, bans


def site():
    router = Router(name="site")

    @router.get("/")
    def home():
        return "home"

    @router.get("/search")
    @policy(rate_limit="1/minute")
    def search():
        return "found"

    @router.get("/report")
    @policy(rate_limit="1/minute")
    def report():
        return "report"

    return router


@pytest.mark.parametrize("key", ["address", "user"])
def test_the_limit_of_a_view_is_counted_for_that_view(key):
    client = client_of(site(), key=key, limits="100/minute")
    paths = ["/search", "/search", "/report", "/", "/"]
    assert [client.get(path, status="*").status_int for path in paths] == [200, 429, 200, 200, 200]


def test_a_view_without_limit_is_not_counted_for_users():
    router = site()

    @router.get("/free")
    @policy(rate_limit=False)
    def free():
        return "free"

    client = client_of(router, key="user", limits="1/minute")
    assert [client.get("/free", status="*").status_int for _ in range(3)] == [200] * 3


def test_only_responses_that_count_are_counted():
    def app(environ, start_response):
        environ["status"] = "401 Unauthorized" if environ["QUERY_STRING"] == "wrong" else "200 OK"
        return hello(environ, start_response)

    client = client_of(app, count=lambda exchange: exchange.status_code == 401, limits="2/minute")
    codes = [client.get(path, status="*").status_int for path in ("/", "/?wrong", "/", "/?wrong", "/")]
    assert codes == [200, 401, 200, 401, 429]


def test_what_is_left_includes_the_response_that_was_just_counted():
    client = client_of(count=lambda exchange: True, limits="2/minute")
    assert client.get("/").headers["X-RateLimit-Remaining"] == "1"


@pytest.mark.parametrize("key", ["address", "user"])
def test_a_client_with_too_many_bad_responses_is_banned(key):
    client = client_of(site(), key=key, limits="100/minute", ban="3/minute for 1h")
    assert [client.get("/missing", status="*").status_int for _ in range(3)] == [404] * 3
    response = client.get("/", status=429)
    assert 3590 < int(response.headers["Retry-After"]) <= 3600
    assert client.get("/", extra_environ={"REMOTE_ADDR": "192.0.2.2"}).status_int == 200


def test_good_responses_and_other_statuses_lead_to_no_ban():
    client = client_of(site(), limits="100/minute", ban="2/minute for 1h", ban_statuses=[401])
    assert [client.get(path, status="*").status_int for path in ("/missing",) * 4 + ("/",) * 2] == [404] * 4 + [200] * 2


# ---------------------------------------------------------------------- warnings


def test_counting_in_memory_of_several_processes_is_warned_about_once(caplog):
    client = client_of()
    for _ in range(2):
        client.get("/", extra_environ={"wsgi.multiprocess": True})
    assert ["several processes count in memory" in text for text in caplog.messages] == [True]


def test_a_proxy_that_no_layer_knows_is_warned_about_once(caplog):
    client = client_of()
    for _ in range(2):
        client.get("/", headers={"X-Forwarded-For": "198.51.100.1"})
    assert ["came through a proxy" in text for text in caplog.messages] == [True]


def test_a_proxy_that_a_layer_knows_is_no_reason_to_warn(caplog):
    client = client_of(hello, use(ProxyHeadersMiddleware, trusted_proxies=["192.0.2.1"]))
    client.get("/", headers={"X-Forwarded-For": "198.51.100.1"})
    assert caplog.messages == []


# ---------------------------------------------------------------------- Redis


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Redis:
    """A server of the test's own, which can be stopped and started again on its port."""

    def __init__(self, program, folder):
        self.program = program
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process = None

    def start(self):
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(10).startswith(b"+PONG"):
                    return
        pytest.fail("redis-server did not start")

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def redis(tmp_path):
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    server = Redis(program, str(tmp_path))
    server.start()
    yield server
    server.stop()


WORKER = """
import sys
from wsgikit import RateLimitMiddleware

app = RateLimitMiddleware(lambda environ, start: [start("200 OK", []), b""][1:], limits="100/hour", store=sys.argv[1],
                          strategy=sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
codes = []
for _ in range(250):
    environ = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.1", "wsgi.multiprocess": True}
    body = app(environ, lambda status, headers, exc_info=None: codes.append(status[:3]))
    getattr(body, "close", list)()
print(codes.count("200"), codes.count("429"))
"""


@pytest.mark.parametrize("strategy", ["fixed-window", "moving-window"])
def test_four_processes_let_exactly_the_limit_through(redis, strategy):
    command = [sys.executable, "-c", WORKER, redis.url, strategy]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(4)
    ]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        counts = [tuple(map(int, worker.communicate(timeout=60)[0].split())) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert (sum(passed for passed, _ in counts), sum(refused for _, refused in counts)) == (100, 900)


def test_threads_that_count_in_memory_let_exactly_the_limit_through():
    app = RateLimitMiddleware(hello, limits="100/hour")
    codes = []

    def ask():
        for _ in range(50):
            environ = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": "192.0.2.1"}
            app(environ, lambda status, headers, exc_info=None: codes.append(status[:3]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes.count("200"), codes.count("429")) == (100, 300)


@pytest.mark.parametrize(("on_store_error", "code"), [("allow", 200), ("deny", 503)])
def test_a_store_that_is_down_is_logged_once_and_used_again_when_it_is_back(
    redis, on_store_error, code, caplog, monkeypatch
):
    now = [1000.0]
    monkeypatch.setattr(counter_module.time, "monotonic", lambda: now[0])
    layer = use(RateLimitMiddleware, limits="3/hour", store=redis.url, on_store_error=on_store_error)
    stack = build_stack(hello, layer)
    with stack, TestClient(stack, extra_environ={"REMOTE_ADDR": "192.0.2.1"}) as client:
        assert statuses(client, 2) == [200, 200]
        redis.stop()
        with caplog.at_level(logging.INFO, "wsgikit"):
            for _ in range(3):
                assert statuses(client, 2) == [code] * 2
                now[0] += 2
        assert [record.name for record in caplog.records] == ["wsgikit.rate_limit"]
        assert "doesn't answer" in caplog.text
        redis.start()
        now[0] += 2
        assert statuses(client) == [200, 200, 200, 429]  # the counts of a server without a disk are gone


def test_a_store_that_is_down_is_left_alone_for_a_moment(monkeypatch, caplog):
    now, asked = [1000.0], []
    monkeypatch.setattr(counter_module.time, "monotonic", lambda: now[0])
    client = client_of(store=f"redis://127.0.0.1:{free_port()}")
    layer = client.app.find(RateLimitMiddleware)
    storage = layer._counter._storage
    real = type(storage).incr
    monkeypatch.setattr(type(storage), "incr", lambda *a, **k: (asked.append(now[0]), real(*a, **k)))
    for later in (0, 0.5, 0.4, 0.3):
        now[0] += later
        assert client.get("/").status_int == 200
    assert len(asked) == 2
    assert len(caplog.records) == 1


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"limits": ""}, "limits: expected limits such as"),
        ({"limits": "many"}, "limits: expected limits such as"),
        ({"limits": "5/fortnight"}, "limits: expected limits such as"),
        ({"limits": "0/minute"}, "limits: expected limits such as"),
        ({"limits": 5}, "limits: expected limits such as"),
        ({"count": "401"}, "count: expected a function"),
        ({"key": "adress"}, "key: expected .* Did you mean 'address'"),
        ({"key": "a b"}, "key: expected"),
        ({"key": 3}, "key: expected"),
        ({"store": "memory"}, "store: expected a URL"),
        ({"store": "nothing://x"}, "store: expected a store that can be used"),
        ({"strategy": "leaky"}, "strategy: expected 'fixed-window'"),
        ({"ipv6_prefix": 0}, "ipv6_prefix: expected a whole number from 1 to 128"),
        ({"on_store_error": "raise"}, "on_store_error: expected 'allow' or 'deny'"),
        ({"headers": "none"}, "headers: expected 'both', 'x' or 'draft'"),
        ({"cost": 0}, "cost: expected a whole number from 1 to 3"),
        ({"cost": 4}, "cost: expected a whole number from 1 to 3"),
        ({"safelist": ["here"]}, "safelist: expected addresses"),
        ({"ban": "10/minute"}, "ban: expected a ban such as"),
        ({"ban": "x for 1h"}, "ban: expected limits"),
        ({"ban": "1/minute; 2/hour for 1h"}, "ban: expected one limit"),
        ({"ban": "1/minute for ever"}, "ban_seconds: expected"),
        ({"ban_statuses": [200]}, "ban_statuses: expected a whole number from 400 to 599"),
    ],
)
def test_an_option_that_cannot_work_is_refused_while_building(options, text):
    with pytest.raises(ConfigurationError, match=f"^RateLimitMiddleware: {text}"):
        RateLimitMiddleware(hello, **{"limits": "3/minute", **options})


def test_a_password_in_the_url_is_in_no_message():
    with pytest.raises(ConfigurationError) as caught:
        RateLimitMiddleware(hello, limits="3/minute", store="nothing://user:secret-word@host")
    assert "secret-word" not in str(caught.value)


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "limits", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgikit\[limits\]'"):
        RateLimitMiddleware(hello, limits="3/minute")


def test_the_layer_conforms():
    assert_conforms(lambda app: RateLimitMiddleware(app, limits="1000/second", safelist=["0.0.0.0/0"]))
    assert_conforms(lambda app: RateLimitMiddleware(app, limits="1000000/second", ban="1000000/second for 1h"))
