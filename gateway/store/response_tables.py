"""The tables of stored responses: their own file in SQLite, the same database in PostgreSQL.

    response ──< response_item      both read by account and id, and only until they expire

What a response says is in `sealed` alone, encrypted for its account. Nothing here refers to the
ledger: credits never depend on what is kept.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKeyConstraint, Index, Text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement
from sqlmodel import Field, SQLModel

from gateway.store.tables import BIG, UtcDateTime


def _account_id() -> Any:
    return Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))


def _sealed() -> Any:
    return Field(sa_column=Column(Text, nullable=False))


def _moment() -> Any:
    return Field(sa_column=Column(UtcDateTime, nullable=False))


class Response(SQLModel, table=True):
    """One response with its whole input."""

    __tablename__ = "response"
    __table_args__ = (Index("response_expiry", "expires_at"),)
    account_id: int = _account_id()
    id: str = Field(primary_key=True)
    sealed: str = _sealed()
    expires_at: datetime = _moment()


class ResponseItem(SQLModel, table=True):
    """One output item, to be named by reference; it goes with its response."""

    __tablename__ = "response_item"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "response_id"],
            ["response.account_id", "response.id"],
            ondelete="CASCADE",
        ),
        Index("response_item_response", "account_id", "response_id"),
    )
    account_id: int = _account_id()
    id: str = Field(primary_key=True)
    response_id: str
    sealed: str = _sealed()
    expires_at: datetime = _moment()


def sqlite_schema() -> list[str]:
    """The statements that make both tables in a SQLite file that may have them already."""
    statements: list[str] = []
    for model in (Response, ResponseItem):
        table = SQLModel.metadata.tables[str(model.__tablename__)]
        making: list[DDLElement] = [CreateTable(table, if_not_exists=True)]
        making += [CreateIndex(index, if_not_exists=True) for index in table.indexes]
        statements += [str(element.compile(dialect=sqlite.dialect())) for element in making]
    return statements
