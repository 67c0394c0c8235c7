import pytest
from models import User
from sqlalchemy.exc import IntegrityError

from wsgikit import db


def test_the_users_are_listed_by_name(client, stack):
    assert "Nobody yet." in client.get("/users").text
    with stack.app_context():
        db.add_all([User(username="bo", email="bo@example.org"), User(username="ann", email="ann@example.org")])
        db.commit()
    assert [item.text for item in client.get("/users").html.find_all("li")] == [
        "ann (ann@example.org)",
        "bo (bo@example.org)",
    ]


@pytest.mark.parametrize("second", [("ann", "other@example.org"), ("other", "ann@example.org")], ids=["name", "email"])
def test_a_name_and_an_email_address_are_unique(client, stack, second):
    with stack.app_context():
        db.add(User(username="ann", email="ann@example.org"))
        db.flush()
        db.add(User(username=second[0], email=second[1]))
        with pytest.raises(IntegrityError):
            db.flush()
        db.rollback()


def test_the_migrations_make_what_the_models_say(stack):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from models import Base

    from wsgikit import DatabaseMiddleware

    with stack.find(DatabaseMiddleware).engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
