"""The pages: no view opens, commits or closes anything."""

from __future__ import annotations

from typing import Any

from models import Post, User
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from wsgikit import Response, Router, abort, db, flash, g, redirect, render_template, request, session, url_for

router = Router(__name__)


@router.before_request
def load_user() -> None:
    """Put who is logged in on `g`. A visitor without a login costs no query."""
    user_id = session.get("user_id")
    g.user = db.get(User, user_id) if user_id is not None else None


@router.before_request
def check_token() -> None:
    if request.method == "POST" and not session.check_csrf_token(request.form.get("csrf_token")):
        abort(400, "The form is out of date. Go back, reload the page and send it again.")


def typed(name: str) -> str:
    """Return what was typed into a field, without NUL, for which PostgreSQL has no room in a text."""
    return request.form.get(name, "").replace("\0", "").strip()


@router.get("/")
def index() -> str:
    posts = db.scalars(select(Post).options(joinedload(Post.author)).order_by(Post.id.desc()).limit(50)).all()
    return render_template("index.html", posts=posts)


@router.post("/")
def write() -> Response:
    if g.user is None:
        abort(403)
    text = typed("text")
    if text:
        db.add(Post(text=text, author=g.user))
    return redirect(url_for("index"))


@router.route("/register", methods=["GET", "POST"])
def register() -> Any:
    if request.method == "GET":
        return render_template("register.html")
    user = User(username=typed("username"), email=typed("email"))
    user.set_password(request.form.get("password", ""))
    # PostgreSQL refuses what is longer than its column, SQLite doesn't.
    if not 0 < len(user.username) <= 80 or "@" not in user.email or len(user.email) > 120:
        flash("A name and an e-mail address, please, of no more than 80 and 120 characters.")
        return render_template("register.html"), 400
    try:
        # In a savepoint: the request's transaction goes on if the name is taken.
        with db.begin_nested():
            db.add(user)
    except IntegrityError:
        flash("That name or that e-mail address is taken.")
        return render_template("register.html"), 409
    session.rotate()
    session["user_id"] = user.id
    return redirect(url_for("index"))


@router.route("/login", methods=["GET", "POST"])
def login() -> Any:
    if request.method == "GET":
        return render_template("login.html")
    user = db.scalar(select(User).where(User.username == typed("username")))
    if user is None or not user.has_password(request.form.get("password", "")):
        flash("That is not right.")
        return render_template("login.html"), 403
    session.rotate()
    session["user_id"] = user.id
    return redirect(url_for("index"))


@router.post("/logout")
def logout() -> Response:
    session.destroy()
    return redirect(url_for("index"))


@router.get("/admin")
def admin() -> Any:
    """List all users, for administrators; anybody else is sent to the front page."""
    if g.user is None or not g.user.is_admin:
        return redirect(url_for("index"))
    return render_template("admin.html", users=db.scalars(select(User).order_by(User.username)).all())
