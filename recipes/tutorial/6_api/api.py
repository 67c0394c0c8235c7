"""The posts as JSON, for programs."""

from dataclasses import dataclass
from datetime import datetime

from models import Post
from sqlalchemy import func, select

from wsgikit import Router, db, g
from wsgikit.views import Page, Problem, paginate

router = Router(__name__)


@dataclass
class NewPost:
    """What a client sends."""

    title: str
    text: str


@dataclass
class PostData:
    """What a client gets."""

    id: int
    title: str
    text: str
    author: str
    created: datetime


def data_of(post):
    return PostData(post.id, post.title, post.text, post.author.username, post.created)


class Posts:
    def index(self, page: int = 1) -> Page[PostData]:
        newest = select(Post).order_by(Post.id.desc()).limit(10).offset((page - 1) * 10)
        total = db.scalar(select(func.count()).select_from(Post))
        return paginate([data_of(post) for post in db.scalars(newest)], page, per_page=10, total=total)

    def show(self, post_id: int) -> PostData:
        return data_of(self._find(post_id))

    def create(self, new: NewPost) -> PostData:
        if g.user is None:
            raise Problem(403, "Log in first.")
        if not 0 < len(new.title) <= 120:
            raise Problem(422, "The title has between 1 and 120 characters.")
        post = Post(title=new.title, text=new.text, author=g.user)
        db.add(post)
        db.flush()
        return data_of(post)

    def delete(self, post_id: int) -> None:
        post = self._find(post_id)
        if g.user is None or g.user.id != post.author_id:
            raise Problem(403, "This isn't your post.")
        db.delete(post)

    def _find(self, post_id):
        post = db.get(Post, post_id)
        if post is None:
            raise Problem(404, "There is no such post.")
        return post


router.resource("/posts", Posts)
