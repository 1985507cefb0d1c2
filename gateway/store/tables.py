"""The tables. Their rows are the truth; statuses, metrics and memory are reports of it.

    account ──< api_key ──< api_key_hash            who may charge what
       │           ├─────< api_key_day              credits a day, for keys with a limit of it
       │           └────── api_key_use              when a key was last used
       ├──────< credit_grant                        lots: what is left of each grant
       ├──────< entry                               the ledger: immutable rows
       ├──────< change_log                          changes of keys and grants (`change_log`)
       ├────── closing                              entries that were moved out (`closing_table`)
       ├────── audit_checkpoint                     how far the audit has counted
       ├────── usage_checkpoint                     how far usage is counted (`usage_tables`)
       ├──────< standing_charge ──< retry           charges that stand for a later attempt
       └──────< hold >────── replica                charged requests that have not ended yet

    balance(account) = sum(entry.credits), never below zero.

    response ──< response_item      stored responses, read until they expire; apart from all else

Two unique constraints carry the promises: `entry(request_id, kind)` allows a request one charge
and one refund, `entry(grant_id, kind)` a grant one posting, one expiry and one void.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine
from sqlmodel import Field, SQLModel

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


def _id() -> Any:
    return Field(default=None, sa_column=Column(BIG, primary_key=True, autoincrement=True))


def _reference(target: str, *, nullable: bool = False, index: bool = False) -> Any:
    column: Column[int] = Column(BIG, ForeignKey(target), nullable=nullable, index=index)
    return Field(default=None, sa_column=column)


def _big(*, nullable: bool = False, default: int | None = None) -> Any:
    column: Column[int] = Column(
        BigInteger,
        nullable=nullable,
        server_default=None if default is None else str(default),
    )
    return Field(default=default, sa_column=column)


def moment_column(*, nullable: bool = False) -> Any:
    column: Column[datetime] = Column(UtcDateTime, nullable=nullable)
    return Field(default=None, sa_column=column)


class SchemaSupport(SQLModel, table=True):
    """One row: the oldest release that this schema still serves."""

    __tablename__ = "schema_support"
    id: int = Field(primary_key=True)
    oldest_release: str


class Installation(SQLModel, table=True):
    """One row per installation: the fingerprint of the secret that all key hashes depend on."""

    __tablename__ = "installation"
    name: str = Field(primary_key=True)
    secret_fingerprint: str


class Account(SQLModel, table=True):
    """The payer. `surplus` is what late refunds left beside all grants; it never expires.

    `granted` is the balance right after the latest grant was posted, and `announced` the highest
    share of it, in percent, of which it was announced that it is used.
    """

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("installation", "namespace", "name"),
        CheckConstraint("balance >= 0", name="account_balance_not_negative"),
        CheckConstraint("surplus >= 0", name="account_surplus_not_negative"),
    )
    id: int = _id()
    installation: str
    namespace: str
    name: str
    balance: int = _big(default=0)
    surplus: int = _big(default=0)
    granted: int = _big(default=0)
    announced: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    next_expiry: datetime | None = moment_column(nullable=True)
    created_at: datetime = moment_column()


class ApiKeyRow(SQLModel, table=True):
    """One key's row; never deleted. `version` is the value of `key_version` it got.

    `origin`: an *object*'s key is reconciled with it, by its name; a *person*'s is changed here and
    nowhere else. Its name is its key id, which no object can have, and its `installation` is not
    that of objects (`people_of`): a release that knows no origin must not miss its object. `scope`:
    *inference*, or *manage*, which may not infer. `person_id` is the one who made it, if known.
    """

    __tablename__ = "api_key"
    __table_args__ = (
        UniqueConstraint("installation", "namespace", "name"),
        Index("api_key_version", "version"),
        # The keys that a gateway reads when it starts: most keys ever issued are revoked.
        Index(
            "api_key_live",
            "version",
            postgresql_where=text("revoked_at IS NULL"),
            sqlite_where=text("revoked_at IS NULL"),
        ),
    )
    id: int = _id()
    key_id: str = Field(unique=True)
    installation: str
    namespace: str
    name: str
    uid: str = ""
    origin: str = Field(default="object", sa_column_kwargs={"server_default": "object"})
    scope: str = Field(default="inference", sa_column_kwargs={"server_default": "inference"})
    #: a name that people give a key, and change
    label: str = Field(default="", sa_column_kwargs={"server_default": ""})
    person_id: int | None = _big(nullable=True)
    account_id: int = _reference("account.id", index=True)
    prefix: str
    models: list[str] = Field(default_factory=list, sa_column=Column(Names, nullable=False))
    credits_per_day: int | None = _big(nullable=True)
    credits_per_month: int | None = _big(nullable=True)
    #: the limit for good
    credits: int | None = _big(nullable=True)
    # Charged to a key with a limit of the month or for good. Here, because a charge reads the row
    # with a lock, and so both before it counts anything; only charges and refunds write them.
    used_month: date | None = None
    used_in_month: int = _big(default=0)
    used_ever: int = _big(default=0)
    requests_per_minute: int | None = None
    concurrent_requests: int | None = None
    suspended: bool = False
    expires_at: datetime | None = moment_column(nullable=True)
    revoked_at: datetime | None = moment_column(nullable=True)
    generation: int = 0
    version: int = _big()
    # Not used any more (see `ApiKeyUse`): gateways of the release before name it when they read.
    last_used_at: datetime | None = moment_column(nullable=True)
    created_at: datetime = moment_column()


class ApiKeyHash(SQLModel, table=True):
    """The HMAC of one plaintext of a key; at most two of a key are live."""

    __tablename__ = "api_key_hash"
    hash: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    api_key_id: int = _reference("api_key.id", index=True)
    pepper: int
    created_at: datetime = moment_column()
    expires_at: datetime | None = moment_column(nullable=True)
    revoked_at: datetime | None = moment_column(nullable=True)


class ApiKeyDay(SQLModel, table=True):
    """Credits charged to a capped key on one UTC day."""

    __tablename__ = "api_key_day"
    api_key_id: int = Field(sa_column=Column(BIG, ForeignKey("api_key.id"), primary_key=True))
    day: date = Field(primary_key=True)
    credits: int = _big()


class ApiKeyUse(SQLModel, table=True):
    """When a key was last used. Beside the key's row, which every charge of it locks."""

    __tablename__ = "api_key_use"
    api_key_id: int = Field(sa_column=Column(BIG, ForeignKey("api_key.id"), primary_key=True))
    used_at: datetime = moment_column()


class KeyVersion(SQLModel, table=True):
    """One row that every change of a key increments in its own transaction."""

    __tablename__ = "key_version"
    id: int = Field(primary_key=True)
    version: int = _big()


_MAY_EXPIRE = "expires_at IS NOT NULL AND expired_at IS NULL AND voided_at IS NULL"


class CreditGrantRow(SQLModel, table=True):
    """One posted grant. `identity`: `<namespace>/ref:<reference>` or `<namespace>/name:<name>`."""

    __tablename__ = "credit_grant"
    __table_args__ = (
        UniqueConstraint("installation", "identity"),
        CheckConstraint("remaining >= 0", name="credit_grant_remaining_not_negative"),
        Index(
            "credit_grant_live",
            "account_id",
            "expires_at",
            "id",
            postgresql_where=text("remaining > 0"),
            sqlite_where=text("remaining > 0"),
        ),
        Index(
            "credit_grant_due",
            "account_id",
            "expires_at",
            "id",
            postgresql_where=text(_MAY_EXPIRE),
            sqlite_where=text(_MAY_EXPIRE),
        ),
    )
    id: int = _id()
    installation: str
    identity: str
    namespace: str
    name: str
    uid: str = ""
    account_id: int = _reference("account.id", index=True)
    credits: int = _big()
    remaining: int = _big()
    reason: str = ""
    expires_at: datetime | None = moment_column(nullable=True)
    payload_hash: str
    posted_at: datetime = moment_column()
    voided_at: datetime | None = moment_column(nullable=True)
    expired_at: datetime | None = moment_column(nullable=True)


class Entry(SQLModel, table=True):
    """One immutable row of the ledger. `kind`: grant, charge, refund, expiry or void.

    One of the kind `carry` has the sum of older ones that a closing moved out (`closing`).
    """

    __tablename__ = "entry"
    __table_args__ = (
        UniqueConstraint("request_id", "kind"),
        UniqueConstraint("grant_id", "kind"),
        Index("entry_account", "account_id", "id"),
        CheckConstraint(
            "(kind IN ('grant', 'refund') AND credits >= 0)"
            " OR (kind IN ('charge', 'expiry', 'void') AND credits <= 0) OR kind = 'carry'",
            name="entry_sign",
        ),
        CheckConstraint(
            "(kind IN ('charge', 'refund')) = (request_id IS NOT NULL)"
            " AND (kind IN ('grant', 'expiry', 'void')) = (grant_id IS NOT NULL)",
            name="entry_cause",
        ),
    )
    # No foreign keys: the statements that insert have the account locked, and a check per row would
    # be the dearest part of a charge.
    id: int = _id()
    account_id: int = _big()
    kind: str
    credits: int = _big()
    request_id: str | None = None
    grant_id: int | None = _big(nullable=True)
    api_key_id: int | None = _big(nullable=True)
    model: str | None = None
    route: str | None = None
    idempotency_key: str | None = None
    retry_count: int | None = None
    created_at: datetime = Field(
        sa_column=Column(UtcDateTime, nullable=False, server_default=func.now())
    )


class AuditCheckpoint(SQLModel, table=True):
    """An account's entries up to `entry_id` have the sum `credits`; all counted at `counted_at`.

    While they are counted once more, those up to `recount_entry_id` have `recount_credits`.
    """

    __tablename__ = "audit_checkpoint"
    # No foreign key: its check would lock accounts that are being charged.
    account_id: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    entry_id: int = _big()
    credits: int = _big()
    counted_at: datetime = moment_column()
    recount_entry_id: int = _big(default=0)
    recount_credits: int = _big(default=0)


class Hold(SQLModel, table=True):
    """A charged request that has not ended yet; deleted exactly once, by end or by refund."""

    __tablename__ = "hold"
    __table_args__ = (Index("hold_replica", "replica_id"),)
    request_id: str = Field(primary_key=True)
    account_id: int = _big()
    api_key_id: int = _big()
    replica_id: str
    credits: int = _big()
    day: date | None = None
    #: of a key whose row counts; gateways of the release before do not give it back
    month: date | None = None
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
    account_id: int = _big()
    model: str
    idempotency_key: str
    credits: int = _big()
    retries: int
    created_at: datetime = moment_column()


class RetryRow(SQLModel, table=True):
    """A request that costs `credits` less than its price: the charge of an earlier one stands."""

    __tablename__ = "retry"
    __table_args__ = (Index("retry_earlier", "earlier_id"),)
    request_id: str = Field(primary_key=True)
    earlier_id: str
    credits: int = _big()


class Replica(SQLModel, table=True):
    """One start of a gateway; its lease is over when `seen_at` has not changed for so long."""

    __tablename__ = "replica"
    id: str = Field(primary_key=True)
    release: str
    started_at: datetime = moment_column()
    seen_at: datetime = moment_column()
    # Gateways of the release before do not write it: theirs is taken to be as long as ours.
    lease_seconds: float | None = None
