"""The new pages of the blog."""

from models import User
from sqlalchemy import select

from wsgikit import Router, db, render_template

router = Router(__name__)


@router.get("/")
def index():
    return render_template("index.html")


@router.get("/about")
def about():
    return render_template("about.html")


@router.get("/users")
def users():
    return render_template("users.html", users=db.scalars(select(User).order_by(User.username)).all())
