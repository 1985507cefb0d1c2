"""Rows that may be there already, which SQLModel itself does not insert."""

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel


def insert_into(session: Session, table: type[SQLModel]) -> Any:
    """An INSERT that may have an ON CONFLICT, as the session's database writes it."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    return dialect.insert(table)
