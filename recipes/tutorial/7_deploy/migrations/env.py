"""Runs the migrations on the database of the ini file that BLOG_INI names; development.ini without it."""

import os
from pathlib import Path

from alembic import context

from wsgikit import DatabaseMiddleware
from wsgikit.ini import load_stack

HERE = Path(__file__).parents[1]

with load_stack(str(HERE / os.environ.get("BLOG_INI", "development.ini"))) as stack:
    from models import Base  # the ini file has put its folder on the import path

    with stack.find(DatabaseMiddleware).engine.connect() as connection:
        # SQLite can't change a column: Alembic copies the table ("batch").
        context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
