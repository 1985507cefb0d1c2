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

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    func,
)
from sqlmodel import Field, SQLModel

from gateway.store.columns import (
    BIG,
    Names,
    UtcDateTime,
    big_column,
    id_column,
    moment_column,
    partial_index,
    reference_column,
)


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


# Of settings only: to count what is charged must not write another entry of an index. Of columns
# and not of `coalesce`, of which PostgreSQL would not know how seldom it is true.
_HAS_LIMIT = "credits_per_day IS NOT NULL OR credits_per_month IS NOT NULL OR credits IS NOT NULL"
_MAY_BE_LIMITED = f"{_HAS_LIMIT} OR parent_id IS NOT NULL"
_IS_LIMITED_KEY = f"({_HAS_LIMIT}) AND revoked_at IS NULL"


class Account(SQLModel, table=True):
    """The payer. `surplus` is what late refunds left beside all grants; it never expires.

    `granted` is the balance right after the latest grant was posted, and `announced` the highest
    share of it, in percent, of which it was announced that it is used. An Account object of the
    name `object_name` gave it its parent and limits (`groups`).
    """

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("installation", "namespace", "name"),
        partial_index("account_parent", "parent_id", where="parent_id IS NOT NULL"),
        # Those that may have a limit, their own or their parent's: others need no notices of it.
        partial_index("account_limited", "installation", where=_MAY_BE_LIMITED),
        CheckConstraint("balance >= 0", name="account_balance_not_negative"),
        CheckConstraint("surplus >= 0", name="account_surplus_not_negative"),
    )
    id: int = id_column()
    installation: str
    namespace: str
    name: str
    balance: int = big_column(default=0)
    surplus: int = big_column(default=0)
    granted: int = big_column(default=0)
    announced: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    next_expiry: datetime | None = moment_column(nullable=True)
    # No foreign key: its check would lock the parent out of turn.
    parent_id: int | None = big_column(nullable=True)
    credits_per_day: int | None = big_column(nullable=True)
    credits_per_month: int | None = big_column(nullable=True)
    #: the limit for good
    credits: int | None = big_column(nullable=True)
    # The limits of children that have no such limit of their own.
    child_credits_per_day: int | None = big_column(nullable=True)
    child_credits_per_month: int | None = big_column(nullable=True)
    child_credits: int | None = big_column(nullable=True)
    # Charged to it and those below it, while it has a limit, up to the UTC day `used_on`, in that
    # day and its month. Only charges and refunds write them.
    used_on: date | None = None
    used_in_day: int = big_column(default=0)
    used_in_month: int = big_column(default=0)
    used_ever: int = big_column(default=0)
    object_name: str | None = None
    object_uid: str | None = None
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
        # The keys of one person: those of objects have none.
        partial_index("api_key_person", "person_id", where="person_id IS NOT NULL"),
        # The keys that a gateway reads when it starts: most keys ever issued are revoked.
        partial_index("api_key_live", "version", where="revoked_at IS NULL"),
        # The keys that count what is charged to them.
        partial_index("api_key_limited", "account_id", where=_IS_LIMITED_KEY),
    )
    id: int = id_column()
    key_id: str = Field(unique=True)
    installation: str
    namespace: str
    name: str
    uid: str = ""
    origin: str = Field(default="object", sa_column_kwargs={"server_default": "object"})
    scope: str = Field(default="inference", sa_column_kwargs={"server_default": "inference"})
    #: a name that people give a key, and change
    label: str = Field(default="", sa_column_kwargs={"server_default": ""})
    person_id: int | None = big_column(nullable=True)
    account_id: int = reference_column("account.id")
    prefix: str
    models: list[str] = Field(default_factory=list, sa_column=Column(Names, nullable=False))
    credits_per_day: int | None = big_column(nullable=True)
    credits_per_month: int | None = big_column(nullable=True)
    #: the limit for good
    credits: int | None = big_column(nullable=True)
    # Charged to a key with a limit of the month or for good. Here, because a charge reads the row
    # with a lock, and so both before it counts anything; only charges and refunds write them.
    used_month: date | None = None
    used_in_month: int = big_column(default=0)
    used_ever: int = big_column(default=0)
    requests_per_minute: int | None = None
    concurrent_requests: int | None = None
    suspended: bool = False
    expires_at: datetime | None = moment_column(nullable=True)
    revoked_at: datetime | None = moment_column(nullable=True)
    generation: int = 0
    version: int = big_column()
    # Not used any more (see `ApiKeyUse`): gateways of the release before name it when they read.
    last_used_at: datetime | None = moment_column(nullable=True)
    created_at: datetime = moment_column()


class ApiKeyHash(SQLModel, table=True):
    """The HMAC of one plaintext of a key; at most two of a key are live.

    `asked` is the digest of the request that rotated the key, where it is not to be done again.
    """

    __tablename__ = "api_key_hash"
    hash: bytes = Field(sa_column=Column(LargeBinary(32), primary_key=True))
    api_key_id: int = reference_column("api_key.id")
    pepper: int
    created_at: datetime = moment_column()
    expires_at: datetime | None = moment_column(nullable=True)
    revoked_at: datetime | None = moment_column(nullable=True)
    asked: bytes | None = Field(default=None, sa_column=Column(LargeBinary(32), nullable=True))


class ApiKeyDay(SQLModel, table=True):
    """Credits charged to a capped key on one UTC day."""

    __tablename__ = "api_key_day"
    api_key_id: int = Field(sa_column=Column(BIG, ForeignKey("api_key.id"), primary_key=True))
    day: date = Field(primary_key=True)
    credits: int = big_column()


class ApiKeyUse(SQLModel, table=True):
    """When a key was last used. Beside the key's row, which every charge of it locks."""

    __tablename__ = "api_key_use"
    api_key_id: int = Field(sa_column=Column(BIG, ForeignKey("api_key.id"), primary_key=True))
    used_at: datetime = moment_column()


class KeyVersion(SQLModel, table=True):
    """One row that every change of a key increments in its own transaction."""

    __tablename__ = "key_version"
    id: int = Field(primary_key=True)
    version: int = big_column()


_MAY_EXPIRE = "expires_at IS NOT NULL AND expired_at IS NULL AND voided_at IS NULL"


class CreditGrantRow(SQLModel, table=True):
    """One posted grant. `identity`: `<namespace>/ref:<reference>` or `<namespace>/name:<name>`."""

    __tablename__ = "credit_grant"
    __table_args__ = (
        UniqueConstraint("installation", "identity"),
        CheckConstraint("remaining >= 0", name="credit_grant_remaining_not_negative"),
        partial_index("credit_grant_live", "account_id", "expires_at", "id", where="remaining > 0"),
        partial_index("credit_grant_due", "account_id", "expires_at", "id", where=_MAY_EXPIRE),
    )
    id: int = id_column()
    installation: str
    identity: str
    namespace: str
    name: str
    uid: str = ""
    account_id: int = reference_column("account.id")
    credits: int = big_column()
    remaining: int = big_column()
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
    id: int = id_column()
    account_id: int = big_column()
    kind: str
    credits: int = big_column()
    request_id: str | None = None
    grant_id: int | None = big_column(nullable=True)
    api_key_id: int | None = big_column(nullable=True)
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
    entry_id: int = big_column()
    credits: int = big_column()
    counted_at: datetime = moment_column()
    recount_entry_id: int = big_column(default=0)
    recount_credits: int = big_column(default=0)
