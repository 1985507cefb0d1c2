"""The grants of people and management keys: objects as `kubectl apply` would give them, posted.

A grant is known by its reference, also to CreditGrant objects, so it counts once wherever it comes
from.
"""

from datetime import datetime
from hashlib import sha256
from typing import Any

from gateway.console.language import marked
from gateway.core.actor import Actor
from gateway.core.credits import BALANCE_MAX
from gateway.core.errors import StateConflict
from gateway.core.sentences import Sentence
from gateway.core.spec import API_VERSION, CreditGrant, CreditGrantSpec, Metadata
from gateway.store.accounts import refuse_too_many_accounts
from gateway.store.database import Database
from gateway.store.grant_lots import GrantLot
from gateway.store.grant_result import GrantResult
from gateway.store.grants import apply_grant

CREDITS_MAX = 10**15
REFERENCE_CHARACTERS_MAX = 128
REASON_CHARACTERS_MAX = 256
#: the reason of a conflict, as a program reads it and as a person does
_CONFLICTS = {
    "IdempotencyConflict": (
        "posted_otherwise",
        marked(
            "the reference {reference} was posted with another account, amount or expiry; use"
            " another one"
        ),
    ),
    "BalanceTooLarge": (
        "balance_too_large",
        marked(
            "{account} may have {most} credits at most, those among them that open requests may"
            " give back"
        ),
    ),
    "Voided": ("voided", marked("the grant of the reference {reference} was voided")),
    "Expired": ("expired", marked("the grant of the reference {reference} has expired")),
}


def grant_of(
    account: str,
    credits: int,
    reference: str,
    *,
    reason: str = "",
    expires_at: datetime | None = None,
) -> CreditGrant:
    """The object of a grant for an account, by its shown name."""
    namespace, _, label = account.partition("/")
    spec = CreditGrantSpec(
        account=label, credits=credits, reason=reason, reference=reference, expires_at=expires_at
    )
    return CreditGrant(metadata=Metadata(name=_name_of(reference), namespace=namespace), spec=spec)


def post_grant(
    database: Database, installation: str, grant: CreditGrant, accounts_max: int, actor: Actor
) -> bool:
    """Post a grant; False if it was posted before.

    Raises `StateConflict` where its reference is another grant's, or one that is over; and where
    its account would be too many of the namespace.
    """
    namespace, account = grant.metadata.namespace, grant.spec.account
    with database.read() as session:
        refuse_too_many_accounts(session, installation, namespace, account, accounts_max)
    result = apply_grant(database, installation, grant, actor)
    if result.reason not in ("Posted", "AlreadyPosted"):
        raise _conflict(result, f"{namespace}/{account}", grant.spec.reference, "reference")
    return result.reason == "Posted"


def void_grant(database: Database, installation: str, lot: GrantLot, actor: Actor) -> None:
    """Take back what is left of a grant; again, it changes nothing.

    Raises `StateConflict` for one that expired, and for one that an object declares.
    """
    if not lot.is_made_here:
        raise StateConflict(
            f"this grant is changed where it is declared: CreditGrant {lot.namespace}/{lot.name}",
            details={"reason": "managed_by_object"},
        )
    spec = CreditGrantSpec(
        account=lot.account.partition("/")[2],
        credits=lot.credits,
        reason=lot.reason,
        reference=lot.reference,
        expires_at=lot.expires_at,
        void=True,
    )
    metadata = Metadata(name=lot.name, namespace=lot.namespace)
    result = apply_grant(database, installation, CreditGrant(metadata=metadata, spec=spec), actor)
    if result.reason != "Voided":
        raise _conflict(result, lot.account, lot.reference)


def document_of(lot: GrantLot) -> dict[str, Any]:
    """A posted grant as a CreditGrant that posts it again where the books are lost.

    Its name is its own where it has no reference, else follows from that: no two share one.
    """
    namespace, _, label = lot.account.partition("/")
    spec: dict[str, Any] = {"account": label, "credits": lot.credits}
    if lot.reason:
        spec["reason"] = lot.reason
    if lot.reference is not None:
        spec["reference"] = lot.reference
    if lot.expires_at is not None:
        spec["expiresAt"] = lot.expires_at.isoformat().replace("+00:00", "Z")
    if lot.voided_at is not None:
        spec["void"] = True
    name = lot.name if lot.reference is None else _name_of(lot.reference)
    return {
        "apiVersion": API_VERSION,
        "kind": "CreditGrant",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _conflict(
    result: GrantResult, account: str, reference: str | None, param: str | None = None
) -> StateConflict:
    """The error for a grant that was not posted, or not voided."""
    reason, form = _CONFLICTS.get(result.reason, ("refused", ""))
    values = {"account": account, "reference": reference, "most": BALANCE_MAX}
    message = Sentence(form, values) if form else result.message
    return StateConflict(message, param=param, details={"reason": reason})


def _name_of(reference: str) -> str:
    return f"console-{sha256(reference.encode()).hexdigest()[:16]}"
