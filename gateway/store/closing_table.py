"""The table of closings: of which accounts older entries were moved out of the ledger."""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import BigInteger, Column
from sqlmodel import Field, Session, SQLModel

from gateway.store.columns import BIG, moment_column


class Closing(SQLModel, table=True):
    """An account's requests of before `before` are moved: `entries` of them, over all closings.

    The entry `entry_id` has their sum.
    """

    __tablename__ = "closing"
    # No foreign key: its check would lock accounts that are being charged.
    account_id: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    before: datetime = moment_column()
    entry_id: int = Field(sa_type=BigInteger)
    entries: int = Field(sa_type=BigInteger)


class ClosingState(Struct, frozen=True):
    """The moment of an account's last closing, and the entries that all of them have moved."""

    before: datetime
    entries: int


def read_closing(session: Session, account_id: int) -> ClosingState | None:
    """The closings of an account, if there was one."""
    closing = session.get(Closing, account_id, populate_existing=True)
    return None if closing is None else ClosingState(closing.before, closing.entries)
