"""Strangler: new pages in front of bepasty, one login for both, moved one at a time, through a server."""

from __future__ import annotations

import secrets
from pathlib import Path

import httpx
import pytest

pytest.importorskip("bepasty", reason="bepasty is not installed")
FOLDER = Path(__file__).parents[2] / "recipes" / "strangler"
pytestmark = pytest.mark.server


@pytest.fixture
def serve(start_server, tmp_path):
    """A function that serves the recipe with some pages moved, and returns a client of it."""
    storage = tmp_path / "pastes"
    storage.mkdir()
    config = tmp_path / "bepasty.conf"
    config.write_text(
        f"SECRET_KEY = {secrets.token_hex(32)!r}\n"
        f"STORAGE_FILESYSTEM_DIRECTORY = {str(storage)!r}\n"
        "SESSION_COOKIE_SECURE = False\n"
        "DEFAULT_PERMISSIONS = 'read'\n"
        "PERMISSIONS = {'secret': 'create,read,list'}\n"
    )
    clients = []

    def start(moved):
        command = ["gunicorn", "--threads=2", "--bind=127.0.0.1:{port}", "app:app"]
        url = start_server(command, FOLDER, tmp_path / "server.log", BEPASTY_CONFIG=str(config), MOVED=moved)
        clients.append(httpx.Client(base_url=url, follow_redirects=True, timeout=30))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


STEPS = {
    "nothing is moved": ("", False, False),
    "the front page is moved": ("home", True, False),
    "two pages are moved": ("home,pastes", True, True),
}


@pytest.mark.parametrize(("moved", "new_home", "new_list"), STEPS.values(), ids=STEPS.keys())
def test_a_page_is_moved_by_its_line_and_the_rest_stays(serve, moved, new_home, new_list):
    client = serve(moved)
    assert ("the new front page" in client.get("/").text) is new_home
    assert client.get("/+list").status_code == 403, "nobody may list before logging in, on either side"
    assert client.post("/+login", data={"token": "secret"}).status_code == 200, "bepasty reads the form itself"
    page = client.post("/+upload", data={"text": "a paste", "filename": "n.txt", "contenttype": "text/plain"})
    assert page.status_code == 200, "bepasty knows the login"
    listing = client.get("/+list")
    assert listing.status_code == 200, "and so does the new code"
    assert ("the new list" in listing.text) is new_list
    assert client.get("/nowhere").status_code == 404
    assert "bepasty" in client.get("/nowhere").text, "the application's own error page"


def test_a_login_on_one_side_is_a_login_on_the_other_and_so_is_logging_out(serve):
    client = serve("home,pastes,logout")
    assert "Log in" in client.get("/").text
    client.post("/+login", data={"token": "secret"})
    home = client.get("/").text
    assert "You are logged in and may: create, list, read." in home
    client.post("/+logout")
    assert "Log in" in client.get("/").text
    upload = client.post("/+upload", data={"text": "x", "filename": "n.txt", "contenttype": "text/plain"})
    assert upload.status_code == 403, "bepasty sees that the login is gone"


def test_the_configuration_of_the_readme_serves(start_server, tmp_path):
    config = tmp_path / "bepasty.conf"
    config.write_text((FOLDER / "bepasty.conf").read_text())
    command = ["wsgikit", "serve", "app:app", "--port", "{port}", "--no-reload"]
    url = start_server(command, FOLDER, tmp_path / "server.log", BEPASTY_CONFIG=str(config))
    with httpx.Client(base_url=url, follow_redirects=True, timeout=30) as client:
        assert client.get("/+list").status_code == 403
        assert client.post("/+login", data={"token": "open sesame"}).status_code == 200
        assert "the new list" in client.get("/+list").text
