"""The tests run the production file, on a new database that the migrations make."""

import os
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = tempfile.TemporaryDirectory()
os.environ["BLOG_INI"] = "production.ini"
os.environ["SECRET_KEY"] = "only for tests, only for tests, only for tests"
os.environ["DATABASE_URL"] = f"sqlite:///{FOLDER.name}/test.db"


@pytest.fixture(scope="session")
def stack():
    from alembic import command
    from alembic.config import Config

    from wsgikit.ini import load_stack

    command.upgrade(Config(str(HERE / "alembic.ini")), "head")
    with load_stack(str(HERE / "production.ini")) as stack:
        yield stack
    FOLDER.cleanup()


# A request as nginx passes it on.
NGINX = {
    "HTTP_HOST": "blog.example.org",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_X_FORWARDED_PROTO": "https",
    "wsgi.url_scheme": "https",  # for the client: it keeps secure cookies for https only
}


@pytest.fixture
def client(stack, client_for, roll_back):
    roll_back(stack)  # what a test writes is gone at its end
    return client_for(stack, extra_environ=NGINX)
