"""`MetricsMiddleware`: the numbers, who may read them, and that no visitor can add time series."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from wsgikit import (
    AccessListMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    MetricsMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    build_stack,
    use,
)
from wsgikit.exceptions import ConfigurationError
from wsgikit.middleware.metrics.middleware import cache_result
from wsgikit.testing import assert_conforms

from .conftest import App, make_environ

KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"
LOCAL = {"HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1"}

router = Router("metrics")
router.add_url_rule("/users/<int:number>", "user", lambda number: "Hello")


def run(stack, **request):
    """Answer a request; return status, headers and body."""
    head = []
    environ = make_environ(**{**LOCAL, **request})
    body = stack(environ, lambda status, headers, exc_info=None: head.append((status, headers)))
    try:
        content = b"".join(body)
    finally:
        getattr(body, "close", bool)()
    return head[0][0], dict(head[0][1]), content


def samples(stack, parse=parse_text, **request):
    """Return the samples as Prometheus reads them: name and labels in order, with the value."""
    _, _, content = run(stack, path="/metrics", **request)
    found = {}
    for family in parse(content.decode()):
        for sample in family.samples:
            assert (key := (sample.name, *sorted(sample.labels.items()))) not in found
            found[key] = sample.value
    return found


def value(found, name, **labels):
    return found.get((name, *sorted(labels.items())))


def with_router(*layers):
    return build_stack(App(), use(MetricsMiddleware), *layers, use(RouterMiddleware, router=router))


def test_requests_are_counted_by_method_route_and_status():
    stack = with_router()
    for number in range(5):
        run(stack, path=f"/users/{number}")
    run(stack, path="/else", method="POST")
    found = samples(stack)
    user = {"method": "GET", "route": "/users/<int:number>", "status": "200"}
    rest = {"method": "POST", "route": "(unrouted)", "status": "200"}
    assert value(found, "http_requests_total", **user) == 5
    assert value(found, "http_requests_total", **rest) == 1
    assert value(found, "http_request_duration_seconds_count", **user) == 5
    assert 0 < value(found, "http_request_duration_seconds_sum", **user) < 5
    assert value(found, "http_request_duration_seconds_bucket", **user, le="+Inf") == 5
    assert value(found, "http_response_size_bytes_sum", **user) == 25
    assert value(found, "http_response_size_bytes_count", **user) == 5
    assert value(found, "http_requests_in_progress") == 0


def test_durations_fall_into_their_buckets(monkeypatch):
    from wsgikit.middleware.metrics import middleware

    clock = iter([0.0, 0.1, 0.0, 0.1001, 0.0, 99.0])
    monkeypatch.setattr(middleware, "_now", lambda: next(clock))
    stack = build_stack(App(), use(MetricsMiddleware, buckets=(0.1, 1)))
    for _ in range(3):
        run(stack)
    labels = {"method": "GET", "route": "(unrouted)", "status": "200"}
    found = samples(stack)
    limits = {
        limit: value(found, "http_request_duration_seconds_bucket", **labels, le=limit)
        for limit in ("0.1", "1.0", "+Inf")
    }
    assert limits == {"0.1": 1, "1.0": 2, "+Inf": 3}


def test_a_scan_of_random_paths_adds_no_series():
    stack = with_router(use(ErrorPagesMiddleware))
    pick = random.Random(7)
    run(stack, path="/users/1")
    run(stack, path="/nothing")
    run(stack, path="/", method="BREW")
    before = set(samples(stack))
    for _ in range(10_000):
        method = "GET" if pick.random() < 0.9 else "".join(pick.choices("ABCXYZ", k=4))
        path = f"/{pick.getrandbits(60):x}" if pick.random() < 0.9 else f"/users/{pick.getrandbits(20)}"
        if path.startswith("/users") and method != "GET":
            continue
        run(stack, path=path, method=method)
    after = samples(stack)
    assert set(after) == before
    assert value(after, "http_requests_total", method="(other)", route="(unrouted)", status="200") > 100


def test_a_request_in_progress_is_counted_until_its_body_ends():
    def stream(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"a", b"b"])

    stack = build_stack(stream, use(MetricsMiddleware))
    body = stack(make_environ(**LOCAL), lambda status, headers, exc_info=None: None)
    assert value(samples(stack), "http_requests_in_progress") == 1
    next(iter(body))
    body.close()
    found = samples(stack)
    assert value(found, "http_requests_in_progress") == 0
    assert value(found, "http_requests_broken_total", outcome="aborted") == 1
    assert value(found, "http_response_size_bytes_sum", method="GET", route="(unrouted)", status="200") == 1


def test_an_error_that_reaches_the_server_is_a_failed_500():
    def fail(environ, start_response):
        raise LookupError

    stack = build_stack(fail, use(MetricsMiddleware))
    with pytest.raises(LookupError):
        run(stack)
    found = samples(stack)
    assert value(found, "http_requests_total", method="GET", route="(unrouted)", status="500") == 1
    assert value(found, "http_requests_broken_total", outcome="failed") == 1


def test_answers_of_layers_are_counted_by_layer():
    stack = build_stack(App(), use(MetricsMiddleware), use(AccessListMiddleware, deny="10.0.0.1"))
    run(stack, REMOTE_ADDR="10.0.0.1")
    assert value(samples(stack), "http_layer_answers_total", layer="AccessListMiddleware", status="403") == 1


def test_sessions_statements_and_pools_are_counted():
    def app(environ, start_response):
        environ["wsgikit.session"]["a"] = 1
        environ["wsgikit.db"].execute(sa.text("SELECT 1"))
        environ["wsgikit.db"].execute(sa.text("SELECT 2"))
        return App()(environ, start_response)

    stack = build_stack(
        app,
        use(MetricsMiddleware),
        use(SessionMiddleware, secret_key=KEY),
        use(DatabaseMiddleware, url="sqlite://", name="default"),
    )
    run(stack)
    found = samples(stack)
    assert value(found, "wsgikit_sessions_total", use="changed") == 1
    assert value(found, "wsgikit_database_statements_total") == 2
    assert value(found, "wsgikit_database_seconds_total") > 0
    assert value(found, "wsgikit_database_retries_total") == 0


def test_the_pool_shows_its_connections(tmp_path):
    stack = build_stack(
        App(), use(MetricsMiddleware), use(DatabaseMiddleware, url=f"sqlite:///{tmp_path}/a.db", pool_size=3)
    )
    with stack:
        found = samples(stack)
        assert value(found, "wsgikit_pool_connections", pool="default", state="in use") == 0


@pytest.mark.parametrize(
    ("header", "result"),
    [
        # RFC 9211 §2: members and their parameters.
        ("wsgikit; hit", "hit"),
        ("wsgikit; fwd=miss; stored", "miss"),
        ("wsgikit; fwd=uri-miss", "uri-miss"),
        ("wsgikit; fwd=stale", "stale"),
        ("ExampleCache; hit, wsgikit; fwd=vary-miss", "vary-miss"),
        ("ExampleCache; hit", "other"),
        ("wsgikit; fwd=" + "a" * 30, "other"),
        ("wsgikit; fwd=4711", "other"),
        ("wsgikit", "other"),
        ("", "other"),
    ],
)
def test_the_result_of_the_cache_is_read_from_its_header(header, result):
    assert cache_result(header) == result


def test_results_of_the_cache_are_counted():
    stack = build_stack(App(headers=[("Cache-Status", "wsgikit; hit")]), use(MetricsMiddleware))
    run(stack)
    assert value(samples(stack), "http_cache_results_total", result="hit") == 1


# ---------------------------------------------------------------------------------- the page


def test_openmetrics_is_negotiated():
    stack = with_router()
    run(stack, path="/users/1")
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    status, headers, content = run(stack, path="/metrics", HTTP_ACCEPT=accept)
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert content.endswith(b"# EOF\n")
    found = samples(stack, parse_openmetrics, HTTP_ACCEPT=accept)
    assert value(found, "http_requests_total", method="GET", route="/users/<int:number>", status="200") == 1
    _, headers, _ = run(stack, path="/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert headers["Cache-Control"] == "no-store"


def test_requests_of_prometheus_are_not_counted():
    stack = with_router()
    samples(stack)
    assert value(samples(stack), "http_requests_total", method="GET", route="(unrouted)", status="200") is None


@pytest.mark.parametrize(
    ("allow", "environ", "status"),
    [
        ("local", LOCAL, "200"),
        ("local", {**LOCAL, "REMOTE_ADDR": "10.0.0.1"}, "404"),
        ("local", {**LOCAL, "HTTP_HOST": "evil.example"}, "404"),
        ("local", {**LOCAL, "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, "404"),
        ("10.0.0.0/8", {**LOCAL, "REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "prometheus.example"}, "200"),
        ("10.0.0.0/8", LOCAL, "404"),
        ((), LOCAL, "404"),
        ("local", {**LOCAL, "method": "POST"}, "405"),
        ("local", {**LOCAL, "method": "HEAD"}, "200"),
    ],
)
def test_only_allowed_peers_read_the_numbers(allow, environ, status):
    app = App()
    got, _, content = run(build_stack(app, use(MetricsMiddleware, allow=allow)), path="/metrics", **environ)
    assert got[:3] == status
    assert app.seen is None
    assert (b"http_requests" in content) is (status == "200" and environ.get("method") != "HEAD")


def test_without_a_path_the_application_answers_it():
    app = App()
    run(build_stack(app, use(MetricsMiddleware, path=None)), path="/metrics")
    assert app.seen is not None


def test_two_layers_on_one_registry_add_up():
    registry = CollectorRegistry()
    stacks = [build_stack(App(), use(MetricsMiddleware, registry=registry)) for _ in range(2)]
    for stack in stacks:
        run(stack)
    assert value(samples(stacks[0]), "http_requests_total", method="GET", route="(unrouted)", status="200") == 2


def test_each_stack_has_a_registry_unless_one_is_given():
    first, second = (build_stack(App(), use(MetricsMiddleware)) for _ in range(2))
    run(first)
    assert value(samples(second), "http_requests_total", method="GET", route="(unrouted)", status="200") is None


def test_threads_lose_no_request():
    stack = build_stack(App(), use(MetricsMiddleware))

    def work():
        for _ in range(500):
            run(stack)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(stack)
    assert value(found, "http_requests_total", method="GET", route="(unrouted)", status="200") == 4000
    assert value(found, "http_requests_in_progress") == 0


def taken():
    registry = CollectorRegistry()
    Counter("http_requests", "Somebody else's.", registry=registry)
    return registry


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"path": "metrics"}, "path: expected a path such as '/metrics', or None, got 'metrics'"),
        ({"path": "/"}, "path: expected a path such as '/metrics'"),
        ({"path": 3}, "path: expected"),
        ({"buckets": ()}, "buckets: expected ascending numbers of seconds above 0, got ()"),
        ({"buckets": (1, 0.5)}, "buckets: expected ascending numbers"),
        ({"buckets": (1, 1)}, "buckets: expected ascending numbers"),
        ({"buckets": (1, "2")}, "buckets: expected ascending numbers of seconds above 0, got '2'"),
        ({"buckets": (0, 1)}, "buckets: expected ascending numbers of seconds above 0, got 0"),
        ({"buckets": (float("inf"),)}, "buckets: expected ascending numbers"),
        ({"buckets": "1"}, "buckets: expected ascending numbers"),
        ({"buckets": 1}, "buckets: expected ascending numbers"),
        ({"registry": "default"}, "registry: expected a CollectorRegistry of prometheus-client, got 'default'"),
        ({"registry": taken()}, "registry: expected a registry without metrics of these names"),
        ({"allow": "everybody"}, "allow: expected addresses or networks"),
    ],
)
def test_options_that_can_not_work_are_refused(options, text):
    with pytest.raises(ConfigurationError) as caught:
        MetricsMiddleware(App(), **options)
    assert f"MetricsMiddleware: {text}" in str(caught.value)


def test_other_buckets_on_one_registry_are_refused():
    registry = CollectorRegistry()
    MetricsMiddleware(App(), registry=registry)
    with pytest.raises(ConfigurationError, match="buckets: expected those of the other layer on this registry"):
        MetricsMiddleware(App(), registry=registry, buckets=(1,))


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'wsgikit\[metrics\]'"):
        MetricsMiddleware(App())


def test_it_conforms():
    assert_conforms(MetricsMiddleware)


# ---------------------------------------------------------------------------------- several processes


SERVED = """
from wsgikit import MetricsMiddleware, Router, RouterMiddleware, build_stack, use

router = Router("served")

@router.get("/users/<int:number>")
def user(number):
    return "Hello"

stack = build_stack(router, use(MetricsMiddleware))
"""


@pytest.mark.server
@pytest.mark.skipif(os.name == "nt", reason="gunicorn isn't for Windows")
def test_the_numbers_of_four_gunicorn_workers_add_up(tmp_path):
    (tmp_path / "served.py").write_text(SERVED)
    (tmp_path / "numbers").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "served:stack",
        "-w",
        "4",
        "-b",
        f"127.0.0.1:{port}",
        "--chdir",
        str(tmp_path),
    ]
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "numbers")}
    with subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True) as server:
        try:
            for line in server.stderr:
                if "Booting worker" in line:
                    break

            def get(path):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
                    return response.read().decode()

            def work(number):
                for at in range(25):
                    get(f"/users/{number * 100 + at}")

            threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            found = {}
            for family in parse_text(get("/metrics")):
                for sample in family.samples:
                    found[(sample.name, *sorted(sample.labels.items()))] = sample.value
        finally:
            server.send_signal(signal.SIGTERM)
            server.stderr.read()
    labels = {"method": "GET", "route": "/users/<int:number>", "status": "200"}
    assert value(found, "http_requests_total", **labels) == 200
    assert value(found, "http_request_duration_seconds_count", **labels) == 200
    assert value(found, "http_response_size_bytes_sum", **labels) == 1000
    assert value(found, "http_requests_in_progress") == 0
    files = [path.name for path in (tmp_path / "numbers").iterdir()]
    assert len({name.rpartition("_")[2] for name in files}) > 1, files
