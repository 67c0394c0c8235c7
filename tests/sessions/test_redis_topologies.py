"""What Redis's Sentinel and Cluster clients offer, by passing one. Both run for real, on ports of the test's own."""

import os
import shutil
import socket
import subprocess
import time

import pytest

from wsgikit.sessions.stores.redis import RedisStore
from wsgikit.testing.stores import STORE_SCENARIOS

redis = pytest.importorskip("redis")


def free_port():
    """A port whose neighbour 10,000 further on, the cluster's bus, can be had too."""
    for _ in range(100):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        if port < 55_000:
            return port
        port -= 20_000
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    pytest.fail("no free port")


@pytest.fixture
def start(tmp_path):
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed")
        pytest.skip("redis-server is not installed")
    running = []

    def start(*arguments, port):
        command = [program, *arguments, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for(lambda: redis.Redis(host="127.0.0.1", port=port).ping())

    yield start
    for server in running:
        server.terminate()
    for server in running:
        server.wait(20)


def wait_for(answers):
    until = time.monotonic() + 20
    while True:
        try:
            if answers():
                return
        except redis.RedisError:
            pass
        if time.monotonic() > until:
            pytest.fail("redis-server did not get ready")
        time.sleep(0.05)


def keep_contract(store):
    """Try all rules but the one for stores that connect by themselves; return their names."""
    tried = [scenario for scenario in STORE_SCENARIOS if scenario.name != "after_close"]
    for scenario in tried:
        scenario.run(store)
    store.close()
    return [scenario.name for scenario in tried]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_of_a_cluster_keeps_the_contract(start, claims):
    port = free_port()
    start("--cluster-enabled", "yes", "--save", "", port=port)
    plain = redis.Redis(host="127.0.0.1", port=port)
    plain.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_for(lambda: plain.set("ready", 1))
    client = redis.RedisCluster(host="127.0.0.1", port=port)
    assert len(keep_contract(RedisStore(client))) == len(STORE_SCENARIOS) - 1
    assert all(claims)
    assert any(key.startswith(b"wsgikit:session:") for key in plain.keys()), "it was this cluster"
    plain.close()
    client.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_client_of_sentinel_keeps_the_contract(start, tmp_path, claims):
    port, watcher = free_port(), free_port()
    start("--save", "", port=port)
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"sentinel monitor sessions 127.0.0.1 {port} 1\n")
    start(str(configuration), "--sentinel", port=watcher)
    sentinel = redis.Sentinel([("127.0.0.1", watcher)])
    wait_for(lambda: sentinel.discover_master("sessions"))
    client = sentinel.master_for("sessions")
    assert len(keep_contract(RedisStore(client))) == len(STORE_SCENARIOS) - 1
    assert all(claims)
    with redis.Redis(host="127.0.0.1", port=port) as master:
        assert any(key.startswith(b"wsgikit:session:") for key in master.keys()), "it was the master it told of"
    client.close()
    for each in sentinel.sentinels:
        each.close()
