"""New pages in front of an application that is to go: bepasty, a pastebin from PyPI, moved one page at a time."""

from __future__ import annotations

import os

from bepasty.app import create_app

from wsgikit import (
    ContextMiddleware,
    ErrorPagesMiddleware,
    Router,
    RouterMiddleware,
    SessionMiddleware,
    abort,
    build_stack,
    g,
    redirect,
    render_template,
    session,
    url_for,
    use,
)

legacy = create_app()
router = Router(__name__)


@router.before_request
def load_user():
    # The login is bepasty's: it wrote this into the session, which both sides read.
    g.permissions = set(session.get("permissions", legacy.config["DEFAULT_PERMISSIONS"]).split(","))
    g.is_logged_in = session.get("loggedin", False)


def home():
    """The front page: the first one that was moved."""
    return render_template("home.html")


def pastes():
    """The list of pastes: moved next. It needs the permission that bepasty's own page needed."""
    if "list" not in g.permissions:
        abort(403)
    names = sorted(name for name in os.listdir(legacy.config["STORAGE_FILESYSTEM_DIRECTORY"]) if name.endswith(".meta"))
    return render_template("pastes.html", names=[name.removesuffix(".meta") for name in names])


def logout():
    """The way out: moved last. Both sides see that the login is gone."""
    session.pop("permissions", None)
    session.pop("loggedin", None)
    return redirect(url_for("home"))


# A page is moved when its line stands here; without it, bepasty answers as before.
PAGES = {
    "home": ("/", home, ["GET"]),
    "pastes": ("/+list", pastes, ["GET"]),
    "logout": ("/+logout", logout, ["POST"]),
}
for name in filter(None, os.environ.get("MOVED", "home,pastes,logout").split(",")):
    rule, view, methods = PAGES[name]
    router.add_url_rule(rule, name, view, methods=methods)

app = build_stack(
    legacy,
    use(ErrorPagesMiddleware),
    use(ContextMiddleware),
    # bepasty's cookie, in Flask's format and with Flask's key: one login for both sides.
    use(
        SessionMiddleware,
        secret_key=legacy.config["SECRET_KEY"],
        cookie_format="flask",
        cookie_secure=legacy.config["SESSION_COOKIE_SECURE"],
    ),
    use(RouterMiddleware, router=router),
)
