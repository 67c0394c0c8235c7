"""A JSON service for posts: one class, checked bodies, pages, problem details, and a description of itself."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal

from openapi import describe
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import Conflict, HTTPException, NotFound

from wsgikit import ContextMiddleware, ErrorPagesMiddleware, Router, build_stack, use
from wsgikit.views import Page, as_problem, paginate


class NewPost(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str = Field(min_length=1, max_length=100)
    text: str = ""
    state: Literal["draft", "published"] = "draft"


class Changes(BaseModel):
    """What a client may change."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str = Field(default=None, min_length=1, max_length=100)  # type: ignore[assignment]  # may be left out
    text: str = None  # type: ignore[assignment]  # as above
    state: Literal["draft", "published"] = None  # type: ignore[assignment]  # as above


class Post(NewPost):
    """What a client gets."""

    id: int


class Posts:
    """The posts, in memory; a database would stand here."""

    def __init__(self) -> None:
        self.posts: dict[int, Post] = {}
        self.lock = threading.Lock()
        self.last_id = 0

    def index(
        self,
        page: Annotated[int, Field(ge=1, le=1_000_000)] = 1,
        per_page: Annotated[int, Field(ge=1, le=100)] = 20,
        state: Literal["draft", "published"] | None = None,
    ) -> Page[Post]:
        """List the posts, newest first."""
        found = [post for post in reversed(list(self.posts.values())) if state in (None, post.state)]
        return paginate(found, page, per_page)

    def create(self, new: NewPost) -> Post:
        """Add a post. Its title must be free."""
        with self.lock:
            if any(post.title == new.title for post in self.posts.values()):
                raise Conflict("There is a post of that title.")
            self.last_id += 1
            post = self.posts[self.last_id] = Post(id=self.last_id, **new.model_dump())
        return post

    def show(self, post_id: int) -> Post:
        """Show a post."""
        if post_id not in self.posts:
            raise NotFound("There is no such post.")
        return self.posts[post_id]

    def update(self, post_id: int, new: NewPost) -> Post:
        """Put another post in its place."""
        self.show(post_id)
        post = self.posts[post_id] = Post(id=post_id, **new.model_dump())
        return post

    def patch(self, post_id: int, changes: Changes) -> Post:
        """Change some of a post."""
        post = self.show(post_id).model_copy(update=changes.model_dump(exclude_unset=True))
        self.posts[post_id] = post
        return post

    def delete(self, post_id: int) -> None:
        """Remove a post."""
        self.show(post_id)
        self.posts.pop(post_id, None)


router = Router(__name__)
router.resource("/posts", Posts())


@router.get("/openapi.json")
def openapi() -> dict[str, Any]:
    return describe(router, title="Posts", version="1.0.0", conflicts={"posts_create"})


@router.errorhandler(HTTPException)
def problem(error: HTTPException) -> Exception:
    """Answer also what no rule is for with a problem, whatever the client accepts."""
    return as_problem(error)


app = build_stack(router, use(ErrorPagesMiddleware), use(ContextMiddleware))
