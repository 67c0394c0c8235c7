import pytest
from app import app

from wsgikit.testing import TestClient


@pytest.fixture
def client():
    return TestClient(app)


def test_a_new_page_is_in_front(client):
    assert "The blog" in client.get("/").text
    assert client.get("/hello/Ada").json == {"hello": "Ada", "method": "GET"}


def test_an_old_page_is_still_there(client):
    assert client.get("/archive/snow").text == "It snows."
    client.get("/nowhere", status=404)
