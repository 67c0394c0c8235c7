"""``wsgikit sessions sweep|count|show|destroy|create``."""

import time

import pytest
from click.testing import CliRunner

from wsgikit.cli import main
from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores import open_store, store_key
from wsgikit.sessions.stores.base import Record

SECRET = "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a"


@pytest.fixture
def run():
    from wsgikit import cli

    command = (
        cli.CommandTable(name="wsgikit") if not hasattr(main, "commands") and not hasattr(main, "invoke") else main
    )

    def run(*arguments):
        return CliRunner().invoke(command, ["sessions", *arguments])

    return run


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/s.db"


@pytest.fixture
def layer(url):
    layer = SessionMiddleware(lambda e, s: [], secret_key=SECRET, store=url)
    yield layer
    layer.close()


@pytest.fixture
def started(layer):
    session = layer.open_session(None)
    session.update(user="ada", cart=[1, 2])
    cookie = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    return session.id, cookie


def test_count_prints_the_living_sessions(run, url, started):
    assert run("count", url).output == "1\n"


def test_sweep_removes_the_expired_ones_in_batches(run, url, layer, started):
    now = time.time()
    for number in range(7):
        layer.manager.store.save(f"{number:064d}", Record(b"[]", now - 100, now + 0.01))
    while layer.manager.store.count() > 1:
        pass
    assert run("sweep", url, "--batch", "2", "--limit", "3").output.endswith(": 3 removed.\n")
    assert run("sweep", url, "--batch", "2").output.endswith(": 4 removed.\n")
    assert run("count", url).output == "1\n"


@pytest.mark.parametrize("form", ["id", "cookie", "key"])
def test_show_and_destroy_take_an_id_a_cookie_or_a_key(run, url, started, form):
    name = {"id": started[0], "cookie": started[1], "key": store_key(started[0])}[form]
    result = run("show", url, name)
    assert "{'user': 'ada', 'cart': [1, 2]}" in result.output
    assert "created:" in result.output
    assert "expires:" in result.output
    assert started[0] not in result.output
    assert run("destroy", url, name).output == "Destroyed.\n"
    result = run("destroy", url, name)
    assert result.exit_code == 1
    assert "There is no such session" in result.output
    assert run("show", url, name).exit_code == 1


def test_no_id_can_pass_for_an_option():
    from wsgikit.sessions.session import new_id

    assert not any(new_id().startswith("-") for _ in range(1000))


def test_create_makes_the_table(run, url, tmp_path):
    import sqlite3

    assert run("create", url).output.endswith(": ready.\n")
    connection = sqlite3.connect(tmp_path / "s.db")
    assert connection.execute("SELECT count(*) FROM wsgikit_sessions").fetchone() == (0,)
    connection.close()


@pytest.fixture
def module(tmp_path, monkeypatch):
    def write(options):
        (tmp_path / "sessionsapp.py").write_text(
            "from wsgikit.sessions.middleware import SessionMiddleware\n"
            f"app = SessionMiddleware(lambda e, s: [], secret_key={SECRET!r}, {options})\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(__import__("sys").modules, "sessionsapp", raising=False)
        return "sessionsapp:app"

    return write


def test_the_target_can_be_an_application(run, url, started, module):
    assert run("count", module(f"store={url!r}")).output == "1\n"


def test_sessions_in_cookies_can_be_shown_and_need_no_sweeping(run, module):
    target = module("")
    layer = SessionMiddleware(lambda e, s: [], secret_key=SECRET)
    session = layer.open_session(None)
    session["user"] = "ada"
    cookie = layer.save_session(session)[0].partition(";")[0].partition("=")[2]
    assert "{'user': 'ada'}" in run("show", target, cookie).output
    assert run("show", target, "forged").exit_code == 1
    assert run("sweep", target).output == "Sessions are in cookies: there is nothing to sweep.\n"
    result = run("count", target)
    assert result.exit_code == 1
    assert "expected a server-side store, got sessions in cookies" in result.output


def test_a_store_that_is_down_is_one_line(run):
    result = run("count", "redis://127.0.0.1:1/0")
    assert result.exit_code == 1
    assert "expected an answer from Redis" in result.output
    assert "Traceback" not in result.output


def test_a_url_of_an_unknown_kind_is_one_line_with_a_suggestion(run):
    result = run("count", "redsi://x")
    assert result.exit_code == 1
    assert "Did you mean 'redis'" in result.output


def test_a_store_is_opened_by_the_same_words_everywhere(url):
    assert repr(open_store("x", url)).startswith("<SqlStore sqlite:///")
