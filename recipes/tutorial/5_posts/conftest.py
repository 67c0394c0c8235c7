"""Each run of the tests has a new database, made by the migrations."""

import os
import tempfile
from pathlib import Path

import pytest

FOLDER = tempfile.TemporaryDirectory()
os.environ["DATABASE_URL"] = f"sqlite:///{FOLDER.name}/test.db"  # before app.py is imported


@pytest.fixture(scope="session")
def stack():
    from alembic import command
    from alembic.config import Config
    from app import app

    command.upgrade(Config(str(Path(__file__).with_name("alembic.ini"))), "head")
    with app:
        yield app
    FOLDER.cleanup()


@pytest.fixture
def client(stack, client_for, roll_back):
    roll_back(stack)  # what a test writes is gone at its end
    return client_for(stack)
