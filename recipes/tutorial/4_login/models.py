"""What is in the database."""

from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.security import check_password_hash, generate_password_hash


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(80), unique=True)
    email: Mapped[str] = mapped_column(String(120), unique=True)
    password: Mapped[str] = mapped_column(String(255), default="")  # a hash; an empty one matches no password
    is_admin: Mapped[bool] = mapped_column(default=False)

    def set_password(self, text: str) -> None:
        self.password = generate_password_hash(text)

    def has_password(self, text: str) -> bool:
        return check_password_hash(self.password, text)
