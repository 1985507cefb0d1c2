"""The plan for a CreditGrant, and its report: pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.spec import CreditGrant
from gateway.store.grant_rows import GrantState, decided, grant_identity, payload_hash
from gateway_operator.plan.actions import GrantAction, PostGrant, Report, VoidGrant
from gateway_operator.plan.creditgrant import own_result, plan_grant
from gateway_operator.resources.creditgrant import CreditGrantReason as Reason
from gateway_operator.resources.creditgrant import condition_of_result, status_of_grant
from tests.harness.books import grant_object

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAST = (NOW - timedelta(hours=1)).isoformat()
LATER = (NOW + timedelta(hours=1)).isoformat()
UID = "uid-of-the-object"


def wanted(**spec: Any) -> CreditGrant:
    grant = grant_object(**spec)
    return replace(grant, metadata=replace(grant.metadata, uid=UID))


def posted(grant: CreditGrant, **changed: Any) -> GrantState:
    state = GrantState(
        identity=grant_identity(grant),
        uid=UID,
        payload_hash=payload_hash(grant),
        credits=grant.spec.credits,
        entry_id=11,
        posted_at=NOW,
        voided=False,
        expired=False,
    )
    return replace(state, **changed)


PLAIN, VOID, DUE = wanted(), wanted(void=True), wanted(expiresAt=PAST)
CASES = [
    (PLAIN, None, [PostGrant(), Report()], None, None),
    (wanted(expiresAt=LATER), None, [PostGrant(), Report()], None, None),
    (DUE, None, [Report()], Reason.EXPIRED, "stalled"),
    (VOID, None, [Report()], Reason.VOIDED, "ready"),
    (wanted(startsAt=LATER), None, [Report()], Reason.SCHEDULED, "ready"),
    (wanted(startsAt=PAST), None, [PostGrant(), Report()], None, None),
    (wanted(startsAt=LATER, void=True), None, [Report()], Reason.VOIDED, "ready"),
    (PLAIN, posted(PLAIN), [Report()], Reason.POSTED, "ready"),
    (PLAIN, posted(PLAIN, uid="an older one"), [Report()], Reason.ALREADY_POSTED, "ready"),
    (wanted(credits=7), posted(PLAIN), [Report()], Reason.IDEMPOTENCY_CONFLICT, "stalled"),
    (wanted(account="bob"), posted(PLAIN), [Report()], Reason.IDEMPOTENCY_CONFLICT, "stalled"),
    (VOID, posted(PLAIN), [VoidGrant(), Report()], None, None),
    (VOID, posted(PLAIN, voided=True), [Report()], Reason.VOIDED, "ready"),
    (PLAIN, posted(PLAIN, voided=True), [Report()], Reason.VOIDED, "ready"),
    (DUE, posted(DUE, expired=True), [Report()], Reason.EXPIRED, "ready"),
    (DUE, posted(DUE), [Report()], Reason.POSTED, "ready"),
    (wanted(expiresAt=PAST, void=True), posted(DUE, expired=True), [Report()], Reason.EXPIRED,
     "ready"),
]  # fmt: skip


@pytest.mark.parametrize(("grant", "state", "plan", "reason", "condition_state"), CASES)
def test_the_books_decide_what_is_done_and_reported(
    grant: CreditGrant,
    state: GrantState | None,
    plan: list[GrantAction],
    reason: Reason | None,
    condition_state: str | None,
) -> None:
    assert plan_grant(grant, state, NOW) == plan
    result = decided(grant, state, NOW)
    assert (result is None) == (len(plan) == 2)
    if result is not None:
        condition = condition_of_result(own_result(result, grant, state))
        assert (condition.reason, condition.state) == (reason, condition_state)


def test_a_status_names_the_entry_only_where_there_is_one() -> None:
    body = {"metadata": {"uid": UID, "generation": 3}}
    for grant, state in ((PLAIN, posted(PLAIN)), (DUE, None)):
        result = decided(grant, state, NOW)
        assert result is not None
        status = status_of_grant(body, result, condition_of_result(result))
        assert status["observedGeneration"] == 3
        assert status.get("entryId") == (None if state is None else 11)
        assert status.get("postedTime") == (None if state is None else "2026-11-23T12:00:00Z")


def test_the_reference_identifies_a_grant_before_its_name_does() -> None:
    assert grant_identity(wanted()) == "team/name:grant"
    assert grant_identity(wanted(reference="invoice-1")) == "team/ref:invoice-1"
    assert payload_hash(wanted(reason="a")) == payload_hash(wanted(reason="b"))
