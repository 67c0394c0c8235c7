from models import User
from sqlalchemy import select

from wsgikit import db


def register(client, name="ann", email="ann@example.org", **expected):
    form = client.get("/register").forms["register"]
    form["username"], form["email"], form["password"] = name, email, "a password"
    return form.submit(**expected)


def log_in(client, password, **expected):
    form = client.get("/login").forms["login"]
    form["username"], form["password"] = "ann", password
    return form.submit(**expected)


def test_a_user_registers_logs_out_and_logs_in(client):
    page = register(client).follow()
    assert "Log out ann" in page.text
    page = page.forms["logout"].submit().follow()
    assert "Log out" not in page.text
    assert "is wrong" in log_in(client, "wrong", status=403).text
    assert "Log out ann" in log_in(client, "a password").follow().text


def test_a_name_that_is_taken_is_refused(client):
    register(client)
    assert "is taken" in register(client, email="other@example.org", status=409).text


def test_a_form_without_an_email_address_is_refused(client):
    assert "Enter a name" in register(client, email="nothing", status=400).text


def test_the_admin_page_redirects_others(client, stack):
    assert client.get("/admin").location == "/login"
    register(client)
    assert client.get("/admin").location == "/login"
    with stack.app_context():
        db.scalars(select(User)).one().is_admin = True
        db.commit()
    assert "ann, administrator" in client.get("/admin").text


def test_a_form_of_another_site_is_refused(client):
    client.post("/logout", headers={"Sec-Fetch-Site": "cross-site"}, status=403)
