"""The plan for an ApiKey, row by row and Secret by Secret: pure, one line a case."""

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.spec import ApiKey
from gateway.store.key_rows import KeyState
from gateway_operator.conditions import ConditionState
from gateway_operator.plan.actions import (
    Announce,
    CopySpec,
    KeyAction,
    MakeSecret,
    PublishKey,
    RecordKey,
    RenewSecret,
    RepairSecret,
    Report,
    RevokeKey,
    StageKey,
)
from gateway_operator.plan.apikey import (
    Actual,
    Desired,
    SecretView,
    plan_end,
    plan_key,
    plan_stall,
)
from tests.harness.books import key_object

UID, OTHER_UID = "uid-of-the-object", "uid-of-an-older-one"
NEWEST, OLDER, DEAD, UNKNOWN = b"newest", b"older", b"dead", b"unknown"
VERSION = 7
NO_FLEET = ConditionState("waiting", "FleetNotFound", "there is no GatewayFleet yet")


def wanted(generation: int = 0, **spec: Any) -> ApiKey:
    key = key_object(rotation={"generation": generation, "overlap": "1h"}, **spec)
    return replace(key, metadata=replace(key.metadata, uid=UID))


def row(**changed: Any) -> KeyState:
    """A row that holds what `wanted()` asks."""
    state = KeyState(
        id=3,
        key_id="key_1",
        namespace="team",
        name="key",
        uid=UID,
        scope="inference",
        label="",
        account="alice",
        prefix="sk-1234567",
        models=(),
        credits_per_day=None,
        credits_per_month=None,
        credits=None,
        requests_per_minute=None,
        concurrent_requests=None,
        suspended=False,
        expires_at=None,
        expired=False,
        generation=0,
        revoked=False,
        version=VERSION,
        newest_hash=NEWEST,
        live_hashes=frozenset({NEWEST}),
        dead_hashes=frozenset({DEAD}),
    )
    return replace(state, **changed)


def secret(held: bytes | None = NEWEST, **changed: Any) -> SecretView:
    """A Secret that is as we would write it."""
    view = SecretView(
        made_by_us=True, owned_by_this_object=True, current_hash=held, is_generated=held is not None
    )
    return replace(view, **changed)


def planned(
    key: ApiKey,
    state: KeyState | None,
    view: SecretView | None,
    no_address: ConditionState | None = None,
) -> list[KeyAction]:
    return plan_key(Desired(key=key, no_address=no_address), Actual(row=state, secret=view))


def shown(actions: list[KeyAction]) -> str:
    """A plan in one line; a report without a verdict is what every plan ends with."""
    words = []
    for action in actions:
        match action:
            case Report(condition=None):
                words.append("report")
            case Report(condition=condition):
                assert condition is not None
                words.append(condition.reason)
            case RecordKey(staged=staged):
                words.append("record-staged" if staged else "record")
            case Announce(reason=reason):
                words.append(f"say-{reason}")
            case _:
                words.append(type(action).__name__)
    return " ".join(words)


REVOKED = row(revoked=True)
ALIEN = row(uid=OTHER_UID)
OVERLAP = row(live_hashes=frozenset({NEWEST, OLDER}))
RENEWED = "RenewSecret record report"
ROTATED = "StageKey record-staged PublishKey say-Rotated report"

GENERATED = [
    # nobody's row
    ("new", wanted(), None, None, "MakeSecret record report"),
    ("a crash before the hash", wanted(), None, secret(UNKNOWN), "record report"),
    ("the same, edited", wanted(), None,
     secret(UNKNOWN, is_up_to_date=False), "record RepairSecret report"),
    ("somebody's words in ours", wanted(), None, secret(UNKNOWN, is_generated=False), RENEWED),
    ("left by an older object", wanted(), None,
     secret(UNKNOWN, owned_by_this_object=False), RENEWED),
    ("emptied", wanted(), None, secret(None), RENEWED),
    ("somebody's", wanted(), None, secret(made_by_us=False), "SecretConflict"),
    # a revoked row
    ("back after its end", wanted(), REVOKED, None, "MakeSecret record report"),
    ("its dead key is still there", wanted(), REVOKED, secret(), RENEWED),
    ("an even older one", wanted(), REVOKED, secret(DEAD), RENEWED),
    ("a crash on the way back", wanted(), REVOKED, secret(UNKNOWN), "record report"),
    ("somebody took the name", wanted(), REVOKED, secret(made_by_us=False), "SecretConflict"),
    # a living row of another UID
    ("re-created", wanted(), ALIEN, None, "MakeSecret record say-Reissued report"),
    ("restored with its Secret", wanted(), ALIEN,
     secret(owned_by_this_object=False, is_up_to_date=False),
     "RepairSecret record report"),
    ("restored, mended, not recorded", wanted(), ALIEN, secret(), "record report"),
    ("restored with an old Secret", wanted(), ALIEN, secret(DEAD, owned_by_this_object=False),
     "RenewSecret record say-Reissued report"),
    ("a crash in a re-issue", wanted(), ALIEN, secret(UNKNOWN), "record say-Reissued report"),
    ("somebody has the name", wanted(), ALIEN, secret(made_by_us=False), "SecretConflict"),
    ("nothing in either", wanted(), row(uid=OTHER_UID, newest_hash=None), secret(None),
     "RenewSecret record say-Reissued report"),
    # its own row
    ("as it should be", wanted(), row(), secret(), "report"),
    ("in an overlap", wanted(), OVERLAP, secret(), "report"),
    ("edited", wanted(), row(), secret(is_up_to_date=False), "RepairSecret report"),
    ("a successor nobody wants", wanted(), row(), secret(next_hash=UNKNOWN), "RepairSecret report"),
    ("another spec", wanted(models=["kimi-*"]), row(), secret(), "CopySpec report"),
    ("suspended", wanted(suspended=True), row(), secret(), "CopySpec report"),
    ("an orphan that is back", wanted(), row(suspended=True), secret(), "CopySpec report"),
    ("both", wanted(suspended=True), row(),
     secret(is_up_to_date=False), "CopySpec RepairSecret report"),
    ("the Secret is gone", wanted(), row(), None, "SecretLost"),
    ("gone, and suspended", wanted(suspended=True), row(), None, "CopySpec SecretLost"),
    ("another key in it", wanted(), row(), secret(UNKNOWN), "SecretLost"),
    ("the older key in it", wanted(), OVERLAP, secret(OLDER), "SecretLost"),
    ("somebody's now", wanted(), row(), secret(made_by_us=False), "SecretConflict"),
    ("somebody's, and suspended", wanted(suspended=True), row(), secret(made_by_us=False),
     "CopySpec SecretConflict"),
    ("an older spec than the row", wanted(), row(generation=2), secret(), "CopySpec report"),
    # its own row, with a rotation due
    ("rotate", wanted(1), row(), secret(), ROTATED),
    ("rotate, with another spec", wanted(1, models=["a"]), row(), secret(), ROTATED),
    ("a crash after the stage", wanted(1), row(), secret(next_hash=UNKNOWN),
     "record-staged PublishKey say-Rotated report"),
    ("a crash before it is given out", wanted(1), row(generation=1),
     secret(OLDER, next_hash=NEWEST),
     "PublishKey say-Rotated report"),
    ("the same, and the spec moved on", wanted(1, models=["a"]), row(generation=1),
     secret(OLDER, next_hash=NEWEST), "CopySpec PublishKey say-Rotated report"),
    ("the same, and rotated again", wanted(2), row(generation=1), secret(OLDER, next_hash=NEWEST),
     f"PublishKey say-Rotated {ROTATED}"),
    ("a stage that died", wanted(1), row(), secret(next_hash=DEAD), ROTATED),
    ("the cure of a lost Secret", wanted(1), row(), None, "MakeSecret record say-Rotated report"),
    ("a crash in the cure", wanted(1), row(), secret(UNKNOWN), "record say-Rotated report"),
    ("a Secret ahead of a restored database", wanted(1), row(),
     secret(UNKNOWN, is_up_to_date=False),
     "record RepairSecret say-Rotated report"),
    ("garbage in it", wanted(1), row(), secret(UNKNOWN, is_generated=False), ROTATED),
    ("a dead key in it", wanted(1), row(), secret(DEAD), ROTATED),
    ("emptied", wanted(1), row(), secret(None), ROTATED),
    ("rotation waits for the Secret's name", wanted(1), row(), secret(made_by_us=False),
     "SecretConflict"),
    ("but suspension does not", wanted(1, suspended=True), row(), secret(made_by_us=False),
     "CopySpec SecretConflict"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "state", "view", "plan"),
    [case[1:] for case in GENERATED],
    ids=[case[0].replace(" ", "-") for case in GENERATED],
)
def test_what_is_planned_for_a_generated_key(
    key: ApiKey, state: KeyState | None, view: SecretView | None, plan: str
) -> None:
    assert shown(planned(key, state, view)) == plan


OWN = key_object(secretName=None, valueFrom={"secretKeyRef": {"name": "own", "key": "value"}})
BROUGHT_KEY = replace(OWN, metadata=replace(OWN.metadata, uid=UID))


def brought(held: bytes | None = NEWEST, **changed: Any) -> SecretView:
    return replace(SecretView(made_by_us=True, current_hash=held), **changed)


def with_spec(key: ApiKey, **changed: Any) -> ApiKey:
    return replace(key, spec=replace(key.spec, **changed))


SUSPENDED_OWN = with_spec(BROUGHT_KEY, suspended=True)
BROUGHT = [
    ("new", BROUGHT_KEY, None, brought(), "record report"),
    ("as it should be", BROUGHT_KEY, row(), brought(), "report"),
    ("another spec", SUSPENDED_OWN, row(), brought(), "record report"),
    ("changed", BROUGHT_KEY, row(), brought(UNKNOWN), "record say-Rotated report"),
    ("back to the older one", BROUGHT_KEY, OVERLAP, brought(OLDER), "record say-Rotated report"),
    ("re-created", BROUGHT_KEY, ALIEN, brought(), "record report"),
    ("re-created with another", BROUGHT_KEY, ALIEN, brought(UNKNOWN),
     "record say-Reissued report"),
    ("back after its end", BROUGHT_KEY, REVOKED, brought(), "record report"),
    ("not there", BROUGHT_KEY, None, None, "SecretNotFound"),
    ("without the label", BROUGHT_KEY, None, brought(made_by_us=False), "SecretNotFound"),
    ("without the value", BROUGHT_KEY, None, brought(None), "SecretNotFound"),
    ("too short", BROUGHT_KEY, None, brought(problem="too short"), "InvalidKey"),
    ("gone, and suspended", SUSPENDED_OWN, row(), None, "CopySpec SecretNotFound"),
    ("bad, and suspended", SUSPENDED_OWN, row(), brought(problem="no"), "CopySpec InvalidKey"),
    ("public", BROUGHT_KEY, None, brought(public="a URL"), "InvalidKey"),
    ("public, and in use", BROUGHT_KEY, row(), brought(public="a URL"),
     "RevokeKey say-Revoked InvalidKey"),
    ("public, without the label", BROUGHT_KEY, row(), brought(made_by_us=False, public="a URL"),
     "RevokeKey say-Revoked InvalidKey"),
    ("public, after a secret one", SUSPENDED_OWN, row(), brought(UNKNOWN, public="a URL"),
     "CopySpec InvalidKey"),
    ("public, and revoked", BROUGHT_KEY, REVOKED, brought(public="a URL"), "InvalidKey"),
    ("gone, and of another UID", SUSPENDED_OWN, ALIEN, None, "SecretNotFound"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "state", "view", "plan"),
    [case[1:] for case in BROUGHT],
    ids=[case[0].replace(" ", "-") for case in BROUGHT],
)
def test_what_is_planned_for_a_key_of_ones_own(
    key: ApiKey, state: KeyState | None, view: SecretView | None, plan: str
) -> None:
    assert shown(planned(key, state, view, NO_FLEET)) == plan, "it needs no address"


@pytest.mark.parametrize(
    ("key", "state", "view", "plan"),
    [
        (wanted(), None, None, "FleetNotFound"),
        (wanted(), None, secret(UNKNOWN), "record FleetNotFound"),
        (wanted(), ALIEN, None, "FleetNotFound"),
        (wanted(), row(), secret(), "FleetNotFound"),
        (wanted(suspended=True), row(), secret(), "CopySpec FleetNotFound"),
        (wanted(1), row(), None, "FleetNotFound"),
        # The answer to a leak does not wait for a fleet.
        (wanted(1), row(), secret(), ROTATED.replace("report", "FleetNotFound")),
    ],
)
def test_without_an_address_only_a_new_secret_has_to_wait(
    key: ApiKey, state: KeyState | None, view: SecretView | None, plan: str
) -> None:
    assert shown(planned(key, state, view, NO_FLEET)) == plan


def test_rows_are_changed_only_as_they_were_seen() -> None:
    made = planned(wanted(), None, None)
    assert made[:2] == [MakeSecret(), RecordKey(0)]
    rotated = planned(wanted(1), row(), secret())
    assert rotated[:3] == [StageKey(), RecordKey(VERSION, staged=True), PublishKey()]
    assert planned(wanted(), REVOKED, secret())[:2] == [RenewSecret(), RecordKey(VERSION)]
    assert planned(wanted(suspended=True), row(), secret())[0] == CopySpec(VERSION)
    assert planned(wanted(), row(), secret(is_up_to_date=False))[0] == RepairSecret()


def test_a_lost_secret_reports_what_cures_it() -> None:
    (report,) = planned(wanted(4), row(generation=4), None)
    assert isinstance(report, Report)
    assert report.condition is not None
    assert report.condition.state == "stalled"
    assert "raise spec.rotation.generation above 4" in report.condition.message


def test_an_end_revokes_once_whoever_the_row_was_made_for() -> None:
    assert shown(plan_end(row(), is_held=True)) == "RevokeKey say-Revoked LetGo"
    assert plan_end(row(), is_held=True)[0] == RevokeKey(3)
    assert shown(plan_end(ALIEN, is_held=False)) == "RevokeKey say-Revoked"
    assert shown(plan_end(REVOKED, is_held=True)) == "LetGo"
    assert plan_end(None, is_held=False) == []


def test_a_key_that_cannot_be_helped_still_follows_its_spec() -> None:
    condition = ConditionState(
        "stalled", "DuplicateCredential", "the same key belongs to team/other"
    )
    suspended = wanted(suspended=True)
    assert shown(plan_stall(suspended, row(), condition)) == "CopySpec DuplicateCredential"
    assert shown(plan_stall(suspended, ALIEN, condition)) == "DuplicateCredential"
    assert shown(plan_stall(suspended, None, condition)) == "DuplicateCredential"
