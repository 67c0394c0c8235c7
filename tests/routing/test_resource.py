"""Resources: RESTful dispatch in one class, JSON in and out, problem details."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pydantic
import pytest
from webtest import TestApp
from werkzeug.exceptions import NotFound

from wsgikit.exceptions import BadRequest, ConfigurationError
from wsgikit.http import parameters
from wsgikit.http.request import Request
from wsgikit.routing.pages import Page, paginate
from wsgikit.routing.router import Router
from wsgikit.views import Problem


@dataclass
class NewPost:
    title: str
    stars: int = 0
    tags: list[str] = field(default_factory=list)


class Edit(pydantic.BaseModel):
    title: str = pydantic.Field(min_length=1)


class Order(Enum):
    new = "new"
    old = "old"


def posts_class():
    posts = {1: {"id": 1, "title": "first"}}

    class Posts:
        def index(self, page: int = 1, per_page: int = 2, order: Order = Order.new, tag: list[str] = ()) -> Page:
            if tag:
                return [order.value, *tag]
            return paginate([*posts.values(), {"id": 2}, {"id": 3}], page, per_page)

        def create(self, post: NewPost):
            posts[9] = {"id": 9, "title": post.title, "stars": post.stars, "tags": post.tags}
            return posts[9]

        def show(self, post_id: int):
            if post_id not in posts:
                raise NotFound("There is no such post.")
            return posts[post_id]

        def update(self, post_id: int, edit: Edit):
            return {"id": post_id, "title": edit.title}

        def patch(self, post_id: int, body, request: Request):
            return {"id": post_id, "changed": sorted(body), "by": request.method}

        def delete(self, post_id: int):
            posts.pop(post_id)

    return Posts


@pytest.fixture(params=["at the top", "in an included router"])
def app(request):
    router = Router("api")
    router.resource("/posts", posts_class())
    if request.param == "at the top":
        return TestApp(router, lint=True)
    outer = Router("site")
    outer.include(router, "/")
    return TestApp(outer, lint=True)


def test_a_collection_is_listed_in_pages_with_links(app):
    response = app.get("/posts?page=2&per_page=1&order=old")
    assert response.json == {"items": [{"id": 2}], "page": 2, "pages": 3, "per_page": 1, "total": 3}
    assert response.headers["Link"] == (
        '</posts?page=1&per_page=1&order=old>; rel="first", </posts?page=1&per_page=1&order=old>; rel="prev", '
        '</posts?page=3&per_page=1&order=old>; rel="next", </posts?page=3&per_page=1&order=old>; rel="last"'
    )


def test_query_parameters_are_converted_by_annotation(app):
    assert app.get("/posts?tag=a&tag=b&order=old").json == ["old", "a", "b"]


def test_an_item_is_made_with_its_address(app):
    response = app.post_json("/posts", {"title": "new", "tags": ["x"]})
    assert response.status == "201 Created"
    assert response.headers["Location"].endswith("/posts/9")
    assert response.json == {"id": 9, "title": "new", "stars": 0, "tags": ["x"]}


def test_an_item_is_shown_changed_and_deleted(app):
    assert app.get("/posts/1").json == {"id": 1, "title": "first"}
    assert app.put_json("/posts/1", {"title": "t"}).json == {"id": 1, "title": "t"}
    assert app.patch_json("/posts/1", {"a": 1}).json == {"id": 1, "changed": ["a"], "by": "PATCH"}
    response = app.delete("/posts/1")
    assert (response.status_int, response.body) == (204, b"")


def test_other_methods_are_a_405_with_those_there_are(app):
    response = app.delete("/posts", expect_errors=True)
    assert response.status_int == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


PROBLEMS = {
    "a missing item": (lambda app: app.get("/posts/7", expect_errors=True), 404, "There is no such post.", None),
    "not JSON by type": (
        lambda app: app.post("/posts", "title=x", expect_errors=True),
        415,
        "The request body has to be JSON",
        None,
    ),
    "not JSON": (
        lambda app: app.post("/posts", "{", content_type="application/json", expect_errors=True),
        400,
        "can't be parsed as JSON",
        None,
    ),
    "an answer that isn't accepted": (
        lambda app: app.get("/posts", headers={"Accept": "text/html"}, expect_errors=True),
        406,
        "The answer is application/json",
        None,
    ),
    "a body that lacks a field": (
        lambda app: app.post_json("/posts", {"stars": 1}, expect_errors=True),
        422,
        "can't be understood",
        ["title"],
    ),
    "a field of another type": (
        lambda app: app.post_json("/posts", {"title": "x", "stars": "many"}, expect_errors=True),
        422,
        "can't be understood",
        ["stars"],
    ),
    "a body that is no object": (
        lambda app: app.post_json("/posts", [1], expect_errors=True),
        422,
        "can't be understood",
        [],
    ),
    "a model that doesn't validate": (
        lambda app: app.put_json("/posts/1", {"title": ""}, expect_errors=True),
        422,
        "can't be understood",
        ["title"],
    ),
    "a query that isn't a number": (
        lambda app: app.get("/posts?page=two", expect_errors=True),
        400,
        "can't be understood",
        ["query", "page"],
    ),
    "a query that is no choice": (
        lambda app: app.get("/posts?order=odd", expect_errors=True),
        400,
        "can't be understood",
        ["query", "order"],
    ),
    "a page before the first": (
        lambda app: app.get("/posts?page=0", expect_errors=True),
        400,
        "page: expected a number from 1, got 0",
        None,
    ),
}


@pytest.mark.parametrize("with_pydantic", [True, False], ids=["pydantic", "no pydantic"])
@pytest.mark.parametrize(("ask", "status", "detail", "place"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_an_error_is_a_problem(app, ask, status, detail, place, with_pydantic, monkeypatch):
    if not with_pydantic:
        adapter = parameters.pydantic_adapter
        monkeypatch.setattr(parameters, "pydantic_adapter", lambda hint: None if hint is NewPost else adapter(hint))
    response = ask(app)
    assert response.status_int == status
    assert response.content_type == "application/problem+json"
    assert response.json["status"] == status
    assert detail in response.json["detail"]
    if place is not None:
        assert response.json["errors"][0]["loc"] == place


def test_a_problem_can_be_raised_by_any_view():
    router = Router("x")

    @router.get("/")
    def view():
        raise Problem(409, "Taken.", type="https://example.org/taken", headers=[("Retry-After", "9")], name="ann")

    response = TestApp(router, lint=True).get("/", expect_errors=True)
    assert response.json == {
        "type": "https://example.org/taken",
        "title": "Conflict",
        "status": 409,
        "detail": "Taken.",
        "name": "ann",
    }
    assert response.headers["Retry-After"] == "9"


def test_an_error_handler_takes_the_problem_of_a_resource():
    router = Router("x")
    router.resource("/posts", posts_class())
    router.register_error_handler(404, lambda error: (f"handled {error.description}", 404))
    assert TestApp(router).get("/posts/7", expect_errors=True).text == "handled There is no such post."


def test_an_error_that_is_no_http_exception_leaves_the_resource():
    class Broken:
        def index(self):
            raise KeyError("k")

    router = Router("x")
    router.resource("/x", Broken)
    with pytest.raises(KeyError):
        TestApp(router).get("/x")


def test_a_resource_may_be_an_instance_and_have_variables_around():
    class Comments:
        def __init__(self, text):
            self.text = text

        def show(self, post_id: int, comment_id: UUID):
            return f"{self.text} {post_id} {comment_id.int}"

    router = Router("x")
    router.resource("/posts/<int:post_id>/comments", Comments("c"), endpoint="notes")
    assert TestApp(router).get(f"/posts/3/comments/{UUID(int=5)}").json == "c 3 5"
    assert router.url_for("notes_show", post_id=3, comment_id=UUID(int=5)).startswith("/posts/3/comments/")


def test_the_key_can_be_named():
    class Users:
        def show(self, name):
            return {"name": name}

    router = Router("x")
    router.resource("/users", Users, key="<string(length=3):name>")
    app = TestApp(router)
    assert app.get("/users/ann").json == {"name": "ann"}
    assert app.get("/users/anne", expect_errors=True).status_int == 404


class Odd:
    def show(self, key: dict): ...


class NoKey:
    def show(self): ...


BAD = {
    "no methods": (object, "expected one of the methods index, create, show, update, patch, delete, got 'object'"),
    "a key of another type": (Odd, r"show\(key\): expected int, float, str or UUID"),
    "no key": (NoKey, "show: expected a parameter that tells items apart"),
}


@pytest.mark.parametrize(("cls", "text"), BAD.values(), ids=BAD.keys())
def test_a_class_that_is_no_resource_is_refused(cls, text):
    with pytest.raises(ConfigurationError, match=text):
        Router("x").resource("/x", cls)


class OfUsers:
    def index(self, uid: int, page: int = 1):
        return paginate(range(50), page)

    def create(self, uid: int):
        return "made"

    def show(self, post_id: int, uid: int):
        return "text"


@pytest.fixture
def of_users():
    router = Router("x")
    router.resource("/users/<int:uid>/posts", OfUsers)
    return TestApp(router)


def test_a_query_named_like_a_part_of_the_path_does_not_get_into_the_path(of_users):
    links = of_users.get("/users/3/posts?uid=abc&tag=a&tag=b").headers["Link"]
    assert links == (
        '</users/3/posts?tag=a&tag=b&page=1>; rel="first", </users/3/posts?tag=a&tag=b&page=2>; rel="next", '
        '</users/3/posts?tag=a&tag=b&page=3>; rel="last"'
    )


def test_text_is_a_json_string(of_users):
    shown, made = of_users.get("/users/3/posts/4"), of_users.post("/users/3/posts")
    assert (shown.status_int, shown.content_type, shown.json) == (200, "application/json", "text")
    assert (made.status_int, made.content_type, made.json) == (201, "application/json", "made")


TEXTS = {
    "bool": (["true"], bool, True),
    "int": (["-3"], int, -3),
    "float": (["1.5"], float, 1.5),
    "optional": (["3"], int | None, 3),
    "literal": (["2"], Literal[1, 2], 2),
    "list": (["1", "2"], list[int], [1, 2]),
    "str": (["x"], str, "x"),
    "a large float": (["-2e3"], float, -2000.0),
    "decimal": (["0.10"], Decimal, Decimal("0.10")),
    "date": (["2030-01-02"], date, date(2030, 1, 2)),
    "datetime": (["2030-01-02T03:04"], datetime, datetime(2030, 1, 2, 3, 4)),  # noqa: DTZ001  # as it was sent
    "uuid": (["12345678123456781234567812345678"], UUID, UUID(int=0x12345678123456781234567812345678)),
    "one of two": (["1.5"], int | float, 1.5),
    "one of two or nothing": (["x"], int | str | None, "x"),
    "annotated": (["3"], Annotated[int, pydantic.Field(ge=1)], 3),
}


@pytest.mark.parametrize(("texts", "hint", "value"), TEXTS.values(), ids=TEXTS.keys())
def test_a_query_text_becomes_what_the_annotation_says(texts, hint, value):
    assert parameters.from_text(texts, hint, "p") == value


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1_0", int),
        ("٣", int),
        ("maybe", bool),
        ("x", float),
        ("1_0", float),
        (" 1", float),
        ("nan", float),
        ("-inf", float),
        ("1e400", float),
        ("x", Decimal),
        ("nan", Decimal),
        ("Infinity", Decimal),
        ("x", Decimal | None),
        ("x", list[Decimal]),
        ("x", date),
        ("2030-02-30", date),
        ("x", datetime),
        ("x", int | float),
        ("3", Literal[1, 2]),
    ],
)
def test_a_query_text_that_is_something_else_is_invalid(text, hint):
    with pytest.raises(parameters.Invalid, match="query.p: expected"):
        parameters.from_text([text], hint, "p")


def test_what_annotated_adds_is_checked():
    with pytest.raises(parameters.Invalid, match="query.p: Input should be greater than or equal to 1"):
        parameters.from_text(["0"], Annotated[int, pydantic.Field(ge=1)], "p")


def test_page_numbers_are_shown_with_gaps():
    assert [*Page([], 10, 1, 20).numbers()] == [1, 2, None, 8, 9, 10, 11, 12, None, 19, 20]
    page = paginate(range(95), 2, 1000, max_per_page=10)
    assert (len(page), page.pages, page.has_prev, page.next_num, page.prev_num) == (10, 10, True, 3, 1)
    assert list(page) == [*range(10, 20)]
    empty = paginate([])
    assert (empty.pages, empty.has_next, empty.has_prev, empty.next_num, empty.prev_num) == (
        0,
        False,
        False,
        None,
        None,
    )
    assert paginate(["of the page"], 3, 1, total=9).pages == 9


# ---------------------------------------------------------------------- bodies that are objects, and large numbers


class Notes:
    def index(self, page: int = 1, after: int = 0):
        return paginate([1, 2, 3], page)

    def patch(self, note_id: int, changes: dict):
        return {"id": note_id, "changes": changes}

    def update(self, note_id: int, counts: dict[str, int]):
        return {"id": note_id, "counts": counts}


@pytest.fixture
def notes():
    router = Router("notes")
    router.resource("/notes", Notes)
    return TestApp(router)


def test_a_dict_of_a_method_that_writes_is_the_body(notes):
    assert notes.patch_json("/notes/7", {"a": [1]}).json == {"id": 7, "changes": {"a": [1]}}
    assert notes.put_json("/notes/7", {"a": 1}).json == {"id": 7, "counts": {"a": 1}}


@pytest.mark.parametrize("body", [[1], "text", None, 7])
def test_a_body_that_is_no_object_is_a_422(notes, body):
    assert notes.patch_json("/notes/7", body, status=422).content_type == "application/problem+json"


LARGE = {
    "a page beyond all": ("page=2147483648", 400),
    "a page beyond 64 bits": ("page=99999999999999999999", 400),
    "a number beyond 64 bits": ("after=9223372036854775808", 400),
    "a number of many digits": (f"after={'9' * 5000}", 400),
    "the last page that may be": ("page=2147483647", 200),
    "the largest number": ("after=9223372036854775807", 200),
    "zeros in front": (f"after={'0' * 40}7", 200),
    "the least number": ("after=-9223372036854775808", 200),
}


@pytest.mark.parametrize(("query", "status"), LARGE.values(), ids=LARGE.keys())
def test_numbers_that_no_database_takes_are_a_400(notes, query, status):
    assert notes.get(f"/notes?{query}", expect_errors=True).status_int == status


def test_paginate_refuses_a_page_beyond_all():
    with pytest.raises(BadRequest, match=r"page: expected a number up to 2147483647"):
        paginate([], 2**31)


def test_a_page_may_be_returned_by_any_view():
    router = Router("pages")
    router.add_url_rule("/", "page", lambda: paginate([1, 2, 3], 2, 2))
    assert TestApp(router).get("/").json == {"items": [3], "page": 2, "pages": 2, "per_page": 2, "total": 3}
