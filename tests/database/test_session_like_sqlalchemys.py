"""The session of a request beside one of SQLAlchemy's: whatever is done with both, they do and say the same."""

from __future__ import annotations

import os

import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from wsgikit.database.middleware import DatabaseMiddleware
from wsgikit.database.orm import RequestSession
from wsgikit.database.queries import Queries
from wsgikit.database.work import Work

EXAMPLES = int(os.environ.get("WSGIKIT_SESSION_EXAMPLES", "400"))


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "session_note"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str]


class Answer(Base):
    __tablename__ = "session_answer"
    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column(sa.ForeignKey("session_note.id", deferrable=True, initially="DEFERRED"))


INSERT = sa.text("INSERT INTO session_note (id, body) VALUES (:id, 'text')")
COUNT = sa.text("SELECT count(*) FROM session_note")
IDS = sa.text("SELECT id FROM session_note ORDER BY id")
ORPHAN = sa.text("INSERT INTO session_answer (note_id) VALUES (99)")
CHANGE = sa.text("UPDATE session_note SET body = 'changed by text' WHERE id = :id")
WRONG = sa.text("SELECT nonsense FROM session_note")
HEARD = ("before_commit", "after_commit", "after_rollback")


class Side:
    """A session with what is done to it and what comes of that."""

    def __init__(self, session, layer):
        self.session = session
        self.layer = layer
        self.savepoints = []
        self.heard = []
        self.held = []

    def do(self, step, number):
        """Do one step; return what it gave, or the class of what it raised."""
        try:
            outcome = getattr(self, step)(number)
        except Exception as error:
            outcome = type(error)
        return step, outcome, self.session.in_transaction(), self.session.in_nested_transaction(), list(self.heard)

    def text_insert(self, number):
        return self.session.execute(INSERT, {"id": number}).rowcount

    def text_change(self, number):
        return self.session.execute(CHANGE, {"id": number}).rowcount

    def text_count(self, _):
        return self.session.scalar(COUNT)

    def text_ids(self, _):
        return self.session.scalars(IDS).all()

    def text_with_options(self, number):
        return self.session.execute(IDS, execution_options={"number": number}).fetchall()

    def text_orphan(self, _):
        """Insert what can't be committed."""
        return self.session.execute(ORPHAN).rowcount

    def text_wrong(self, _):
        return self.session.execute(WRONG)

    def text_by_connection(self, number):
        return self.session.connection().execute(INSERT, {"id": number}).rowcount

    def select_table(self, _):
        return self.session.execute(sa.select(Note.__table__).order_by(Note.__table__.c.id)).all()

    def add(self, number):
        self.session.add(Note(id=number, body="object"))

    def add_broken(self, number):
        self.session.add(Note(id=number, body=None))

    def get(self, number):
        note = self.session.get(Note, number)
        if note is not None:
            self.held.append(note)
            return note.body
        return None

    def look_at_what_is_held(self, _):
        return [note.body for note in self.held]

    def change(self, number):
        note = self.session.get(Note, number)
        if note is not None:
            note.body = "changed"

    def delete(self, number):
        note = self.session.get(Note, number)
        if note is not None:
            self.session.delete(note)

    def select(self, _):
        return [note.body for note in self.session.scalars(sa.select(Note).order_by(Note.id))]

    def flush(self, _):
        self.session.flush()

    def expire(self, _):
        self.session.expire_all()

    def expunge(self, _):
        self.session.expunge_all()

    def commit(self, _):
        self.session.commit()

    def rollback(self, _):
        self.session.rollback()

    def close(self, _):
        self.session.close()

    def reset(self, _):
        self.session.reset()

    def begin(self, _):
        self.session.begin()

    def begin_in_a_block(self, number):
        with self.session.begin():
            return self.text_insert(number)

    def begin_nested(self, _):
        self.savepoints.append(self.session.begin_nested())

    def commit_nested(self, _):
        if self.savepoints:
            self.savepoints.pop().commit()

    def rollback_nested(self, _):
        if self.savepoints:
            self.savepoints.pop().rollback()

    def has_transaction(self, _):
        return self.session.get_transaction() is not None

    def commit_transaction(self, _):
        transaction = self.session.get_transaction()
        if transaction is not None:
            transaction.commit()

    def is_active(self, _):
        return self.session.is_active

    def hear(self, number):
        name = HEARD[number % len(HEARD)]
        event.listen(self.session, name, lambda *_: self.heard.append((name, committed(self.layer))))


STEPS = [name for name in vars(Side) if not name.startswith("_") and name != "do"]
SEEN = sa.text("SELECT id, body FROM session_note ORDER BY id")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A layer, and an engine that is set up alike, each with its own database."""
    folder = tmp_path_factory.mktemp("sessions")
    layers = [
        DatabaseMiddleware(
            lambda environ, start_response: [], url=f"sqlite:///{folder}/{name}.db", connect_args={"timeout": 0}
        )
        for name in ("ours", "theirs")
    ]
    for layer in layers:
        event.listen(layer.engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
        Base.metadata.create_all(layer.engine)
    yield layers
    for layer in layers:
        layer.close()


def history(*names, number=2):
    return [(name, number) for name in names]


@example(history("text_insert", "add", "expunge", "commit"), {})
@example(history("text_insert", "add", "expunge", "rollback"), {})
@example(history("text_orphan", "commit", "rollback", "text_insert", "commit"), {})
@example(history("text_orphan", "commit", "close", "text_insert", "commit"), {})
@example(history("text_orphan", "commit"), {})
@example(history("text_insert", "hear", "commit", number=4), {})
@example(history("hear", "text_insert", "commit", number=4), {})
@example(history("text_insert", "hear", "rollback"), {})
@example(history("hear", "text_insert", "rollback"), {})
@example([("get", 1), ("commit", 1), ("text_change", 1), ("rollback", 1), ("look_at_what_is_held", 1)], {})
@example(
    [("get", 1), ("commit", 1), ("text_change", 1), ("rollback", 1), ("look_at_what_is_held", 1)],
    {"expire_on_commit": False},
)
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(1, 4)), max_size=14),
    options=st.sampled_from([{}, {"expire_on_commit": False}, {"autoflush": False}]),
)
def test_it_does_what_one_of_sqlalchemys_does(pair, steps, options):
    layer, other = pair
    for one in pair:
        with one.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM session_note"))
            connection.execute(INSERT, {"id": 1})
    work = Work(layer.source, {}, Queries())
    work.target = RequestSession(layer.engine, work, options)
    ours, theirs = Side(work.target, layer), Side(Session(other.engine, **options), other)
    try:
        for step, number in steps:
            mine, other_one = ours.do(step, number), theirs.do(step, number)
            if step.startswith(("commit", "begin_in")) and isinstance(other_one[1], type):
                assert mine[1] is other_one[1]  # what may be done now but to roll back is its own matter
                mine, other_one = ours.do("rollback", 0), theirs.do("rollback", 0)
            assert mine == other_one
            if step in ("commit", "rollback", "close", "reset", "begin_in_a_block", "commit_transaction"):
                assert committed(layer) == committed(other), step
    finally:
        work.release()
        theirs.session.close()
    assert committed(layer) == committed(other)


def committed(layer):
    """What another connection sees."""
    with layer.engine.connect() as connection:
        return connection.execute(SEEN).all()


@pytest.mark.parametrize("target", [Session, RequestSession], ids=["all sessions", "those of requests"])
@pytest.mark.parametrize("name", ["do_orm_execute", "after_begin", "before_commit", "after_commit"])
def test_who_listens_to_all_sessions_hears_of_a_statement_in_words(wrap, sqlite, call, ok, target, name):
    def app(environ, start_response):
        environ["wsgikit.db"].execute(sa.text("INSERT INTO notes (text) VALUES ('row')"))
        return ok(start_response)

    def listen(*_):
        heard.append(name)

    heard = []
    layer = wrap(app, url=sqlite.url)
    call(layer)
    event.listen(target, name, listen)
    try:
        call(layer)
    finally:
        event.remove(target, name, listen)
    assert heard == [name]
    call(layer)
    assert heard == [name]
