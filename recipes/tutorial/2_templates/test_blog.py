import pytest
from app import app

from wsgikit.testing import TestClient


@pytest.fixture
def client():
    return TestClient(app)


def test_the_front_page_lists_the_posts(client):
    page = client.get("/")
    assert [title.text for title in page.html.find_all("h2")] == ["Snow", "Thaw"]
    assert "It &lt;melts&gt;." in page.text


def test_a_page_fills_the_blocks_of_its_base(client):
    page = client.get("/").click("About")
    assert page.html.title.text == "About · The blog"


def test_the_style_sheet_is_served(client):
    assert client.get("/static/style.css").content_type == "text/css"
