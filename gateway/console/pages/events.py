"""`/console/events`: changes of keys and grants, sessions, and who did it."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import Console, SignedIn
from gateway.console.language import marked
from gateway.console.pages.accounts import wide_reach
from gateway.console.viewed import NO_ACCOUNT, render_page
from gateway.core.digits import whole_number
from gateway.store.change_log import ChangeKind, read_changes_within

router = APIRouter()

_PAGE = 50
_DETAIL_CHARACTERS_MAX = 300
KINDS: dict[ChangeKind, str] = {
    "grant.posted": marked("Grant posted"),
    "grant.voided": marked("Grant voided"),
    "key.made": marked("Key made"),
    "key.reissued": marked("Key issued again"),
    "key.rotated": marked("Key rotated"),
    "key.changed": marked("Key changed"),
    "key.suspended": marked("Key suspended"),
    "key.resumed": marked("Key resumed"),
    "key.revoked": marked("Key revoked"),
    "session.begun": marked("Signed in"),
    "session.refused": marked("Sign-in refused"),
    "session.signed_out": marked("Signed out"),
    "sessions.ended": marked("Sessions ended"),
    "person.bound": marked("Account bound"),
    "person.unbound": marked("Account unbound"),
    "account.changed": marked("Account changed"),
    "account.erased": marked("Account erased"),
    "webhook.failed": marked("Web hook message given up"),
}


@router.get("/events")
async def show_events(request: Request, session: SignedIn, console: Console) -> Response:
    reach, after = wide_reach(session), whole_number(request.query_params.get("after", ""))
    found = await console.run(
        read_changes_within, console.installation, reach, _PAGE + 1, after=after
    )
    events = [{**event, "shown_detail": _detail(event["detail"])} for event in found[:_PAGE]]
    return render_page(
        request,
        "events.html",
        session,
        None,
        events=events,
        kinds=KINDS,
        newest=NO_ACCOUNT.at("/events") if after else None,
        older=NO_ACCOUNT.at("/events", after=events[-1]["id"]) if len(found) > _PAGE else None,
    )


def _detail(facts: dict[str, Any]) -> str:
    """The facts of an event in one line."""
    shown = (f"{name} {_fact(value)}" for name, value in facts.items() if value is not None)
    return ", ".join(shown)[:_DETAIL_CHARACTERS_MAX]


def _fact(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"from", "to"}:
        return f"{_fact(value['from'])} → {_fact(value['to'])}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
