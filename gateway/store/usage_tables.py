"""The tables of usage: what accounts have used, added up behind the charge (`usage_rounds`).

All of it can be made again from the ledger; nothing of it decides on a charge. No foreign keys:
their checks would lock accounts that are being charged.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index
from sqlmodel import Field, SQLModel

from gateway.store.columns import BIG


def _number() -> Any:
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class SumsRow(SQLModel):
    """Sums over some requests.

    Charges, their requests and their tokens count when the charge was made; refunds and requests
    that failed when the credits went back.
    """

    requests: int = _number()
    failed: int = _number()
    charged: int = _number()
    refunded: int = _number()
    input_tokens: int = _number()
    cached_tokens: int = _number()
    cache_write_tokens: int = _number()
    output_tokens: int = _number()
    reasoning_tokens: int = _number()


class UsageRow(SumsRow):
    """The sums of one account, key, model and route over one hour or day, in UTC."""

    account_id: int = Field(primary_key=True, sa_type=BIG)
    #: hours, or days, since 1970
    start: int = Field(primary_key=True, sa_type=BIG)
    api_key_id: int = Field(primary_key=True, sa_type=BIG)
    model: str = Field(primary_key=True)
    route: str = Field(primary_key=True)


class UsageDay(UsageRow, table=True):
    """Sums of days, for good."""

    __tablename__ = "usage_day"


class UsageHour(UsageRow, table=True):
    """Sums of hours, kept for `HOURS_KEPT`."""

    __tablename__ = "usage_hour"
    __table_args__ = (Index("usage_hour_start", "start"),)


class TagRow(SumsRow):
    """The same sums, of those requests that have a tag: one name and one value of it."""

    account_id: int = Field(primary_key=True, sa_type=BIG)
    name: str = Field(primary_key=True)
    start: int = Field(primary_key=True, sa_type=BIG)
    value: str = Field(primary_key=True)
    api_key_id: int = Field(primary_key=True, sa_type=BIG)
    model: str = Field(primary_key=True)
    route: str = Field(primary_key=True)


class TagDay(TagRow, table=True):
    """Sums of days, for good."""

    __tablename__ = "usage_tag_day"
    # Which values a day has is asked whenever more of it is counted.
    __table_args__ = (Index("usage_tag_day_values", "account_id", "start", "name", "value"),)


class TagHour(TagRow, table=True):
    """Sums of hours, kept for `HOURS_KEPT`."""

    __tablename__ = "usage_tag_hour"
    __table_args__ = (Index("usage_tag_hour_start", "start"),)


class UsageCheckpoint(SQLModel, table=True):
    """An account's entries up to `entry_id` are counted; they have the sum `credits`.

    `unmarked` of them came after the account's last mark.
    """

    __tablename__ = "usage_checkpoint"
    account_id: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    entry_id: int = Field(sa_type=BigInteger)
    credits: int = Field(sa_type=BigInteger)
    unmarked: int = 0


class UsageMark(SQLModel, table=True):
    """The balance of an account right after one of its entries; there is one every so often."""

    __tablename__ = "usage_mark"
    account_id: int = Field(primary_key=True, sa_type=BIG)
    entry_id: int = Field(primary_key=True, sa_type=BIG)
    balance: int = Field(sa_type=BigInteger)


class UsageOpen(SQLModel, table=True):
    """A request that is counted and had not ended then: its tokens are counted when it has."""

    __tablename__ = "usage_open"
    request_id: str = Field(primary_key=True)
