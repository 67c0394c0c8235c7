"""A PostgreSQL of the tests' own: one that is restarted, and one with a replica that lags behind."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
import sqlalchemy as sa

# Debian has it in /sbin, which isn't on the PATH of every user or container.
RUNUSER = shutil.which("runuser") or shutil.which("runuser", path="/usr/sbin:/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find_postgres_programs():
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    on_path = shutil.which("pg_ctl")
    return Path(on_path).parent if on_path else None


class Cluster:
    """A server with its data in a folder.

    Attributes:
        url: of its first database.
    """

    def __init__(self, programs, folder):
        self.port = free_port()
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        self._programs = programs
        self.folder = folder

    def run(self, program, *arguments):
        """Run a program of PostgreSQL's, which refuses to be root."""
        as_user = [RUNUSER, "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(self._programs / program), *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=60)

    def control(self, action):
        """Start, restart or stop it."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        more = ["-D", self.folder / "data", "-w", "-m", "fast", "-l", self.folder / "log", "-o", options]
        self.run("pg_ctl", *more, action)


@pytest.fixture(scope="module")
def programs():
    found = find_postgres_programs()
    missing = "pg_ctl" if found is None else None
    if os.geteuid() == 0 and RUNUSER is None:
        missing = "runuser, which PostgreSQL needs if the tests are root's"
    if missing is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no {missing} found")
        pytest.skip(f"no {missing} found to start a PostgreSQL with")
    return found


@pytest.fixture(scope="module")
def make_cluster(programs):
    """A function that gives a cluster without data; it is stopped and removed at the end."""
    made = []

    def make():
        folder = Path(tempfile.mkdtemp(prefix="wsgikit-cluster-"))  # pytest's own folders are closed to other users
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        made.append(Cluster(programs, folder))
        return made[-1]

    yield make
    for one in reversed(made):  # a replica first
        one.control("stop")
        shutil.rmtree(one.folder)


@pytest.fixture(scope="module")
def cluster(make_cluster):
    one = make_cluster()
    one.run("initdb", "-D", one.folder / "data", "-A", "trust", "-U", "postgres", "--no-sync")
    one.control("start")
    return one


@pytest.fixture(scope="module")
def standby(make_cluster, cluster):
    """A replica that streams from the cluster."""
    one = make_cluster()
    one.run(
        "pg_basebackup",
        "-h",
        "127.0.0.1",
        "-p",
        cluster.port,
        "-U",
        "postgres",
        "-D",
        one.folder / "data",
        "-R",
        "-c",
        "fast",
    )
    one.control("start")
    return one


def count_runs(layer):
    """Note each statement that is sent to the server."""
    statements = []
    sa.event.listen(layer.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    return statements


@pytest.mark.server
@pytest.mark.parametrize("kind", ["session", "connection", "driver"])
def test_the_request_after_a_restart_of_the_server_works(cluster, wrap, call, kind):
    """D9: the stale connection is found out by the ping, before a statement is run on it."""
    import psycopg

    url, control = cluster.url, cluster.control
    runs = []

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        runs.append(1)
        if kind == "driver":
            answer = db.execute("SELECT 42").fetchone()[0]
        else:
            answer = db.execute(sa.text("SELECT 42")).scalar()
        start_response("200 OK", [])
        return [str(answer).encode()]

    if kind == "driver":
        parts = sa.make_url(url)
        connect = lambda: psycopg.connect(host=parts.host, port=parts.port, user="postgres", dbname="postgres")  # noqa: E731
        layer = wrap(app, connect=connect, pool_size=2)
    else:
        layer = wrap(app, url=url, kind=kind)
    statements = [] if kind == "driver" else count_runs(layer)
    assert call(layer).body == b"42"
    control("restart")
    assert call(layer).body == b"42"
    assert len(runs) == 2
    assert statements in ([], ["SELECT 42"] * 2)
    layer.close()


@pytest.mark.server
def test_a_statement_is_never_run_twice(cluster, wrap, call):
    """D9: a connection that is lost in the middle of a request is an error of that request, and the next one works."""
    url, control = cluster.url, cluster.control
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("CREATE TABLE IF NOT EXISTS log (x int)"))

    def app(environ, start_response):
        db = environ["wsgikit.db"]
        db.execute(sa.text("INSERT INTO log VALUES (1)"))
        if environ["PATH_INFO"] == "/lost":
            control("restart")
        db.execute(sa.text("INSERT INTO log VALUES (2)"))
        start_response("200 OK", [])
        return [b"done"]

    layer = wrap(app, url=url, kind="connection", retries=3)
    statements = count_runs(layer)
    with pytest.raises(sa.exc.OperationalError):
        call(layer, "/lost")
    assert statements == ["INSERT INTO log VALUES (1)", "INSERT INTO log VALUES (2)"]
    assert call(layer, "/fine").code == 200
    with layer.engine.connect() as connection:
        assert connection.scalars(sa.text("SELECT x FROM log ORDER BY x")).all() == [1, 2]
    layer.close()


@pytest.fixture
def lag(standby):
    """Let the replica stop following for a while."""
    engine = sa.create_engine(standby.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_wal_replay_pause()")
        yield
        connection.exec_driver_sql("SELECT pg_wal_replay_resume()")


@pytest.fixture
def follow(cluster, standby):
    """A function that waits until the replica has what the primary has."""

    def wait():
        with sa.create_engine(cluster.url, poolclass=sa.NullPool).connect() as connection:
            position = connection.scalar(sa.text("SELECT pg_current_wal_lsn()"))
        with sa.create_engine(standby.url, poolclass=sa.NullPool).connect() as connection:
            behind = sa.text("SELECT pg_wal_lsn_diff(:position, pg_last_wal_replay_lsn()) > 0")
            for _ in range(400):
                if not connection.scalar(behind, {"position": position}):
                    return
                connection.rollback()
                connection.execute(sa.text("SELECT pg_sleep(0.05)"))
        pytest.fail("the replica didn't catch up")

    return wait


@pytest.fixture
def guests(cluster):
    with sa.create_engine(cluster.url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS guests"))
        connection.execute(sa.text("CREATE TABLE guests (name text)"))


@pytest.mark.server
def test_who_wrote_reads_it_at_once_and_others_when_the_replica_has_it(
    cluster, guests, follow, standby, wrap, call, request
):
    """A replica that lags behind for real: its replay is paused."""

    def app(environ, start_response):
        handle = environ["wsgikit.db"]
        if environ["REQUEST_METHOD"] == "POST":
            handle.execute(sa.text("INSERT INTO guests VALUES ('ann')"))
        names = handle.execute(sa.text("SELECT name FROM guests")).scalars().all()
        is_replica = handle.execute(sa.text("SELECT pg_is_in_recovery()")).scalar()
        start_response("200 OK", [])
        return [f"{is_replica} {names}".encode()]

    follow()
    layer = wrap(app, url=cluster.url, replica_url=standby.url, secret_key="k0123456789abcde", sticky_seconds=60)
    assert call(layer).body == b"True []"
    request.getfixturevalue("lag")
    written = call(layer, method="POST")
    assert written.body == b"False ['ann']"
    cookie = dict(written.headers)["Set-Cookie"].partition(";")[0]
    assert call(layer, HTTP_COOKIE=cookie).body == b"False ['ann']"
    assert call(layer).body == b"True []"
    assert layer.source.describe()["checkedout"] == layer.replica.describe()["checkedout"] == 0


@pytest.mark.server
def test_what_a_replica_refuses_to_write_leaves_no_trace(cluster, guests, follow, standby, wrap, call):
    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO guests VALUES ('ann')"))
        start_response("200 OK", [])
        return [b"x"]

    follow()
    layer = wrap(app, url=cluster.url, replica_url=standby.url, secret_key="k0123456789abcde")
    with pytest.raises(sa.exc.InternalError, match="read-only transaction"):
        call(layer)
    assert call(layer, method="POST").code == 200
