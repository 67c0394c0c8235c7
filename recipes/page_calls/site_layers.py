"""The functions that the pages call, and the layers that make it so around any application."""

import os
import re
from pathlib import Path

import redis
from markupsafe import Markup
from sqlalchemy import text
from werkzeug.datastructures import FileStorage

from wsgikit import (
    Calls,
    ContextMiddleware,
    CsrfMiddleware,
    DatabaseMiddleware,
    ErrorPagesMiddleware,
    EventStream,
    PageCallsMiddleware,
    PageReply,
    Router,
    RouterMiddleware,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    StaticMiddleware,
    abort,
    build_stack,
    db,
    use,
)
from wsgikit.http.event_stream import Event

HERE = Path(__file__).parent
calls = Calls()
router = Router(__name__)

# ---------------------------------------------------------------------- notes

ITEM = Markup(
    '<li id="note-{id}">{text} <button data-call="delete_note" data-args=\'{{"id": {id}}}\'>Delete</button></li>'
)


@calls.function
def list_notes() -> PageReply:
    rows = db.execute(text("SELECT id, text FROM note ORDER BY id"))
    return PageReply().html("#notes", Markup("").join(ITEM.format(id=row.id, text=row.text) for row in rows))


@calls.function
def save_note(note: str) -> PageReply:
    if not note.strip():
        abort(422, "A note needs a text.")
    added = db.execute(text("INSERT INTO note (text) VALUES (:note)"), {"note": note})
    item = ITEM.format(id=added.lastrowid, text=note)
    return PageReply(added.lastrowid).html_append("#notes", item).call("noteSaved", [note])


@calls.function
def delete_note(id: int) -> PageReply:  # noqa: A002  # the page's name for it
    db.execute(text("DELETE FROM note WHERE id = :id"), {"id": id})
    return PageReply().remove(f"#note-{id}")


@calls.function
def count_words():
    """Show how far it is while it works: a generator streams what it yields."""
    rows = db.execute(text("SELECT text FROM note ORDER BY id")).all()
    words = 0
    for number, row in enumerate(rows, 1):
        words += len(row.text.split())
        yield PageReply().html("#progress", f"{number} of {len(rows)}")
    return words


# ---------------------------------------------------------------------- chat

CHAT = os.environ.get("CHAT_STREAM", "chat")
store = redis.Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), decode_responses=True)


@calls.function
def say(message: str) -> None:
    store.xadd(CHAT, {"text": message[:500]}, maxlen=1000)


@router.get("/chat/events")
def chat_events():
    return EventStream(messages_after, retry_seconds=2)


def messages_after(last_id):
    """Follow a stream of Redis from the last event that the browser got: nothing is lost when it connects again."""
    if last_id is None or not re.fullmatch(r"\d{1,18}-\d{1,18}", last_id, re.ASCII):
        newest = store.xrevrange(CHAT, count=1)
        last_id = newest[0][0] if newest else "0-0"
    while True:
        found = store.xread({CHAT: last_id}, block=5000)
        for last_id, fields in found[0][1] if found else ():
            yield Event(fields["text"], id=last_id)
        if not found:
            yield None  # nothing yet: a stream whose reader has left ends here


# ---------------------------------------------------------------------- upload


@calls.function
def measure(file: FileStorage) -> str:
    size = sum(len(chunk) for chunk in iter(lambda: file.stream.read(65_536), b""))
    return f"{file.filename}: {size} bytes"


# ---------------------------------------------------------------------- the stack


def wrap(app):
    """Put the layers around an application, which serves the pages."""
    return build_stack(
        app,
        ContextMiddleware,
        ErrorPagesMiddleware,
        use(
            SecurityHeadersMiddleware,
            csp={"script-src": "'self'", "style-src": "'self'"},
            csp_upgrade="https",
        ),
        use(StaticMiddleware, root=HERE / "static"),
        use(SessionMiddleware, secret_key=os.environ["SECRET_KEY"]),
        CsrfMiddleware,
        use(DatabaseMiddleware, url=os.environ.get("DATABASE_URL", f"sqlite:///{HERE}/notes.db")),
        use(PageCallsMiddleware, functions=calls, max_upload_bytes="32MiB"),
        use(RouterMiddleware, router=router),
    )


def create_tables(stack):
    """Create the table of notes if it isn't there."""
    with stack.app_context():
        db.execute(text("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"))
        db.commit()
