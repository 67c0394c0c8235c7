"""User-style code with the router: a view keeps its type under every decorator. Checked by mypy and pyright."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, assert_type

from wsgikit import (
    Request,
    Response,
    Router,
    RouterMiddleware,
    Templates,
    abort,
    build_stack,
    flash,
    get_flashed_messages,
    jsonify,
    redirect,
    render_template,
    send_file,
    stream_template,
    url_for,
    use,
)
from wsgikit.views import MethodView, Page, paginate

router = Router(__name__, name="shop")
admin = Router("admin", max_content_length=1000)


@router.route("/", methods=["GET", "POST"])
def index() -> str:
    return render_template("index.html", title="Posts")


@router.get("/post/<int:post_id>")
def show(post_id: int, request: Request) -> dict[str, int]:
    return {"id": post_id, "page": request.args.get("page", 1, type=int)}


@router.post("/post")
async def create() -> tuple[str, int]:
    return "made", 201


@router.put("/post/<int:post_id>")
def put(post_id: int) -> Response:
    return redirect(url_for("show", post_id=post_id))


@router.endpoint("later")
def later() -> Iterator[str]:
    return stream_template("later.html")


@router.before_request
def before() -> None:
    flash("hello")


@router.after_request
def after(response: Response) -> Response:
    response.headers["X-A"] = "b"
    return response


@router.errorhandler(404)
def missing(error: Exception) -> tuple[str, int]:
    return "nothing here", 404


@router.template_filter()
def shout(text: str) -> str:
    return text.upper()


assert_type(index(), str)
assert_type(show(1, Request({})), dict[str, int])
assert_type(put(1), Response)
assert_type(later(), Iterator[str])
assert_type(before(), None)
assert_type(after(Response("x")), Response)
assert_type(missing(ValueError()), tuple[str, int])
assert_type(shout("a"), str)


class Counter(MethodView):
    def get(self, name: str) -> str:
        return name


view: Callable[..., Any] = Counter.as_view("counter")
router.add_url_rule("/counter/<name>", view_func=view)


@dataclass
class Post:
    title: str


class Posts:
    def index(self, page: int = 1) -> Page[Post]:
        return paginate([Post("a")], page)

    def create(self, post: Post) -> Post:
        return post


router.resource("/posts", Posts)
router.include(admin, "/admin")
router.mount("/old", build_stack(admin))
templates = Templates("templates", router=router)


def never() -> NoReturn:
    abort(404)


def answers() -> Response:
    assert_type(url_for("show", post_id=1, _external=True), str)
    assert_type(get_flashed_messages(), list[Any])
    assert_type(paginate([1, 2]).items[0], int)
    assert_type(send_file("a.txt"), Response)
    return jsonify(a=1)


stack = build_stack(router, use(RouterMiddleware, router=router, pass_method_not_allowed=True))
