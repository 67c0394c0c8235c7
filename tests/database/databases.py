"""The three databases of these tests: an empty one each, on real servers, dropped when the tests end.

It is a plain module, loaded by path, so that the tests of frameworks can share it.
"""

from __future__ import annotations

import os
import uuid

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

NAMES = ("sqlite", "postgresql", "mariadb")
SERVERS = {
    "postgresql": ("postgresql+psycopg://postgres@127.0.0.1:5432/", "test"),
    "mariadb": ("mysql+pymysql://root@127.0.0.1:3306/", "test"),
}
METADATA = sa.MetaData()
NOTES = sa.Table(
    "notes",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("text", sa.String(100), nullable=False),
)


class Base(DeclarativeBase):
    metadata = METADATA


class Note(Base):
    __table__ = NOTES


class Database:
    """A database of the test's own.

    Attributes:
        name: ``"sqlite"``, ``"postgresql"`` or ``"mariadb"``.
        url: for SQLAlchemy.
        engine: of the test itself, beside the layer's.
    """

    def __init__(self, name, url):
        self.name = name
        self.url = url
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)

    def connect(self):
        """Return a new connection of the driver itself."""
        url = self.engine.url
        if self.name == "sqlite":
            import sqlite3

            return sqlite3.connect(url.database, check_same_thread=False, timeout=5)
        if self.name == "postgresql":
            import psycopg

            return psycopg.connect(host=url.host, port=url.port, user=url.username, dbname=url.database)
        import pymysql

        return pymysql.connect(host=url.host, port=url.port, user=url.username, database=url.database)

    def texts(self):
        """Return what is committed in the table."""
        with self.engine.connect() as connection:
            return list(connection.scalars(sa.select(NOTES.c.text).order_by(NOTES.c.id)))

    def clear(self):
        with self.engine.begin() as connection:
            connection.execute(sa.delete(NOTES))

    def run(self, *statements):
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


def make_database(name, folder):
    """Make an empty database with the table in it; return it and what drops it."""
    if name == "sqlite":
        database = Database(name, f"sqlite:///{folder}/notes.db")
        METADATA.create_all(database.engine)
        return database, lambda: None
    server, first = SERVERS[name]
    unique = f"wsgikit_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    admin = sa.create_engine(server + first, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {unique}")
    database = Database(name, server + unique)
    METADATA.create_all(database.engine)

    def drop():
        database.engine.dispose()
        with admin.connect() as connection:
            force = " WITH (FORCE)" if name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP DATABASE {unique}{force}")

    return database, drop
