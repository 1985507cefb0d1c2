"""`/api/v1/events`: what was done to the keys and grants of an account, and by whom."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.http.routes.access import Services
from gateway.http.routes.asked_account import ACCOUNT, AskedAccount
from gateway.http.routes.parameters import read_number, read_parameters
from gateway.store.change_log import EVENTS_MAX, read_account_changes

router = APIRouter()

_ID_MAX = 2**63 - 1
_LIMIT_DEFAULT = 50


@router.get("/events")
async def list_events(
    request: Request, account: AskedAccount, services: Services
) -> dict[str, Any]:
    """A page of events, the newest first; `after` is the last one of the page before."""
    given = read_parameters(request, ("limit", "after", ACCOUNT))
    limit = read_number(given, "limit", 1, EVENTS_MAX) or _LIMIT_DEFAULT
    after = read_number(given, "after", 0, _ID_MAX)
    found = await services.reads.read(
        account.holder, read_account_changes, account.id, limit + 1, after
    )
    page = found[:limit]
    return {
        "object": "list",
        "account": account.shown,
        "data": page,
        "has_more": len(found) > limit,
        "last_id": page[-1]["id"] if len(found) > limit else None,
    }
