"""The tables of charged requests: those that have not ended, tokens, standing charges, replicas."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Column, Index, func
from sqlmodel import Field, SQLModel

from gateway.store.columns import UtcDateTime, big_column, moment_column


class Hold(SQLModel, table=True):
    """A charged request that has not ended yet; deleted exactly once, by end or by refund."""

    __tablename__ = "hold"
    # No index by replica: every request would write it twice, for a look every few seconds at the
    # few rows there are.
    request_id: str = Field(primary_key=True)
    account_id: int = big_column()
    api_key_id: int = big_column()
    replica_id: str
    credits: int = big_column()
    day: date | None = None
    #: of a key whose row counts; gateways of the release before do not give it back
    month: date | None = None
    #: the accounts whose limits count it, each with its UTC day: [[id, "2026-11-30"], …]
    counted: Any = Field(default=None, sa_column=Column(JSON(none_as_null=True), nullable=True))
    created_at: datetime = Field(
        sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )


class RequestUsage(SQLModel, table=True):
    """Tokens of one ended request."""

    __tablename__ = "request_usage"
    request_id: str = Field(primary_key=True)
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    # Gateways of the release before do not write it.
    cache_write_tokens: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    #: JSON, of a request with token prices: the parts of its price
    price: str | None = None


class RequestTags(SQLModel, table=True):
    """The tags of a charged request that has some, as a JSON object of texts."""

    __tablename__ = "request_tags"
    request_id: str = Field(primary_key=True)
    tags: str


class StandingChargeRow(SQLModel, table=True):
    """The charge of a request whose client left before any content of its answer had come.

    It stands for later attempts with its `idempotency_key`: `retries` of them so far. `credits`
    are what the request has cost.
    """

    __tablename__ = "standing_charge"
    __table_args__ = (
        Index("standing_charge_account", "account_id", "idempotency_key"),
        CheckConstraint("retries BETWEEN 0 AND 3", name="standing_charge_retries"),
    )
    request_id: str = Field(primary_key=True)
    account_id: int = big_column()
    model: str
    idempotency_key: str
    credits: int = big_column()
    retries: int
    created_at: datetime = moment_column()


class RetryRow(SQLModel, table=True):
    """A request that costs `credits` less than its price: the charge of an earlier one stands."""

    __tablename__ = "retry"
    __table_args__ = (Index("retry_earlier", "earlier_id"),)
    request_id: str = Field(primary_key=True)
    earlier_id: str
    credits: int = big_column()


class Replica(SQLModel, table=True):
    """One start of a gateway; its lease is over when `seen_at` has not changed for so long."""

    __tablename__ = "replica"
    id: str = Field(primary_key=True)
    release: str
    started_at: datetime = moment_column()
    seen_at: datetime = moment_column()
    # Gateways of the release before do not write it: theirs is taken to be as long as ours.
    lease_seconds: float | None = None
