"""`/console/events`: changes of keys and grants, sessions, and who did it."""

from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.responses import Response

from gateway.console.language import marked
from gateway.console.page_request import Page
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
async def show_events(page: Page) -> Response:
    after = whole_number(page.query.get("after", ""))
    found = await page.ask(read_changes_within, page.wide_reach(), _PAGE + 1, after=after)
    events = [{**event, "shown_detail": _detail(event["detail"])} for event in found[:_PAGE]]
    last = events[-1]["id"] if len(found) > _PAGE else None
    return page.render(
        "events.html", events=events, kinds=KINDS, **page.pages("/events", after, last)
    )


def _detail(facts: dict[str, Any]) -> str:
    """The facts of an event in one line."""
    shown = (f"{name} {_fact(value)}" for name, value in facts.items() if value is not None)
    return ", ".join(shown)[:_DETAIL_CHARACTERS_MAX]


def _fact(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"from", "to"}:
        return f"{_fact(value['from'])} → {_fact(value['to'])}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
