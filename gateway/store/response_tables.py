"""The tables of stored responses, which SQLite has in a file of their own.

Nothing here refers to the ledger: credits never depend on what is kept.
"""

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index, Text
from sqlmodel import Field, SQLModel

from gateway.store.columns import BIG, moment_column


class ResponseRow(SQLModel, table=True):
    """One response with its whole input, sealed for its account."""

    __tablename__ = "response"
    __table_args__ = (Index("response_expiry", "expires_at"),)
    account_id: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    id: str = Field(primary_key=True)
    sealed: str = Field(sa_column=Column(Text, nullable=False))
    expires_at: datetime = moment_column()


class ResponseItemRow(SQLModel, table=True):
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
    account_id: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    id: str = Field(primary_key=True)
    response_id: str
    sealed: str = Field(sa_column=Column(Text, nullable=False))
    expires_at: datetime = moment_column()
