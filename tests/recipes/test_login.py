"""The recipe `login`, in a browser's place: forms, cookies, and what a stolen cookie is worth."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

FOLDER = Path(__file__).parents[2] / "recipes" / "login"
pytestmark = pytest.mark.server
HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
RIGHT, NEW = "correct horse battery", "staple of the horse"


@pytest.fixture
def url(start_server, tmp_path):
    command = ["gunicorn", "--threads=4", "--bind=127.0.0.1:{port}", "app:stack"]
    environment = {"WSGIKIT_SECRET": "9f2c1c5e3a8d4b7f9e6a0d1c2b3e4f5a", "DATABASE_URL": f"sqlite:///{tmp_path}/a.db"}
    return start_server(command, FOLDER, tmp_path / "log", **environment)


@pytest.fixture
def browser(url):
    browsers = []

    def make(**options):
        browsers.append(httpx.Client(base_url=url, headers=HTML, **options))
        return browsers[-1]

    yield make
    for each in browsers:
        each.close()


def test_a_user_signs_up_logs_in_and_ends_all_other_logins(browser):
    ann = browser()
    assert ann.post("/signup", data={"name": "ann", "password": "short"}).status_code == 422
    assert ann.post("/signup", data={"name": "ann", "password": RIGHT}).status_code == 303
    assert "Hello ann" in ann.get("/").text
    assert browser().post("/signup", data={"name": "ann", "password": RIGHT}).status_code == 409

    phone = browser()
    form = phone.get("/password")
    assert (form.status_code, form.headers["location"]) == (303, "/login?next=/password")
    assert phone.post("/login", data={"name": "ann", "password": "wrong password"}).status_code == 401
    assert phone.post("/login", data={"name": "nobody", "password": RIGHT}).status_code == 401
    login = phone.post(form.headers["location"], data={"name": "ann", "password": RIGHT, "remember": "on"})
    assert (login.status_code, login.headers["location"]) == (303, "/password")

    remembered = browser(cookies={"remember": phone.cookies["remember"]})
    assert "Hello ann" in remembered.get("/").text
    assert remembered.get("/password").headers["location"] == "/login?next=/password"

    assert phone.post("/password", data={"old": "wrong password", "new": NEW}).status_code == 422
    assert phone.post("/password", data={"old": RIGHT, "new": NEW}).status_code == 303
    assert "Hello ann" in phone.get("/").text
    assert "Hello ann" not in ann.get("/").text
    assert "Hello ann" not in browser(cookies={"remember": remembered.cookies["remember"]}).get("/").text

    assert phone.post("/logout").status_code == 303
    assert "Hello ann" not in phone.get("/").text
    assert ann.post("/login", data={"name": "ann", "password": NEW}).status_code == 303


def test_a_form_of_another_site_and_guessing_are_refused(browser):
    ann = browser()
    evil = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    assert ann.post("/signup", data={"name": "ann", "password": RIGHT}, headers=evil).status_code == 403
    codes = [ann.post("/login", data={}).status_code for _ in range(20)]  # without a password none is hashed
    assert codes == [400] * 20
    assert ann.post("/login", data={"name": "ann", "password": RIGHT}).status_code == 429


def test_a_form_has_a_token_for_browsers_that_say_nothing(browser):
    old = browser()
    del old.headers["Sec-Fetch-Site"]
    token = re.search(r'name="csrf_token" value="([^"]+)"', old.get("/signup").text)[1]
    data = {"name": "ann", "password": RIGHT}
    assert old.post("/signup", data=data).status_code == 403
    assert old.post("/signup", data={**data, "csrf_token": token}).status_code == 303
