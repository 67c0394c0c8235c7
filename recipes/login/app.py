"""Accounts with a password: sign up, log in and be remembered, change the password, log out everywhere.

pip install 'wsgikit[database,templates,limits,serve]' 'pwdlib[argon2]'
WSGIKIT_SECRET=$(wsgikit secret) wsgikit serve app:stack
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from pwdlib import PasswordHash
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from wsgikit import (
    AuthenticationMiddleware,
    ContextMiddleware,
    CsrfMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    RateLimitMiddleware,
    Request,
    Response,
    Router,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    TemplateMiddleware,
    build_stack,
    db,
    flash,
    login_required,
    login_user,
    logout_user,
    next_url,
    redirect,
    render_template,
    use,
    user,
)
from wsgikit.middleware.authentication import SessionLogin

SECRET = os.environ["WSGIKIT_SECRET"]
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000  # hashing takes longer the longer the text is

hasher = PasswordHash.recommended()  # Argon2id
NO_ONES_HASH = hasher.hash("checked if there is no such user, so that the answer takes as long")

router = Router(__name__)


class User(NamedTuple):
    """A row of the table. `epoch` goes up when all logins of the user shall end."""

    id: int
    name: str
    password: str
    epoch: int


def find(column: str, value: Any) -> User | None:
    row = db.execute(text(f"SELECT id, name, password, epoch FROM account WHERE {column} = :value"), {"value": value})
    found = row.first()
    return None if found is None else User(*found)


def load(user_id: str) -> User | None:
    return find("id", int(user_id))


def check_password(name: str, password: str) -> User | None:
    """Return the user if the password is right. An old hash is replaced by one with today's parameters."""
    found = find("name", name)
    is_right, new_hash = hasher.verify_and_update(password, NO_ONES_HASH if found is None else found.password)
    if found is None or not is_right:
        return None
    if new_hash is not None:
        db.execute(text("UPDATE account SET password = :hash WHERE id = :id"), {"hash": new_hash, "id": found.id})
    return found


def is_acceptable(password: str) -> bool:
    return SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD


@router.get("/")
def home() -> str:
    return render_template("home.html")


@router.get("/signup")
def signup_form() -> str:
    return render_template("form.html", title="Sign up", is_new=True)


@router.post("/signup")
def sign_up(request: Request) -> Any:
    name, password = request.form["name"].strip(), request.form["password"]
    if not name or not is_acceptable(password):
        flash(f"A name, and a password of at least {SHORTEST_PASSWORD} characters, please.")
        return signup_form(), 422
    try:
        with db.begin_nested():
            db.execute(
                text("INSERT INTO account (name, password, epoch) VALUES (:name, :password, 0)"),
                {"name": name, "password": hasher.hash(password)},
            )
    except IntegrityError:
        flash("This name is taken.")
        return signup_form(), 409
    login_user(find("name", name))
    return redirect("/", 303)


@router.get("/login")
def login_form() -> str:
    return render_template("form.html", title="Log in", is_new=False)


@router.post("/login")
def log_in(request: Request) -> Any:
    found = check_password(request.form["name"].strip(), request.form["password"][:LONGEST_PASSWORD])
    if found is None:
        flash("The name or the password is wrong.")
        return login_form(), 401
    login_user(found, remember="remember" in request.form)
    return redirect(next_url(), 303)


@router.post("/logout")
def log_out() -> Response:
    logout_user()
    return redirect("/", 303)


@router.get("/password")
@login_required(fresh=True)
def password_form() -> str:
    return render_template("password.html")


@router.post("/password")
@login_required(fresh=True)
def change_password(request: Request) -> Any:
    """Change the password, and end all other logins of the user."""
    found = check_password(user.name, request.form["old"][:LONGEST_PASSWORD])
    if found is None or not is_acceptable(request.form["new"]):
        flash(f"The old password is wrong, or the new one has fewer than {SHORTEST_PASSWORD} characters.")
        return password_form(), 422
    db.execute(
        text("UPDATE account SET password = :password, epoch = epoch + 1 WHERE id = :id"),
        {"password": hasher.hash(request.form["new"]), "id": found.id},
    )
    login_user(find("id", found.id))
    flash("The password is changed, and you are logged out everywhere else.")
    return redirect("/", 303)


class Schema:
    """Make the table before the first request, in a transaction of its own."""

    def __init__(self, url: str) -> None:
        from sqlalchemy import create_engine

        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "
                    "password TEXT NOT NULL, epoch INTEGER NOT NULL)"
                )
            )
        engine.dispose()


URL = os.environ.get("DATABASE_URL", "sqlite:///accounts.db")
Schema(URL)

# `load` reads the database, so DatabaseMiddleware stands outside of AuthenticationMiddleware.
stack = build_stack(
    router,
    use(ContextMiddleware),
    use(ErrorPagesMiddleware),
    use(SecurityHeadersMiddleware),
    use(RateLimitMiddleware, limits="20/minute; 100/hour", only="POST /login"),
    use(SessionMiddleware, secret_key=SECRET),
    use(DatabaseMiddleware, url=URL),
    use(
        AuthenticationMiddleware,
        schemes=[SessionLogin(load, login_url="/login", epoch=lambda user: user.epoch, secret_key=SECRET)],
    ),
    use(CsrfMiddleware),
    use(TemplateMiddleware, folders="templates"),
)
