"""A guestbook: routes, a session, a database and templates, in front of an application that knows of none of them."""

from __future__ import annotations

from sqlalchemy import text

from wsgikit import Response, Router, abort, db, flash, g, redirect, render_template, request, session, url_for

router = Router(__name__)


@router.before_request
def load_visitor() -> None:
    g.visitor = session.get("visitor", "")


@router.get("/")
def index() -> str:
    create_table()
    entries = db.execute(text("SELECT id, name, message FROM entry ORDER BY id DESC LIMIT 50")).all()
    return render_template("index.html", entries=entries)


@router.get("/entry/<int:number>")
def show(number: int) -> str:
    create_table()
    entry = db.execute(text("SELECT id, name, message FROM entry WHERE id = :id"), {"id": number}).first()
    if entry is None:
        abort(404)
    return render_template("entry.html", entry=entry)


@router.post("/sign")
def sign() -> Response:
    name, message = request.form.get("name", "").strip(), request.form.get("message", "").strip()
    if not name or not message:
        flash("A name and a message, please.")
        return redirect(url_for("index"))
    # The page with the form has made the table. A transaction that writes first waits for another's on SQLite; one that
    # has read something before may not.
    db.execute(text("INSERT INTO entry (name, message) VALUES (:name, :message)"), {"name": name, "message": message})
    session["visitor"] = name
    flash(f"Thank you, {name}.")
    return redirect(url_for("index"))


@router.post("/forget")
def forget() -> Response:
    session.destroy()
    return redirect(url_for("index"))


def create_table() -> None:
    db.execute(text("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, name TEXT, message TEXT)"))


def legacy(environ, start_response):  # type: ignore[no-untyped-def]  # the application you have
    """Stand for an old application: what no route takes falls through to it."""
    if environ["PATH_INFO"] == "/about":
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"This page is served by the application inside, as it always was.\n"]
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return []
