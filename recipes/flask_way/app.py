"""The posts of every Flask beginner, in wsgikit."""

from wsgikit import ContextMiddleware, Router, abort, build_stack, render_template, url_for, use

router = Router(__name__)

posts = [
    {"id": 1, "title": "First post", "content": "Content for the first post."},
    {"id": 2, "title": "Grüße aus Köln", "content": "A < B, and that is & stays text."},
]


@router.route("/")
def index():
    return render_template("index.html", posts=posts)


@router.route("/post/<int:post_id>")
def post(post_id):
    found = [entry for entry in posts if entry["id"] == post_id]
    if not found:
        abort(404)
    return render_template("post.html", post=found[0])


@router.errorhandler(404)
def page_not_found(error):
    return render_template("404.html"), 404


app = build_stack(router, use(ContextMiddleware))

with app.request_context():
    print(url_for("index"))
    print(url_for("post", post_id=2))
