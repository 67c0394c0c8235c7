"""The new pages of the blog."""

import os
from pathlib import Path
from uuid import uuid4

from models import Post, User
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from wsgikit import (
    Router,
    abort,
    db,
    flash,
    g,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
    url_for,
)

UPLOADS = Path(os.environ.get("UPLOADS", Path(__file__).parent / "uploads"))
# The kinds of pictures, by the bytes they begin with. The name that the visitor's file has proves nothing.
PICTURES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg"}

router = Router(__name__, max_content_length=5_000_000)


@router.before_request
def load_user():
    """Put the user who is logged in on `g`, or None."""
    user_id = session.get("user_id")
    g.user = db.get(User, user_id) if user_id is not None else None


@router.get("/")
def index():
    posts = db.scalars(select(Post).order_by(Post.id.desc()).limit(20)).all()
    return render_template("index.html", posts=posts)


@router.get("/post/<int:post_id>")
def show(post_id):
    return render_template("post.html", post=db.get(Post, post_id) or abort(404))


@router.get("/post/new")
def new_post():
    if g.user is None:
        return redirect(url_for("login"))
    return render_template("new.html")


@router.post("/post/new")
def create_post():
    if g.user is None:
        abort(403)
    post = Post(title=field("title"), text=field("text"), author=g.user)
    if not 0 < len(post.title) <= 120 or not post.text:
        flash("A post needs a title and a text.")
        return render_template("new.html"), 400
    upload = request.files.get("picture")
    if upload:
        post.picture = save_picture(upload.read())
        if post.picture is None:
            flash("The picture is neither a PNG nor a JPEG file.")
            return render_template("new.html"), 400
    db.add(post)
    db.flush()  # now it has its number
    flash("Your post is published.")
    return redirect(url_for("show", post_id=post.id))


@router.get("/uploads/<name>")
def uploaded(name):
    return send_from_directory(UPLOADS, name)


def save_picture(data):
    """Save a picture under a name of our choice, and return this name; None if it isn't a picture."""
    ending = next((ending for start, ending in PICTURES.items() if data.startswith(start)), None)
    if ending is None:
        return None
    name = f"{uuid4().hex}{ending}"
    UPLOADS.mkdir(exist_ok=True)
    (UPLOADS / name).write_bytes(data)
    return name


@router.get("/about")
def about():
    return render_template("about.html")


@router.get("/users")
def users():
    return render_template("users.html", users=db.scalars(select(User).order_by(User.username)).all())


@router.get("/admin")
def admin():
    if g.user is None or not g.user.is_admin:
        return redirect(url_for("login"))
    return render_template("admin.html", users=db.scalars(select(User).order_by(User.username)).all())


@router.get("/register")
def register():
    return render_template("register.html")


@router.post("/register")
def create_user():
    user = User(username=field("username"), email=field("email"))
    if not 0 < len(user.username) <= 80 or "@" not in user.email or len(user.email) > 120:
        flash("Enter a name and an email address.")
        return render_template("register.html"), 400
    user.set_password(request.form.get("password", ""))
    try:
        with db.begin_nested():  # a savepoint: if the name is taken, only this is rolled back
            db.add(user)
    except IntegrityError:
        flash("This name or email address is taken.")
        return render_template("register.html"), 409
    return log_in(user)


@router.get("/login")
def login():
    return render_template("login.html")


@router.post("/login")
def check_login():
    user = db.scalar(select(User).where(User.username == field("username")))
    if user is None or not user.has_password(request.form.get("password", "")):
        flash("The name or the password is wrong.")
        return render_template("login.html"), 403
    return log_in(user)


@router.post("/logout")
def logout():
    session.destroy()
    return redirect(url_for("index"))


def log_in(user):
    session.rotate()  # a new id, so that nobody can prepare a session for somebody else
    session["user_id"] = user.id
    return redirect(url_for("index"))


def field(name):
    """Return a field of the form without spaces around it. PostgreSQL can't store NUL in a text."""
    return request.form.get(name, "").replace("\0", "").strip()
