"""What the pages about sessions show runs, and what they list is what there is."""

import inspect
import re
from pathlib import Path

import pytest

from wsgikit.sessions.middleware import SessionMiddleware
from wsgikit.sessions.stores.base import SessionStore
from wsgikit.sessions.stores.sql import SqlStore

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ["howto/sessions.md", "reference/session-stores.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_python_on_the_page_runs_from_top_to_bottom(page):
    text = (DOCS / page).read_text()
    space = {"__name__": "docs"}
    blocks = list(re.finditer(r"^```python\n(.*?)^```", text, re.S | re.M))
    for match in blocks:
        line = text[: match.start()].count("\n") + 1
        exec(compile("\n" * line + match[1], str(DOCS / page), "exec"), space)
    assert len(blocks) == text.count("```python"), "each block was found, and ran"
    assert {PAGES[0]: "stack", PAGES[1]: "DictStore"}[page] in space


def test_the_functions_of_the_howto_do_what_it_says(secret):
    space = {"__name__": "docs"}
    for block in re.findall(r"^```python\n(.*?)^```", (DOCS / PAGES[0]).read_text(), re.S | re.M):
        exec(block, space)
    from webtest import TestApp

    client = TestApp(space["stack"])
    assert client.get("/a").text == "visit 1, 1 pages"
    assert client.get("/b").text == "visit 2, 2 pages"
    session = SessionMiddleware(lambda e, s: [], secret_key=secret, store="memory://").open_session(None)
    space["login"](session, 7)
    space["save_post"](session)
    assert space["next_page"](session) == [("info", "Saved.")]
    assert session.get_csrf_token() in space["form"](session)
    assert space["submitted"](session, {"csrf_token": session.get_csrf_token()})
    space["draw_ticket"](session)
    assert session["ticket"] == 1
    space["logout"](session)
    assert dict(session) == {}


def test_each_option_is_in_the_docstring_in_the_order_of_the_signature():
    names = [name for name in inspect.signature(SessionMiddleware.__init__).parameters if name != "self"]
    arguments = inspect.getdoc(SessionMiddleware).partition("Args:")[2].partition("Raises:")[0]
    assert re.findall(r"^    (\w+):", arguments, re.M) == names


def test_each_method_of_the_contract_is_on_its_page():
    table = (DOCS / PAGES[1]).read_text()
    for name, member in vars(SessionStore).items():
        if callable(member) and not name.startswith("_"):
            assert f"`{name}(" in table, name


def test_the_schema_on_the_page_is_the_schema_that_is_made(tmp_path):
    import sqlite3

    import sqlalchemy as sa

    schema = re.search(r"```sql\n(.*?)```", (DOCS / PAGES[1]).read_text(), re.S)[1]
    connection = sqlite3.connect(tmp_path / "shown.db")
    connection.executescript(schema)
    connection.close()
    store = SqlStore(f"sqlite:///{tmp_path}/made.db")
    store.create()
    store.close()

    def shape(name):
        engine = sa.create_engine(f"sqlite:///{tmp_path}/{name}.db")
        inspector = sa.inspect(engine)
        columns = {(c["name"], bool(c["nullable"])) for c in inspector.get_columns("wsgikit_sessions")}
        indexes = {(i["name"], *i["column_names"]) for i in inspector.get_indexes("wsgikit_sessions")}
        key = inspector.get_pk_constraint("wsgikit_sessions")["constrained_columns"]
        engine.dispose()
        return columns, indexes, key

    assert shape("shown") == shape("made")
    # It also is a table that the store can use as it is.
    store = SqlStore(f"sqlite:///{tmp_path}/shown.db", create_table=False)
    assert store.count() == 0
    store.close()
