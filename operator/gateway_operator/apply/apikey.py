"""ApiKeys: look, plan, carry out. The same for a new object, a changed one, and the sweep."""

import logging
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from gateway.core.keys import (
    PEPPER,
    credential_of,
    has_checksum,
    is_address,
    problem_of_brought_key,
)
from gateway.core.spec import ApiKey
from gateway.store.key_errors import DuplicateCredential, KeyMoved
from gateway.store.key_rows import KeyState, find_key
from gateway_operator.apply import executor
from gateway_operator.apply.addresses import Addresses, choose_address, refuse_namespace
from gateway_operator.apply.key_executor import FinalizerRefused, KeyExecutor, choose_plaintext
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.reporting import report
from gateway_operator.cluster import (
    AlreadyExists,
    ClusterUnavailable,
    Conflict,
    Forbidden,
    ObjectNotFound,
    Rejected,
)
from gateway_operator.conditions import ConditionState, has_status
from gateway_operator.plan.actions import Report
from gateway_operator.plan.apikey import (
    Actual,
    Desired,
    SecretView,
    plan_end,
    plan_hold,
    plan_key,
    plan_stall,
)
from gateway_operator.resources import keysecret
from gateway_operator.resources.apikey import (
    KIND,
    ApiKeyReason,
    condition_of_row,
    is_held,
    secret_name,
    stalled,
    status_of_key,
)
from gateway_operator.resources.names import Name, name_of
from gateway_operator.resources.parsing import parse_as

_logger = logging.getLogger(__name__)
#: the number of times that others may come between the look and the work before somebody else's
#: turn comes
_ATTEMPTS = 5


class KeyReconciler:
    """Brings ApiKeys' rows, Secrets and statuses to what the objects state."""

    def __init__(self, context: OperatorContext, addresses: Addresses) -> None:
        self._context = context
        self._addresses = addresses
        self._pepper = context.secret.pepper(PEPPER)
        #: views of the Secrets of keys, and of which version of it for which row
        self._seen: dict[Name, tuple[object, SecretView]] = {}

    async def reconcile(self, namespace: str, name: str) -> None:
        """Everything for one object, as it is now.

        Raises `DatabaseUnavailable` and `ClusterUnavailable`, after which another attempt may
        succeed; anything else that is wrong stands in the status.
        """
        async with self._context.locks.hold(KIND, namespace, name):
            for _ in range(_ATTEMPTS):
                # The row is read before the object: so no row that was written from a newer object
                # can be taken for one that lags behind.
                row = await self._context.ask(find_key, namespace, name)
                body = await self._context.cluster.get(KIND, namespace, name)
                if body is None:
                    return
                try:
                    if body["metadata"].get("deletionTimestamp"):
                        await self._end(body, row)
                    else:
                        await self._execute(body, row)
                except (AlreadyExists, Conflict, ObjectNotFound, KeyMoved):
                    continue
                return
            raise ClusterUnavailable(f"others keep changing what belongs to {namespace}/{name}")

    async def is_up_to_date(
        self,
        body: dict[str, Any],
        row: KeyState | None,
        secret_version: str | None,
        fleets: list[dict[str, Any]],
    ) -> bool:
        """True if there is nothing to do for an object, from lists that were read before.

        A Secret is read only where it is not the one that was seen the last time. Raises
        `ClusterError`.
        """
        if not is_held(body) or body["metadata"].get("deletionTimestamp"):
            return False
        key = parse_as(ApiKey, body)
        if isinstance(key, ConditionState):
            return has_status(body, status_of_key(body, None, row, key))
        address = choose_address(key, fleets)
        view = None
        if secret_version is not None:
            view = await self._cached_view(body, key, secret_version, row, address)
        refusal = refuse_namespace(key.metadata.namespace, fleets)
        match plan_key(*_situation(body, key, row, view, address, refusal)):
            case [Report(condition=condition)]:
                condition = condition or (condition_of_row(row) if row else None)
                return condition is not None and has_status(
                    body, status_of_key(body, key, row, condition)
                )
        return False

    def forget(self, listed: Collection[Name]) -> None:
        """Let go of what was seen of keys that are not there any more."""
        self._seen = {name: seen for name, seen in self._seen.items() if name in listed}

    async def _end(self, body: dict[str, Any], row: KeyState | None) -> None:
        """The key of an object that is being deleted ends before the object does."""
        key_executor = KeyExecutor(context=self._context, pepper=self._pepper, body=body, row=row)
        await executor.execute(plan_end(row, is_held=is_held(body)), key_executor.perform)

    async def _execute(self, body: dict[str, Any], row: KeyState | None) -> None:
        context, metadata = self._context, body["metadata"]
        key = parse_as(ApiKey, body)
        if isinstance(key, ConditionState):
            key_executor = KeyExecutor(context=context, pepper=self._pepper, body=body, row=row)
            # Its author has to mend the specification first.
            with suppress(FinalizerRefused):
                await executor.execute(plan_hold(is_held=is_held(body)), key_executor.perform)
            await report(context.cluster, KIND, body, status_of_key(body, None, row, key), key)
            return
        secret = await context.cluster.get("Secret", metadata["namespace"], secret_name(key))
        fleets = await self._addresses.read()
        address = choose_address(key, fleets)
        key_executor = KeyExecutor(
            context=context,
            pepper=self._pepper,
            body=body,
            key=key,
            row=row,
            secret=secret,
            url=address if isinstance(address, str) else None,
        )
        view = None if secret is None else self._view(body, key, secret, row, address)
        refusal = refuse_namespace(metadata["namespace"], fleets)
        planned = plan_key(*_situation(body, key, row, view, address, refusal))
        try:
            await executor.execute(planned, key_executor.perform)
        except DuplicateCredential as error:
            condition = stalled(ApiKeyReason.DUPLICATE_CREDENTIAL, _sentence_for(error, key))
            await executor.execute(plan_stall(key, row, condition), key_executor.perform)
        except FinalizerRefused as error:
            condition = stalled(ApiKeyReason.FINALIZER_REFUSED, str(error))
            await executor.execute(plan_stall(key, row, condition), key_executor.perform)
        except (Forbidden, Rejected) as error:
            message = f"the Secret {secret_name(key)} cannot be written: {error}"
            condition = stalled(ApiKeyReason.SECRET_CONFLICT, message)
            await executor.execute(plan_stall(key, row, condition), key_executor.perform)

    async def _cached_view(
        self,
        body: dict[str, Any],
        key: ApiKey,
        version: str,
        row: KeyState | None,
        address: str | ConditionState,
    ) -> SecretView | None:
        name, uid = name_of(body), body["metadata"]["uid"]
        newest = None if row is None else row.newest_hash
        seen_for = (version, uid, key.spec.value_from, newest, address)
        known = self._seen.get(name)
        if known is not None and known[0] == seen_for:
            return known[1]
        secret = await self._context.cluster.get("Secret", name[0], secret_name(key))
        if secret is None:
            return None
        view = self._view(body, key, secret, row, address)
        if secret["metadata"]["resourceVersion"] == version:
            self._seen[name] = seen_for, view
        return view

    def _view(
        self,
        body: dict[str, Any],
        key: ApiKey,
        secret: dict[str, Any],
        row: KeyState | None,
        address: str | ConditionState,
    ) -> SecretView:
        url = address if isinstance(address, str) else None
        newest = None if row is None else row.newest_hash
        if key.spec.value_from is not None:
            brought = keysecret.read_value(secret, key.spec.value_from.secret_key_ref.key)
            return SecretView(
                made_by_us=keysecret.is_labelled(secret),
                current_hash=self._hash(brought),
                problem=brought and problem_of_brought_key(brought),
                public=_why_public(secret, brought),
            )
        name, uid = body["metadata"]["name"], body["metadata"]["uid"]
        ours = keysecret.is_made_for(secret, name)
        owned = keysecret.is_owned_by(secret, uid)
        held = choose_plaintext(secret, self._pepper, newest)
        tidy = keysecret.is_labelled(secret) and owned
        return SecretView(
            made_by_us=ours,
            owned_by_this_object=owned,
            current_hash=self._hash(held),
            is_generated=held is not None and has_checksum(held),
            next_hash=self._hash(keysecret.read_successor(secret)),
            is_up_to_date=tidy and held is not None and keysecret.has_values(secret, held, url),
        )

    def _hash(self, plaintext: str | None) -> bytes | None:
        return credential_of(self._pepper, plaintext).hash if plaintext else None


def _sentence_for(error: DuplicateCredential, key: ApiKey) -> str:
    """The sentence for those who see this object; other namespaces' keys are only logged."""
    if error.namespace == key.metadata.namespace:
        return str(error)
    _logger.warning("ApiKey %s/%s: %s", key.metadata.namespace, key.metadata.name, error)
    return "another ApiKey of the installation has the same key"


def _situation(
    body: dict[str, Any],
    key: ApiKey,
    row: KeyState | None,
    view: SecretView | None,
    address: str | ConditionState,
    refusal: ConditionState | None,
) -> tuple[Desired, Actual]:
    no_address = address if isinstance(address, ConditionState) else None
    actual = Actual(row=row, secret=view, is_held=is_held(body))
    return Desired(key=key, no_address=no_address, refusal=refusal), actual


def _why_public(secret: dict[str, Any], brought: str | None) -> str | None:
    """The reason why a key that was brought along is no secret of its owner, or None."""
    if keysecret.is_made(secret):
        name = secret["metadata"]["name"]
        return f"the Secret {name} was made by the operator: bring a key in one of your own"
    return problem_of_brought_key(brought) if brought and is_address(brought) else None
