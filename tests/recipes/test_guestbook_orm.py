"""The guestbook with models: on SQLite and on PostgreSQL, from its migration to its pages."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import sqlalchemy as sa
import webtest

RECIPE = Path(__file__).parents[2] / "recipes" / "guestbook_orm"
SERVER = "postgresql+psycopg://postgres@127.0.0.1:5432/"
MODULES = ("app", "views", "models")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, require_service, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/guestbook.db"
        return
    require_service("postgresql")
    name = f"wsgikit_guestbook_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    admin = sa.create_engine(SERVER + "test", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield SERVER + name
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def folder(tmp_path):
    copy = tmp_path / "guestbook_orm"
    shutil.copytree(RECIPE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.db"))
    return copy


@pytest.fixture
def app(url, folder, monkeypatch):
    """The application as it is served, on a database that `alembic upgrade head` has made."""
    monkeypatch.setenv("DATABASE_URL", url)
    alembic = [sys.executable, "-m", "alembic", "upgrade", "head"]
    done = subprocess.run(alembic, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    monkeypatch.syspath_prepend(str(folder))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with importlib.import_module("app").app as stack:
        yield stack
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def client(app):
    return webtest.TestApp(app)


def last_form(page):
    return page.forms[max(key for key in page.forms if isinstance(key, int))]


def register(client, name="ann", email="ann@example.org", **expected):
    form = last_form(client.get("/register"))
    form["username"], form["email"], form["password"] = name, email, "a password"
    return form.submit(**expected)


def sql(url, statement):
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        result = connection.exec_driver_sql(statement)
        return result.scalars().all() if result.returns_rows else None


def test_a_user_registers_and_writes(client, url):
    assert register(client).follow().html.find("button").text == "Log out ann"
    form = client.get("/").forms[1]
    form["text"] = "Grüße <b>"
    page = form.submit().follow()
    assert "<b>ann</b>: Grüße &lt;b&gt;" in page.text
    assert sql(url, "SELECT text FROM posts") == ["Grüße <b>"]


def test_a_name_that_is_taken_is_said_and_nothing_is_left(client, url):
    register(client)
    page = register(client, email="other@example.org", status=409)
    assert "That name or that e-mail address is taken." in page.text
    assert sql(url, "SELECT email FROM users") == ["ann@example.org"]


@pytest.mark.parametrize("field", ["username", "email"])
def test_what_is_longer_than_its_column_is_said_on_each_database(client, url, field):
    """PostgreSQL refuses it with its own error, SQLite takes it."""
    page = register(client, **{field if field == "email" else "name": "x" * 300 + "@example.org"}, status=400)
    assert "no more than 80 and 120 characters" in page.text
    assert sql(url, "SELECT count(*) FROM users") == [0]


def test_text_with_a_nul_is_no_error(client, url):
    register(client, name="a\0nn")
    form = client.get("/").forms[1]
    form["text"] = "a\0b"
    form.submit(status=302)
    assert sql(url, "SELECT text FROM posts") == ["ab"]
    assert sql(url, "SELECT username FROM users") == ["ann"]


def test_only_administrators_see_the_users(client, url):
    assert client.get("/admin").location == "/"
    register(client)
    assert client.get("/admin").location == "/"
    sql(url, "UPDATE users SET is_admin = true")
    assert "ann (ann@example.org, administrator)" in client.get("/admin").text


def test_a_user_logs_out_and_in_again(client):
    register(client)
    client.get("/").forms[0].submit()
    assert "Log in" in client.get("/").text
    form = client.get("/login").form
    form["username"], form["password"] = "ann", "wrong"
    assert form.submit(status=403).status_int == 403
    form["password"] = "a password"
    assert "Log out ann" in form.submit().follow().text


def test_a_form_without_a_token_and_a_stranger_are_refused(client, url):
    client.post("/", {"text": "spam"}, status=400)
    token = client.get("/login").form["csrf_token"].value
    client.post("/", {"text": "spam", "csrf_token": token}, status=403)
    assert sql(url, "SELECT count(*) FROM posts") == [0]


def test_the_migration_makes_what_the_models_say(app, url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    models = importlib.import_module("models")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), models.Base.metadata) == []
