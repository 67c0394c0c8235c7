"""The new pages of the blog."""

from wsgikit import Router, render_template

router = Router(__name__)

POSTS = [{"title": "Snow", "text": "It snows."}, {"title": "Thaw", "text": "It <melts>."}]


@router.get("/")
def index():
    return render_template("index.html", posts=POSTS)


@router.get("/about")
def about():
    return render_template("about.html")
