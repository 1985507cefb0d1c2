"""The actions for keys and grants. None of them holds a plaintext: that is made when done."""

from datetime import datetime

from msgspec import Struct

from gateway.store.allowance_rows import DueCredits
from gateway_operator.conditions import ConditionState


class HoldObject(Struct, frozen=True):
    """Put our finalizer on the object; where it has changed by now, the plan was wrong."""


class LetGo(Struct, frozen=True):
    """Take our finalizer off."""


class MakeSecret(Struct, frozen=True):
    """POST a Secret with a new key; where one is there by now, the plan was wrong."""


class RenewSecret(Struct, frozen=True):
    """Put a new key into our Secret, in place of a dead one."""


class StageKey(Struct, frozen=True):
    """Put a successor beside the key in the Secret; nobody knows it yet."""


class PublishKey(Struct, frozen=True):
    """Make the successor in the Secret its key."""


class RepairSecret(Struct, frozen=True):
    """Put back labels, owner and address, and take away a successor that is not wanted."""


class RecordKey(Struct, frozen=True):
    """Bring the row to what the object states, with the hash of the key in the Secret.

    `seen_version` is the row's version that this was decided by, 0 for no row.
    """

    seen_version: int
    staged: bool = False


class CopySpec(Struct, frozen=True):
    """Bring the row to what the object states, with the hashes it has."""

    seen_version: int


class RevokeKey(Struct, frozen=True):
    """Mark the row revoked."""

    row_id: int


class SuspendKey(Struct, frozen=True):
    """Suspend the row of a key whose object is gone."""

    row_id: int


class PostGrant(Struct, frozen=True):
    """Post the grant to the ledger."""


class VoidGrant(Struct, frozen=True):
    """Take back what is left of the grant."""


class ApplyAccount(Struct, frozen=True):
    """Bring the account's row to what the object states."""


class PostCredits(Struct, frozen=True):
    """Post the credits of an allowance's period to one account."""

    due: DueCredits


class KeepSince(Struct, frozen=True):
    """Look at an allowance's periods from here on only."""

    since: datetime


class Announce(Struct, frozen=True):
    """An Event that no condition stands for."""

    reason: str
    message: str


class Report(Struct, frozen=True):
    """Write the status, if it is another; without a condition it is that of the row."""

    condition: ConditionState | None = None


KeyAction = (
    HoldObject
    | LetGo
    | MakeSecret
    | RenewSecret
    | StageKey
    | PublishKey
    | RepairSecret
    | RecordKey
    | CopySpec
    | RevokeKey
    | Announce
    | Report
)
GrantAction = PostGrant | VoidGrant | Report
AccountAction = ApplyAccount | Report
AllowanceAction = PostCredits | KeepSince | Report
