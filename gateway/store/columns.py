"""The types of the tables' columns, and the columns and indexes that many tables have."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field

from gateway.store.moments import read_moment, utc_text
from gateway.store.unreadable import read_names


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment: timestamptz in PostgreSQL, sortable UTC text in SQLite.

    One that cannot be read is `UNREADABLE`.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(26))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return utc_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return read_moment(value)


class Names(TypeDecorator[list[str]]):
    """A list of texts. One that cannot be read holds `UNREADABLE_NAME` alone."""

    impl = JSON
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        decode = super().result_processor(dialect, coltype)

        def read(value: Any) -> list[str]:
            try:
                return read_names(decode(value) if decode else value)
            except (TypeError, ValueError):
                return read_names(None)

        return read


BIG = BigInteger().with_variant(Integer, "sqlite")


def id_column() -> Any:
    return Field(default=None, sa_column=Column(BIG, primary_key=True, autoincrement=True))


def reference_column(target: str) -> Any:
    """A foreign key with its index."""
    column: Column[int] = Column(BIG, ForeignKey(target), nullable=False, index=True)
    return Field(default=None, sa_column=column)


def big_column(*, nullable: bool = False, default: int | None = None) -> Any:
    column: Column[int] = Column(
        BigInteger,
        nullable=nullable,
        server_default=None if default is None else str(default),
    )
    return Field(default=default, sa_column=column)


def moment_column(*, nullable: bool = False) -> Any:
    column: Column[datetime] = Column(UtcDateTime, nullable=nullable)
    return Field(default=None, sa_column=column)


def partial_index(name: str, *columns: str, where: str) -> Index:
    """An index of the rows of which a condition is true."""
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))
