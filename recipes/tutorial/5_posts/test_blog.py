import pytest
import views
from models import User
from sqlalchemy import select

from wsgikit import db

PNG = b"\x89PNG\r\n\x1a\n and the rest"


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


def write(client, title="Snow", picture=None, **expected):
    form = client.get("/post/new").forms["new"]
    form["title"], form["text"] = title, "It <snows>."
    if picture is not None:
        form["picture"] = ("../snow.html", picture)
    return form.submit(**expected)


@pytest.fixture
def uploads(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "UPLOADS", tmp_path)
    return tmp_path


def test_a_post_has_its_page_and_is_on_the_front_page(client):
    register(client)
    page = write(client).follow()
    assert "Your post is published." in page.text
    assert "It &lt;snows&gt;." in page.text
    assert client.get("/").click("Snow").request.path == page.request.path
    client.get("/post/99", status=404)


def test_a_picture_is_saved_under_another_name(client, uploads):
    register(client)
    source = write(client, picture=PNG).follow().html.find("img")["src"]
    assert client.get(source).body == PNG
    assert "snow" not in source
    assert [path.suffix for path in uploads.iterdir()] == [".png"]


def test_a_file_that_is_no_picture_is_refused(client, uploads):
    register(client)
    assert "neither" in write(client, picture=b"<script>", status=400).text
    assert list(uploads.iterdir()) == []


def test_a_post_without_a_title_is_refused(client):
    register(client)
    assert "needs a title" in write(client, title=" ", status=400).text
    assert "Nothing yet." in client.get("/").text


def test_a_visitor_without_login_can_not_write(client):
    assert client.get("/post/new").location == "/login"
    client.post("/post/new", {"title": "spam", "text": "spam"}, headers={"Sec-Fetch-Site": "same-origin"}, status=403)
