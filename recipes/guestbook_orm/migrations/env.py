"""Runs the migrations on the database that the application uses."""

import sys
from pathlib import Path

from alembic import context

sys.path.insert(0, str(Path(__file__).parents[1]))

from app import app
from models import Base

from wsgikit import DatabaseMiddleware

layer = app.find(DatabaseMiddleware)
assert layer is not None, "the stack has a database"

with layer.engine.connect() as connection:
    # SQLite changes a table by making a new one: "batch".
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
