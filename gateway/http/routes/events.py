"""`/api/v1/events`: what was done to the keys and grants of the key's account, and by whom."""

from typing import Any

from fastapi import APIRouter, Request

from gateway.core.errors import InvalidRequest
from gateway.http.routes.access import AuthenticatedKey, Services
from gateway.http.routes.parameters import read_parameters
from gateway.store.change_log import EVENTS_MAX, read_account_changes

router = APIRouter()

_NUMBER_DIGITS_MAX = 18
_LIMIT_DEFAULT = 50


@router.get("/events")
async def list_events(
    request: Request, key: AuthenticatedKey, services: Services
) -> dict[str, Any]:
    """A page of events, the newest first; `after` is the last one of the page before."""
    given = read_parameters(request, ("limit", "after"))
    asked = _number(given, "limit")
    limit = _LIMIT_DEFAULT if asked is None else asked
    if not 1 <= limit <= EVENTS_MAX:
        raise InvalidRequest(f"limit must be between 1 and {EVENTS_MAX}", param="limit")
    after = _number(given, "after")
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


def _number(given: dict[str, str], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > _NUMBER_DIGITS_MAX:
        raise InvalidRequest(f"{name} must be a number", param=name)
    return int(text)
