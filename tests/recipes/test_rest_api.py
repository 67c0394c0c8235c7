"""The REST API: its document is made from its routes, and schemathesis finds nothing wrong with either."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

FOLDER = Path(__file__).parents[2] / "recipes" / "rest_api"
pytestmark = pytest.mark.server


@pytest.fixture
def url(start_server, tmp_path):
    return start_server(["gunicorn", "--threads=4", "--bind=127.0.0.1:{port}", "app:app"], FOLDER, tmp_path / "log")


def test_posts_are_made_listed_changed_and_deleted(url):
    with httpx.Client(base_url=url) as client:
        made = client.post("/posts", json={"title": "first"})
        assert (made.status_code, made.headers["location"]) == (201, "/posts/1")
        assert made.json() == {"id": 1, "title": "first", "text": "", "state": "draft"}
        assert client.post("/posts", json={"title": "first"}).status_code == 409
        assert client.patch("/posts/1", json={"state": "published"}).json()["state"] == "published"
        client.post("/posts", json={"title": "second"})
        page = client.get("/posts", params={"per_page": 1})
        assert [post["id"] for post in page.json()["items"]] == [2]
        assert 'rel="next"' in page.headers["link"]
        assert client.get("/posts", params={"state": "published"}).json()["total"] == 1
        assert client.delete("/posts/1").status_code == 204
        gone = client.get("/posts/1")
        assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
        wrong = client.put("/posts/2", json={"title": "", "more": 1})
        assert wrong.status_code == 422
        assert {tuple(error["loc"]) for error in wrong.json()["errors"]} == {("title",), ("more",)}


def test_the_document_names_every_route(url):
    document = httpx.get(f"{url}/openapi.json").json()
    assert {path: sorted(methods) for path, methods in document["paths"].items()} == {
        "/posts": ["get", "post"],
        "/posts/{post_id}": ["delete", "get", "patch", "put"],
    }


def test_schemathesis_finds_nothing(url, tmp_path):
    pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{url}/openapi.json",
        "--max-examples=5",
        "--seed=1",
        "--no-color",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
