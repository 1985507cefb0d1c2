"""The actions of an ApiKey's plan, one by one. The only place where a plaintext passes through."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from gateway.core.keys import Credential, credential_of, generate_key
from gateway.core.spec import ApiKey
from gateway.store.key_rows import KeyState
from gateway.store.keys import apply_key, revoke_key
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reporting import report
from gateway_operator.cluster import ClusterError, Forbidden, Rejected
from gateway_operator.conditions import ConditionState
from gateway_operator.plan import actions as act
from gateway_operator.resources import keysecret
from gateway_operator.resources.actors import actor_of, deleter_of
from gateway_operator.resources.apikey import (
    KIND,
    changed_at,
    condition_of_row,
    deleted_at,
    finalizers_of,
    secret_name,
    status_of_key,
)
from gateway_operator.resources.names import FINALIZER


class FinalizerRefused(ClusterError):
    """Our finalizer cannot be put on an object, or be taken off it."""


class KeyExecutor(Struct, kw_only=True):
    """One plan being carried out; what an action makes, the next ones find here."""

    context: OperatorContext
    pepper: bytes
    body: dict[str, Any]
    key: ApiKey | None = None
    row: KeyState | None = None
    secret: dict[str, Any] | None = None
    url: str | None = None

    def __repr__(self) -> str:
        return f"KeyDeed({self.body['metadata']['namespace']}/{self.body['metadata']['name']})"

    async def perform(self, action: act.KeyAction) -> None:
        """Do one thing. Raises what the cluster and the store raise."""
        match action:
            case act.HoldObject() | act.LetGo():
                await self._hold(isinstance(action, act.HoldObject))
            case act.MakeSecret():
                await self._make()
            case act.RenewSecret():
                await self._rewrite(generate_key())
            case act.StageKey():
                await self._rewrite(self._held_or_new(), successor=generate_key())
            case act.PublishKey():
                await self._rewrite(self._staged())
            case act.RepairSecret():
                await self._rewrite(self._held())
            case act.RecordKey(seen_version=version, staged=staged):
                plaintext = self._staged() if staged else self._held()
                await self._apply(credential_of(self.pepper, plaintext), version)
            case act.CopySpec(seen_version=version):
                await self._apply(None, version)
            case act.RevokeKey(row_id=row_id):
                actor = deleter_of(self.body)
                await self.context.run(revoke_key, self.context.database, row_id, actor)
                self._measure(deleted_at(self.body))
            case act.Announce(reason=reason, message=message):
                await self.context.cluster.event(KIND, self.body, reason, message)
            case act.Report(condition=condition):
                await self._report(condition)

    async def _hold(self, held: bool) -> None:
        metadata = self.body["metadata"]
        finalizers = [each for each in finalizers_of(self.body) if each != FINALIZER]
        try:
            await self.context.cluster.patch_finalizers(
                KIND,
                metadata["namespace"],
                metadata["name"],
                [*finalizers, FINALIZER] if held else finalizers,
                metadata["resourceVersion"],
            )
        except (Forbidden, Rejected) as error:
            message = f"the finalizer of this object cannot be written: {error}"
            raise FinalizerRefused(message) from None

    def _held(self) -> str:
        """The key that the Secret gives out now."""
        held = self._held_or_none()
        assert held is not None, "the Secret holds a key"
        return held

    def _held_or_new(self) -> str:
        """The same; where somebody emptied the Secret, a key that is valid nowhere."""
        return self._held_or_none() or generate_key()

    def _held_or_none(self) -> str | None:
        assert self.key is not None, "a key's Secret is named by its object"
        assert self.secret is not None, "there is a Secret to read"
        if self.key.spec.value_from is not None:
            return keysecret.read_value(self.secret, self.key.spec.value_from.secret_key_ref.key)
        newest = None if self.row is None else self.row.newest_hash
        return choose_plaintext(self.secret, self.pepper, newest)

    def _staged(self) -> str:
        staged = None if self.secret is None else keysecret.read_successor(self.secret)
        assert staged is not None, "a successor was put into the Secret"
        return staged

    async def _make(self) -> None:
        assert self.key is not None, "a key's Secret is named by its object"
        assert self.url is not None, "a Secret needs an address"
        name = secret_name(self.key)
        made = keysecret.make_secret(self.body, name, generate_key(), self.url)
        self.secret = await self.context.cluster.create(made)

    async def _rewrite(self, plaintext: str, successor: str | None = None) -> None:
        assert self.secret is not None, "there is a Secret to rewrite"
        written = keysecret.rewrite_secret(self.secret, self.body, plaintext, self.url, successor)
        self.secret = await self.context.cluster.replace(written)

    async def _apply(self, credential: Credential | None, seen_version: int) -> None:
        assert self.key is not None, "a row is made from an object"
        context, before = self.context, self.row
        self.row = await context.ask(
            apply_key,
            self.key,
            credential,
            seen_version=seen_version,
            actor=actor_of(self.body),
        )
        if before is not None and _has_died(before, self.row):
            self._measure(changed_at(self.body))

    def _measure(self, wanted_at: datetime | None) -> None:
        """Record the time until something that was not wanted any more was dead."""
        if wanted_at is not None:
            self.context.metrics.revoked((datetime.now(UTC) - wanted_at).total_seconds())

    async def _report(self, condition: ConditionState | None) -> None:
        if condition is None:
            assert self.row is not None, "a key of which nothing is wrong has a row"
            condition = condition_of_row(self.row)
        status = status_of_key(self.body, self.key, self.row, condition)
        await report(self.context.cluster, KIND, self.body, status, condition)


def _has_died(before: KeyState, after: KeyState) -> bool:
    """True if a key, or one of its hashes, was live before and is not any more."""
    if before.suspended or before.expired:
        return False
    return after.suspended or after.expired or bool(before.live_hashes - after.live_hashes)


def choose_plaintext(secret: dict[str, Any], pepper: bytes, newest: bytes | None) -> str | None:
    """The key in a Secret; where an edit left two different ones, the one that is known."""
    found = keysecret.read_plaintexts(secret)
    known = (each for each in found if credential_of(pepper, each).hash == newest)
    return next(known, found[0] if found else None)
