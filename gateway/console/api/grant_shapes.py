"""Grants in the JSON API: the bodies that are sent, and the answers."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.console.api.bodies import Body
from gateway.console.api.fields import Expiry, ShownAccount, printable
from gateway.console.granting import (
    CREDITS_MAX,
    REASON_CHARACTERS_MAX,
    REFERENCE_CHARACTERS_MAX,
)
from gateway.store.grant_lots import GrantLot, LotState


class GrantCreation(Body):
    """Credits for an account, once for each `reference` of its namespace."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account": "team-a/build",
                    "credits": 5000,
                    "reference": "order 2027-03-118",
                    "reason": "March",
                    "expires_at": "2099-04-01T00:00:00Z",
                }
            ]
        }
    )
    account: ShownAccount
    credits: Annotated[int, Field(strict=True, ge=1, le=CREDITS_MAX)]
    reference: Annotated[
        str,
        Field(min_length=1, max_length=REFERENCE_CHARACTERS_MAX),
        AfterValidator(printable),
    ]
    reason: Annotated[str, Field(max_length=REASON_CHARACTERS_MAX), AfterValidator(printable)] = ""
    expires_at: Expiry | None = None


class Grant(BaseModel):
    """A posted grant. `name` is that of its CreditGrant, `console-…` for one that was made here."""

    object: Literal["grant"] = "grant"
    id: int
    account: str
    credits: int
    left: int
    state: LotState
    reference: str | None
    reason: str
    namespace: str
    name: str
    posted_at: datetime
    expires_at: datetime | None
    expired_at: datetime | None
    voided_at: datetime | None


class GrantList(BaseModel):
    """A page of grants, the newest first."""

    object: Literal["list"] = "list"
    data: list[Grant]
    has_more: bool
    last_id: int | None


def shape(lot: GrantLot) -> Grant:
    """A grant as it is answered."""
    return Grant.model_validate(lot, from_attributes=True)
