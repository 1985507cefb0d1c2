"""The table of notices: messages to web hooks that a share of a limit is used (`notices`)."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from gateway.store.columns import big_column, id_column, moment_column, partial_index

_IS_DUE = "next_attempt_at IS NOT NULL"


class Notice(SQLModel, table=True):
    """One message. `receiver` is the fleet whose web hook gets it; one that has none left waits.

    `next_attempt_at` is None when it was taken, or given up. `subject` is `account` or `key`.
    """

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint(
            "receiver",
            "subject",
            "subject_id",
            "limit_name",
            "period",
            "credits",
            "percent",
            name="notice_once",
        ),
        partial_index("notice_due", "receiver", "next_attempt_at", where=_IS_DUE),
    )
    id: int = id_column()
    receiver: str
    subject: str
    #: no foreign key: its check would lock rows that charges lock
    subject_id: int = big_column()
    account_id: int = big_column()
    limit_name: str
    period: str
    credits: int = big_column()
    percent: int = Field()
    message_id: str
    body: str
    attempts: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = moment_column()
    next_attempt_at: datetime | None = moment_column(nullable=True)
