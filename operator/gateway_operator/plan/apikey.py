"""The plan for one ApiKey, from what it wants and what is there. Pure.

For a generated key, by the row (r) and the Secret (s):

    r               s missing        s somebody's     s ours
    ────────────    ─────────────    ─────────────    ──────────────────────────────────────────
    none, revoked   make, record     SecretConflict   record what a lost attempt left, or renew
    of another UID  make, record     SecretConflict   adopt what matches, or renew: Reissued
    ours            SecretLost       SecretConflict   repair, copy spec; SecretLost where it
                                                      does not hold the newest key
    ours, rotating  make, record     SecretConflict   stage, record, publish

Our finalizer comes before all, so no key outlives its object. The Secret is written before its
hash, so somebody knows each key that is live. In a rotation the hash is written before the key is
given out, so each key that is given out is live.
"""

from msgspec import Struct

from gateway.core.spec import ApiKey
from gateway.store.key_rows import KeyState
from gateway_operator.conditions import ConditionState
from gateway_operator.plan.actions import (
    Announce,
    CopySpec,
    HoldObject,
    KeyAction,
    LetGo,
    MakeSecret,
    PublishKey,
    RecordKey,
    RenewSecret,
    RepairSecret,
    Report,
    RevokeKey,
    StageKey,
)
from gateway_operator.resources.apikey import ApiKeyReason, missing, secret_name, stalled
from gateway_operator.resources.names import KEY_LABEL

_REISSUED = Announce(
    "Reissued", "the object is a new one of its name: it has a new key, and the old one is dead"
)
_ROTATED = Announce("Rotated", "the key was rotated")
_REVOKED = Announce("Revoked", "the key is revoked for good")


class SecretView(Struct, frozen=True, kw_only=True):
    """A Secret of the name that the object gives; keys are seen as their hashes only."""

    made_by_us: bool
    """Made for this ApiKey; of one that was brought along: labelled as holding a key."""

    owned_by_this_object: bool = False
    """It goes with this very object."""

    current_hash: bytes | None = None
    """The key that it gives out."""

    is_generated: bool = False
    """That key is one that we may have made."""

    next_hash: bytes | None = None
    """The successor that a rotation left beside it."""

    is_up_to_date: bool = True
    """Labels, owner and address are as they should be."""

    problem: str | None = None
    """Why a key that was brought along cannot be used."""

    public: str | None = None
    """Why it is no secret: it must not be used, and not have been."""


class Desired(Struct, frozen=True, kw_only=True):
    """The object, and what may speak against it."""

    key: ApiKey
    #: why there is nothing to put into its Secret
    no_address: ConditionState | None = None
    #: why no key may be made of it at all
    refusal: ConditionState | None = None


class Actual(Struct, frozen=True, kw_only=True):
    """The row and the Secret; `is_held`: the object cannot go before its key has ended."""

    row: KeyState | None
    secret: SecretView | None
    is_held: bool = True


def plan_key(desired: Desired, actual: Actual) -> list[KeyAction]:
    """The actions that bring row, Secret and status to what the object states."""
    return [*plan_hold(is_held=actual.is_held), *_plan_key(desired, actual)]


def plan_hold(*, is_held: bool) -> list[KeyAction]:
    """No key is made of an object that could go without notice."""
    return [] if is_held else [HoldObject()]


def _plan_key(desired: Desired, actual: Actual) -> list[KeyAction]:
    key, row = desired.key, actual.row
    if desired.refusal is not None:
        return plan_stall(key, row, desired.refusal)
    if key.spec.secret_name is None:
        return _plan_brought(key, actual)
    if actual.secret is not None and not actual.secret.made_by_us:
        message = f"there is a Secret {secret_name(key)} that was not made for this key"
        return plan_stall(key, row, stalled(ApiKeyReason.SECRET_CONFLICT, message))
    if row is not None and _is_own(key, row):
        return _plan_held(desired, row, actual.secret)
    return _plan_issue(desired, actual)


def plan_end(row: KeyState | None, *, is_held: bool) -> list[KeyAction]:
    """The actions that an object's end asks for: it may go when the mark is committed."""
    ended: list[KeyAction] = []
    if row is not None and not row.revoked:
        ended = [RevokeKey(row.id), _REVOKED]
    return [*ended, LetGo()] if is_held else ended


def plan_stall(key: ApiKey, row: KeyState | None, condition: ConditionState) -> list[KeyAction]:
    """Nothing can be done for the key; but the row that is its own must follow the object."""
    copied = [] if row is None or not _is_own(key, row) else _copy(key, row)
    return [*copied, Report(condition)]


def _plan_issue(desired: Desired, actual: Actual) -> list[KeyAction]:
    """No row is this object's: there is none, it is revoked, or another UID's."""
    row, secret = actual.row, actual.secret
    is_alive = row is not None and not row.revoked
    record = RecordKey(0 if row is None else row.version)
    done: list[KeyAction] = [*([_REISSUED] if is_alive else []), Report(desired.no_address)]
    if secret is not None and row is not None and is_alive and _holds_newest(secret, row):
        # Repaired first: a Secret that an object of another UID owns may be collected at any time.
        return [*_repair(secret), record, Report(desired.no_address)]
    if (
        secret is not None
        and secret.owned_by_this_object
        and secret.is_generated
        and _is_unknown(secret.current_hash, row)
    ):
        return [record, *_repair(secret), *done]
    if desired.no_address is not None:
        return [Report(desired.no_address)]
    return [MakeSecret() if secret is None else RenewSecret(), record, *done]


def _plan_held(desired: Desired, row: KeyState, secret: SecretView | None) -> list[KeyAction]:
    """The row is this object's, and alive."""
    key = desired.key
    rotating = key.spec.rotation.generation > row.generation
    done: list[KeyAction] = [Report(desired.no_address)]
    if secret is None:
        if not rotating:
            return plan_stall(key, row, _lost(key, row, "is gone"))
        if desired.no_address is not None:
            return plan_stall(key, row, desired.no_address)
        return [MakeSecret(), RecordKey(row.version), _ROTATED, *done]
    published: list[KeyAction] = []
    if secret.next_hash is not None and secret.next_hash == row.newest_hash:
        published = [PublishKey(), _ROTATED]
    if rotating and published:
        return [*published, *_rotate(row), *done]
    if rotating:
        return [*_plan_rotation(row, secret), *done]
    if published:
        return [*_copy(key, row), *published, *done]
    if not _holds_newest(secret, row):
        return plan_stall(key, row, _lost(key, row, "does not hold the newest key"))
    return [*_copy(key, row), *_repair(secret), *done]


def _plan_rotation(row: KeyState, secret: SecretView) -> list[KeyAction]:
    if secret.next_hash is not None and _is_unknown(secret.next_hash, row):
        return _rotate(row)[1:]
    if secret.is_generated and _is_unknown(secret.current_hash, row):
        # The Secret is further than the row: the database was restored to an older point, or an
        # attempt to replace a lost Secret ended half-way.
        return [RecordKey(row.version), *_repair(secret), _ROTATED]
    return _rotate(row)


def _rotate(row: KeyState) -> list[KeyAction]:
    return [StageKey(), RecordKey(row.version, staged=True), PublishKey(), _ROTATED]


def _plan_brought(key: ApiKey, actual: Actual) -> list[KeyAction]:
    row, secret, name = actual.row, actual.secret, secret_name(key)
    if secret is not None and secret.public is not None:
        condition = stalled(ApiKeyReason.INVALID_KEY, secret.public)
        if row is not None and _is_own(key, row) and secret.current_hash in row.live_hashes:
            return [RevokeKey(row.id), _REVOKED, Report(condition)]
        return plan_stall(key, row, condition)
    if secret is None or not secret.made_by_us:
        message = f'there is no Secret {name} with the label {KEY_LABEL}: "true"'
        return plan_stall(key, row, missing(ApiKeyReason.SECRET_NOT_FOUND, message))
    if secret.problem is not None:
        return plan_stall(key, row, stalled(ApiKeyReason.INVALID_KEY, secret.problem))
    if secret.current_hash is None:
        message = f"the Secret {name} has no value of the key that valueFrom names"
        return plan_stall(key, row, missing(ApiKeyReason.SECRET_NOT_FOUND, message))
    if row is None:
        return [RecordKey(0), Report()]
    is_ours = _is_own(key, row)
    if is_ours and row.matches(key) and row.newest_hash == secret.current_hash:
        return [Report()]
    announced: list[KeyAction] = []
    if not row.revoked and row.newest_hash != secret.current_hash:
        announced = [_ROTATED if is_ours else _REISSUED]
    return [RecordKey(row.version), *announced, Report()]


def _is_own(key: ApiKey, row: KeyState) -> bool:
    """True if the row is this very object's, and alive."""
    return not row.revoked and row.uid == key.metadata.uid


def _copy(key: ApiKey, row: KeyState) -> list[KeyAction]:
    return [] if row.matches(key, rotated=False) else [CopySpec(row.version)]


def _repair(secret: SecretView) -> list[KeyAction]:
    return [] if secret.is_up_to_date and secret.next_hash is None else [RepairSecret()]


def _holds_newest(secret: SecretView, row: KeyState) -> bool:
    return secret.current_hash is not None and secret.current_hash == row.newest_hash


def _is_unknown(plaintext_hash: bytes | None, row: KeyState | None) -> bool:
    """True if this key was never recorded: a dead one must not come back."""
    if plaintext_hash is None:
        return False
    return row is None or plaintext_hash not in row.live_hashes | row.dead_hashes


def _lost(key: ApiKey, row: KeyState, what: str) -> ConditionState:
    return stalled(
        ApiKeyReason.SECRET_LOST,
        f"the Secret {secret_name(key)} {what}, and only a hash is kept of a key:"
        f" raise spec.rotation.generation above {row.generation} for a new one",
    )
