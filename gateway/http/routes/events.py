"""`/api/v1/events`: what was done to the keys and grants of the key's account, and by whom."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.http.routes.access import AuthenticatedKey, Services
from gateway.http.routes.parameters import read_number, read_parameters
from gateway.store.change_log import EVENTS_MAX, read_account_changes

router = APIRouter()

_ID_MAX = 2**63 - 1
_LIMIT_DEFAULT = 50


@router.get("/events")
async def list_events(
    request: Request, key: AuthenticatedKey, services: Services
) -> dict[str, Any]:
    """A page of events, the newest first; `after` is the last one of the page before."""
    given = read_parameters(request, ("limit", "after"))
    limit = read_number(given, "limit", 1, EVENTS_MAX) or _LIMIT_DEFAULT
    after = read_number(given, "after", 0, _ID_MAX)
    found = await services.reads.read(
        key.caller.holder, read_account_changes, key.live.account_id, limit + 1, after
    )
    page = found[:limit]
    return {
        "object": "list",
        "account": key.live.account,
        "data": page,
        "has_more": len(found) > limit,
        "last_id": page[-1]["id"] if len(found) > limit else None,
    }
