"""``wsgikit db ping`` and ``pool``."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

INI = """[pipeline:main]
pipeline = db app
[filter:db]
use = egg:wsgikit#database
url = {url}
pool_size = 3
[app:app]
use = egg:wsgikit#app
app = cli_app:app
"""


@pytest.fixture
def ini(folder):
    def make(url):
        (folder / "db.ini").write_text(INI.format(url=url))
        return "db.ini"

    return make


def test_ping_says_how_long_the_answer_took(run, ini, tmp_path):
    status, output, _ = run("db", "ping", ini(f"sqlite:///{tmp_path}/x.db"))
    assert status == 0
    assert output.startswith(f"default: sqlite:///{tmp_path}/x.db: answered in ")


def test_ping_takes_a_url_and_hides_its_password(run):
    status, output, errors = run("db", "ping", "postgresql+psycopg://me:hunter2@127.0.0.1:1/nowhere")
    assert status == 1
    assert output.startswith("default: postgresql+psycopg://me:***@127.0.0.1:1/nowhere: no answer: ")
    assert "hunter2" not in output + errors


def test_pool_shows_the_pool(run, ini, tmp_path):
    status, output, _ = run("db", "pool", ini(f"sqlite:///{tmp_path}/x.db"))
    assert status == 0
    assert output.splitlines()[1:] == [
        "  driver       sqlite+pysqlite",
        "  pool         QueuePool, 3 connections per process",
    ]


def test_pool_says_which_database_does_not_answer_and_goes_on(run, folder, tmp_path):
    (folder / "two.ini").write_text(
        INI.format(url="postgresql+psycopg://me:hunter2@127.0.0.1:1/nowhere").replace("db app", "db other app")
        + f"[filter:other]\nuse = egg:wsgikit#database\nname = other\nurl = sqlite:///{tmp_path}/x.db\n"
    )
    status, output, errors = run("db", "pool", "two.ini")
    assert status == 1
    assert "  connections  no answer: (psycopg.OperationalError) connection failed" in output
    assert f"other: sqlite:///{tmp_path}/x.db" in output
    assert "hunter2" not in output + errors
    assert "Traceback" not in errors


@pytest.mark.database
@pytest.mark.parametrize(
    ("service", "url", "idle"),
    [
        ("postgresql", "postgresql+psycopg://postgres@127.0.0.1:5432/test", "idle"),
        ("mariadb", "mysql+pymysql://root@127.0.0.1:3306/test", "sleep"),
    ],
)
def test_pool_shows_who_is_connected(run, require_service, service, url, idle):
    require_service(service)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        connection.rollback()
        status, output, _ = run("db", "pool", url)
    engine.dispose()
    assert status == 0
    assert any(line.startswith("  connections  ") and f" {idle}" in line for line in output.splitlines())


def test_a_target_without_a_database_is_said(run, folder):
    (folder / "none.ini").write_text("[app:main]\nuse = egg:wsgikit#app\napp = cli_app:app\n")
    status, _, errors = run("db", "ping", "none.ini")
    assert status == 1
    assert "expected a DatabaseMiddleware among them, got none" in errors
