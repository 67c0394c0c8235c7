"""Sessions under a gunicorn of three workers: requests that overlap in several processes. S4, S5, S12, S19, S21."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

pytestmark = pytest.mark.server

WORKERS = 3

ROOT = pathlib.Path(__file__).parents[2]
APP = """
import json, logging, os, pathlib, sys, time
from urllib.parse import parse_qsl

from wsgikit import SessionMiddleware, build_stack, use

logging.basicConfig(stream=sys.stderr)
WAVES = pathlib.Path(__file__).parent


def meet(wave, size):
    "Go on when so many requests of this wave are under way at once, in whichever processes."
    place = WAVES / wave
    place.mkdir(exist_ok=True)
    (place / os.urandom(8).hex()).touch()
    until = time.monotonic() + 20
    while len(os.listdir(place)) < size and time.monotonic() < until:
        time.sleep(0.002)


def app(environ, start_response):
    session = environ["wsgikit.session"]
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    path = environ["PATH_INFO"]
    if path != "/up":
        before = session.get("n", 0)
    if "wave" in query:
        meet(query["wave"], int(query["size"]))
    if path == "/set":
        session[query["key"]] = 1
    elif path == "/add":
        session["n"] = before + 1
    elif path == "/ticket":
        with session.lock():
            session["n"] = session.get("n", 0) + 1
    elif path == "/out":
        session.destroy()
    body = json.dumps({"pid": os.getpid(), "session": {} if path == "/up" else session.copy()})
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body.encode()]


application = build_stack(app, use(SessionMiddleware, secret_key="9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a", store=STORE))
if STORE not in ("cookie", "memory://"):
    # The parent has a connection before it forks: no worker may talk on that.
    application.find(SessionMiddleware).manager.store.load("0" * 64)
"""


class Visitor:
    """Sends requests, several at once if a test wants it, and keeps the cookie that came last."""

    def __init__(self, port):
        self.port = port
        self.cookie = None
        self.pids = Counter()

    def send(self, path):
        """Return the status, the session as the application saw it, and the cookies that were set."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Cookie": self.cookie} if self.cookie else {})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        lines = response.headers.get_all("Set-Cookie") or []
        for line in lines:
            pair = line.partition(";")[0]
            self.cookie = None if pair.endswith("=") else pair
        if response.status != 200:
            return response.status, None, lines
        seen = json.loads(body)
        self.pids[seen["pid"]] += 1
        return 200, seen["session"], lines

    def send_at_once(self, *paths):
        """Send as many requests as there are workers: each has read the session before any goes on."""
        assert len(paths) == WORKERS
        self.pids.clear()
        wave = f"wave={os.urandom(4).hex()}&size={len(paths)}"
        answers = [None] * len(paths)

        def send(number, path):
            answers[number] = self.send(f"{path}{'&' if '?' in path else '?'}{wave}")

        run_all([lambda number=number, path=path: send(number, path) for number, path in enumerate(paths)])
        assert set(self.pids.values()) == {1}, "each was in a process of its own"
        return answers


def run_all(functions):
    errors = []

    def run(function):
        try:
            function()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


@contextlib.contextmanager
def gunicorn(folder, store):
    """Three workers, each with one request at a time.

    With a store they are forked from a parent that has used it; otherwise each imports the application by itself.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "served.py").write_text(APP.replace("STORE", repr(store)))
    log = folder / "server.log"
    command = [sys.executable, "-m", "gunicorn", f"--workers={WORKERS}", "--worker-class=sync"]
    if store.startswith("redis"):
        command.append("--preload")
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--bind=127.0.0.1:{port}", "served:application"],
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                assert Visitor(port).send("/up")[0] == 200
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)  # another process opens the port
        yield port, log
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.fixture(scope="module")
def in_redis(redis_server, tmp_path_factory):
    with gunicorn(tmp_path_factory.mktemp("redis_workers"), redis_server.url) as (port, _):
        yield port


@pytest.fixture(scope="module")
def in_cookies(tmp_path_factory):
    with gunicorn(tmp_path_factory.mktemp("cookie_workers"), "cookie") as (port, _):
        yield port


@pytest.fixture(params=["in_redis", "in_cookies"])
def port(request):
    return request.getfixturevalue(request.param)


def test_s4_requests_that_overlap_in_several_workers_and_set_different_keys_all_survive(in_redis):
    visitor = Visitor(in_redis)
    visitor.send("/set?key=start")
    for wave in range(5):
        answers = visitor.send_at_once(*(f"/set?key={wave}.{number}" for number in range(3)))
        assert [status for status, _, _ in answers] == [200] * 3
    _, session, _ = visitor.send("/")
    assert session == {"start": 1} | {f"{wave}.{number}": 1 for wave in range(5) for number in range(3)}


def test_s4_with_cookies_the_response_that_comes_last_wins(in_cookies):
    visitor = Visitor(in_cookies)
    visitor.send("/set?key=start")
    answers = visitor.send_at_once(*(f"/set?key={number}" for number in range(3)))
    assert [set(session) for _, session, _ in answers] == [{"start", "0"}, {"start", "1"}, {"start", "2"}]
    assert visitor.send("/")[1] in [session for _, session, _ in answers]


def test_s4_under_a_lock_no_worker_loses_an_increment(in_redis):
    visitor = Visitor(in_redis)
    visitor.send("/set?key=start")
    for _ in range(10):
        answers = visitor.send_at_once(*["/ticket"] * 3)
        assert [status for status, _, _ in answers] == [200] * 3
    assert visitor.send("/")[1] == {"start": 1, "n": 30}


def test_s5_what_one_worker_destroys_no_request_in_flight_on_another_brings_back(in_redis):
    for _ in range(5):
        visitor = Visitor(in_redis)
        visitor.send("/add")
        cookie = visitor.cookie
        _, *others = visitor.send_at_once("/out", "/set?key=1", "/set?key=2")
        for status, session, lines in others:
            assert (status, len(session), lines) == (200, 2, []), "their responses are intact"
        visitor.cookie = cookie
        assert visitor.send("/")[1] == {}


def test_s12_visitors_who_come_to_all_workers_at_once_keep_their_own_session_and_lose_nothing(port):
    visitors = [Visitor(port) for _ in range(8)]

    def visit(visitor, number):
        visitor.send(f"/set?key=visitor{number}")
        for count in range(1, 21):
            assert visitor.send("/add")[1] == {f"visitor{number}": 1, "n": count}

    run_all([lambda v=visitor, n=number: visit(v, n) for number, visitor in enumerate(visitors)])
    assert all(visitor.send("/")[1] == {f"visitor{number}": 1, "n": 20} for number, visitor in enumerate(visitors))
    assert len(sum((visitor.pids for visitor in visitors), Counter())) > 1


def test_s19_q7_a_redis_that_stops_in_the_middle_of_traffic_loses_no_session(in_redis, redis_server):
    visitors = [Visitor(in_redis) for _ in range(6)]
    for number, visitor in enumerate(visitors):
        visitor.send(f"/set?key=visitor{number}")
    cookies = [visitor.cookie for visitor in visitors]
    reader = Visitor(in_redis)
    reader.cookie = cookies[0]
    answers = [[] for _ in visitors]
    is_over = threading.Event()

    def visit(number):
        while not is_over.is_set():
            answers[number].append(visitors[number].send("/add"))

    def disturb():
        try:
            wait_for(lambda: all(len(each) >= 5 for each in answers))
            redis_server.stop()
            try:
                wait_for(lambda: all(each[-1][0] == 503 for each in answers))
                assert Visitor(in_redis).send("/up")[0] == 200, "who needs no session goes on"
                assert reader.send("/") == (503, None, []), "who reads one doesn't find it empty"
            finally:
                redis_server.start()
            wait_for(lambda: all(each[-1][0] == 200 for each in answers))
        finally:
            is_over.set()

    run_all([disturb, *(lambda number=number: visit(number) for number in range(len(visitors)))])
    for number, visitor in enumerate(visitors):
        counts = Counter(status for status, _, _ in answers[number])
        assert set(counts) == {200, 503}
        assert all(lines == [] for _, _, lines in answers[number]), "never a new, empty session"
        assert visitor.cookie == cookies[number]
        # What was answered is kept. One that got a 503 may have been written before its answer was cut off.
        assert counts[200] <= visitor.send("/")[1]["n"] <= counts[200] + counts[503]


LOSES = "Visitors will lose their session from request to request"


def wait_for(condition):
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)  # other threads and processes get there


def test_s21_sessions_in_the_memory_of_several_workers_are_warned_of_once_in_each(tmp_path):
    with gunicorn(tmp_path, "memory://") as (port, log):
        visitor = Visitor(port)
        for _ in range(3):
            visitor.send_at_once(*["/add"] * 3)
        wait_for(lambda: log.read_text().count(LOSES) == 3)
        for _ in range(3):
            visitor.send_at_once(*["/add"] * 3)
        assert log.read_text().count(LOSES) == 3
