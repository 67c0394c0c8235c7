"""The new pages of the blog."""

from models import User
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from wsgikit import Router, db, flash, g, redirect, render_template, request, session, url_for

router = Router(__name__)


@router.before_request
def load_user():
    """Put the user who is logged in on `g`, or None."""
    user_id = session.get("user_id")
    g.user = db.get(User, user_id) if user_id is not None else None


@router.get("/")
def index():
    return render_template("index.html")


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
