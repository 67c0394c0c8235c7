"""Runs the migrations on the database of the blog."""

from alembic import context
from app import app
from models import Base

from wsgikit import DatabaseMiddleware

with app.find(DatabaseMiddleware).engine.connect() as connection:
    # SQLite can't change a column: Alembic copies the table ("batch").
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
