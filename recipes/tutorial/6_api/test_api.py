import pytest
from test_blog import register


@pytest.fixture
def api(stack, client_for, roll_back):
    """A client that sends the csrf token in a header with each request."""
    roll_back(stack)
    return client_for(stack, csrf=True)


def test_a_post_is_created_shown_and_deleted(api):
    register(api)
    created = api.post_json("/api/posts", {"title": "Snow", "text": "It snows."}, status=201)
    url = created.headers["Location"]
    assert created.json["author"] == "ann"
    assert api.get(url).json == created.json
    api.delete(url, status=204)
    assert api.get(url, status=404).json["detail"] == "There is no such post."


def test_posts_are_listed_in_pages(api):
    register(api)
    for number in range(11):
        api.post_json("/api/posts", {"title": f"Post {number}", "text": "…"})
    first = api.get("/api/posts")
    assert (first.json["total"], first.json["pages"], len(first.json["items"])) == (11, 2, 10)
    assert [post["title"] for post in api.get("/api/posts?page=2").json["items"]] == ["Post 0"]


@pytest.mark.parametrize(
    ("body", "status"), [({"title": "no text"}, 422), ({"title": "", "text": "…"}, 422)], ids=["missing", "empty"]
)
def test_a_wrong_body_is_refused_with_the_reason(api, body, status):
    register(api)
    answer = api.post_json("/api/posts", body, status=status)
    assert answer.content_type == "application/problem+json"


def test_only_the_author_deletes_a_post(api):
    register(api)
    url = api.post_json("/api/posts", {"title": "Snow", "text": "It snows."}).headers["Location"]
    api.post("/logout")
    api.delete(url, status=403)
    register(api, "bo", "bo@example.org")
    api.delete(url, status=403)


def test_a_visitor_without_login_can_not_create(api):
    api.post_json("/api/posts", {"title": "spam", "text": "spam"}, status=403)
