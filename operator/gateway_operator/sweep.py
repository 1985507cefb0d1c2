"""The sweep: everything that is wanted against everything that is there, from time to time.

It is what a start does, what repairs drift and a restored database, and how keys get the address
of a fleet that moved. It only finds out who needs work; that work is the same as for a change.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.core.errors import DatabaseUnavailable
from gateway.core.spec import ApiKey
from gateway.store.due_grants import accounts_with_due_grants, expire_due
from gateway.store.grant_rows import list_grants
from gateway.store.grants import expire_grants
from gateway.store.group_rows import list_governed
from gateway.store.key_rows import KeyState, list_keys
from gateway.store.notices import forget_receivers
from gateway_operator.apply.account import AccountReconciler
from gateway_operator.apply.addresses import Addresses
from gateway_operator.apply.apikey import KeyReconciler
from gateway_operator.apply.creditallowance import AllowanceReconciler
from gateway_operator.apply.creditgrant import GrantReconciler
from gateway_operator.apply.fleet import reconcile_fleet
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.apply.orphans import OrphanWatch
from gateway_operator.cluster import (
    ClusterError,
    ClusterUnavailable,
    Forbidden,
    ObjectNotFound,
    Page,
)
from gateway_operator.conditions import ConditionState
from gateway_operator.probes import Liveness
from gateway_operator.resources.apikey import secret_name
from gateway_operator.resources.names import (
    FIELD_MANAGER,
    GROUP,
    HEARTBEAT_ANNOTATION,
    HEARTBEAT_LABEL,
    KEY_LABEL,
    MANAGED_BY_LABEL,
    Name,
    name_of,
)
from gateway_operator.resources.parsing import parse_as
from gateway_operator.watched import WatchedObjects
from gateway_operator.work_queue import Job, WorkQueue

_logger = logging.getLogger(__name__)
_Body = dict[str, Any]
#: the kind of an object, and the work on it
_Job = tuple[str, Callable[[], Awaitable[None]]]

HEARTBEAT_NAME = "faregate-operator-heartbeat"
#: objects that are worked on at once
_WORKERS = 8
#: after a sweep that could not do its work
_RETRY_SECONDS = 10.0
#: wishes for a sweep within so long are one
_GATHER_SECONDS = 0.5
#: a sweep for a moment comes so much after it: the database's clock may be a little behind ours
_LATE_SECONDS = 1.0


class DefinitionsMissing(RuntimeError):
    """The API server does not serve our resources; their watchers must begin again."""


class Sweep:
    """The sweep of one process, and the work it shares with the handlers."""

    def __init__(
        self,
        context: OperatorContext,
        liveness: Liveness,
        seen: WatchedObjects,
        queue: WorkQueue,
    ) -> None:
        self.context = context
        self._liveness = liveness
        self._seen = seen
        self._queue = queue
        self._keys = KeyReconciler(context, Addresses(context.cluster, context.settings.namespace))
        self._grants = GrantReconciler(context)
        self._allowances = AllowanceReconciler(context)
        self._accounts = AccountReconciler(context)
        self._orphans = OrphanWatch(context)
        self._wanted = asyncio.Event()
        #: the namespaces of the sweep under way; one that refuses it is left out of the rest
        self._namespaces: tuple[str, ...] = ()
        self._alarms: set[datetime] = set()

    def request(self) -> None:
        """Have a sweep soon."""
        self._wanted.set()

    def request_at(self, moment: datetime | None) -> None:
        """Have a sweep at a moment, if it comes before the next one does anyway."""
        seconds = (moment - datetime.now(UTC)).total_seconds() if moment is not None else 0.0
        longest = self.context.settings.sweep_seconds
        if moment is None or moment in self._alarms or not 0 < seconds <= 2 * longest:
            return

        def wake() -> None:
            self._alarms.discard(moment)
            self.request()

        self._alarms.add(moment)
        asyncio.get_running_loop().call_later(seconds + _LATE_SECONDS, wake)

    async def reconcile(self, kind: str, namespace: str, name: str) -> None:
        """Bring one object to what it states; and have a sweep when it is its turn again.

        Raises `DatabaseUnavailable` and `ClusterError`, after which another attempt may succeed.
        """
        match kind:
            case "ApiKey":
                await self._keys.reconcile(namespace, name)
            case "Account":
                await self._accounts.reconcile(namespace, name)
            case "CreditGrant":
                self.request_at(await self._grants.reconcile(namespace, name))
            case "CreditAllowance":
                self.request_at(await self._allowances.reconcile(namespace, name))
            case "GatewayFleet":
                self.request()
                await reconcile_fleet(self.context, namespace, name)

    async def run(self) -> None:
        """Sweep until cancelled, with some jitter. Raises `DefinitionsMissing`."""
        seconds = self.context.settings.sweep_seconds
        while True:
            pause = seconds * (0.9 + secrets.randbelow(200) / 1000)
            try:
                await self.once()
                self._liveness.set_ready()
            except DefinitionsMissing:
                raise
            except (DatabaseUnavailable, ClusterError) as error:
                _logger.warning("the sweep could not do its work: %s", error)
                if isinstance(error, ClusterError):
                    self._liveness.pause()
                pause = min(pause, _RETRY_SECONDS)
            except Exception:
                _logger.exception("the sweep failed")
            self._liveness.loop_progress()
            await self._wait(pause)

    async def check_fleets(self) -> None:
        """Bring each fleet to what it should be: their Secrets and Deployments are not watched.

        Raises `ClusterError` where that was not possible for one of them.
        """
        fleets = await self.context.cluster.list("GatewayFleet", self.context.settings.namespace)
        self.context.metrics.saw_fleets(body["metadata"]["name"] for body in fleets)
        failures = await self._work(self._jobs_of(fleets))
        if failures:
            raise failures[0]

    async def once(self) -> None:
        """Compare everything once, and work on what differs.

        Raises `DatabaseUnavailable` and `ClusterUnavailable` where that was not possible.
        """
        context = self.context
        await self._expire_grants()
        self._namespaces = context.reach.served
        # Rows first: a row is never newer than the object that is listed after it.
        rows = await context.ask(list_keys)
        books = await context.ask(list_grants)
        governed = await context.ask(list_governed)
        own = (context.settings.namespace,)
        fleets = [body async for body in self._each("GatewayFleet", namespaces=own)]
        listed, jobs = await self._compare_keys(rows, fleets)
        accounts = [body async for body in self._each("Account")]
        states = {(state.namespace, state.name): state for state in governed}
        for body in accounts:
            if not self._accounts.is_up_to_date(body, states):
                self._want(jobs, "Account", body)
        async for body in self._each("CreditGrant"):
            self.request_at(self._grants.starts_at(body))
            if not self._grants.is_up_to_date(body, books):
                self._want(jobs, "CreditGrant", body)
        async for body in self._each("CreditAllowance"):
            self._want(jobs, "CreditAllowance", body)
        jobs += self._jobs_of(fleets)
        for failure in await self._work(jobs):
            if isinstance(failure, DatabaseUnavailable | ClusterUnavailable):
                raise failure
            # The cluster refuses a write to one object: no reason to leave the rest undone.
            _logger.warning("an object could not be worked on: %s", failure)
        await self._orphans.check(rows, listed, self._namespaces)
        await self._accounts.release_missing(governed, accounts, self._namespaces)
        receivers = {"/".join(name_of(body)) for body in fleets}
        await context.ask(forget_receivers, receivers)
        await self._send_heartbeat()
        context.metrics.swept()

    async def _expire_grants(self) -> None:
        run, database = self.context.run, self.context.database
        await expire_due(
            lambda last: run(accounts_with_due_grants, database, last),
            lambda account_id: run(expire_grants, database, account_id),
        )

    def _want(self, jobs: list[_Job], kind: str, body: _Body) -> None:
        """Have an object worked on, unless it waits for its turn anyway."""
        if Job(kind, *name_of(body)) not in self._queue:
            jobs.append((kind, partial(self.reconcile, kind, *name_of(body))))

    def _jobs_of(self, fleets: list[_Body]) -> list[_Job]:
        return [
            ("GatewayFleet", partial(reconcile_fleet, self.context, *name_of(body)))
            for body in fleets
        ]

    async def _compare_keys(
        self, rows: list[KeyState], fleets: list[_Body]
    ) -> tuple[set[Name], list[_Job]]:
        """The names of all ApiKeys, and the work for those that are not as they should be."""
        row_of = {(row.namespace, row.name): row for row in rows}
        labels = f"{KEY_LABEL}=true"
        version_of = {
            name_of(secret): secret["metadata"]["resourceVersion"]
            async for page in self._pages("Secret", labels, only_metadata=True)
            for secret in page
        }
        listed: set[Name] = set()
        known = self._seen.names("ApiKey")
        jobs: list[_Job] = []
        readers = asyncio.Semaphore(_WORKERS)

        async def compare(body: _Body) -> None:
            name, key = name_of(body), parse_as(ApiKey, body)
            wanted = None if isinstance(key, ConditionState) else (name[0], secret_name(key))
            version = version_of.get(wanted) if wanted is not None else None
            async with readers:
                is_up_to_date = await self._keys.is_up_to_date(
                    body, row_of.get(name), version, fleets
                )
            if not is_up_to_date:
                self._want(jobs, "ApiKey", body)

        async for page in self._pages("ApiKey"):
            for body in page:
                listed.add(name_of(body))
                self._seen.met("ApiKey", body)
            compared = await asyncio.gather(*map(compare, page), return_exceptions=True)
            for body, failure in zip(page, compared, strict=True):
                if isinstance(failure, ClusterUnavailable):
                    raise failure
                if failure is not None:  # its own work logs the reason, to nobody's harm
                    self._want(jobs, "ApiKey", body)
        self._keys.forget(listed)
        for name in known - listed:
            self._seen.lost("ApiKey", name)
        self._seen.complete.set()
        return listed, jobs

    async def _each(self, kind: str, namespaces: tuple[str, ...] = ()) -> AsyncIterator[_Body]:
        """All objects of a kind, one by one."""
        async for page in self._pages(kind, namespaces=namespaces):
            for body in page:
                yield body

    async def _pages(
        self,
        kind: str,
        labels: str | None = None,
        namespaces: tuple[str, ...] = (),
        *,
        only_metadata: bool = False,
    ) -> AsyncIterator[Page]:
        """All objects of a kind, in the namespaces given or watched; only a page of them is held at
        once."""
        cluster = self.context.cluster
        for namespace in namespaces or self._namespaces or (None,):
            try:
                async for page in cluster.pages(
                    kind, namespace, labels, only_metadata=only_metadata
                ):
                    yield page
                    await asyncio.sleep(0)  # the others' turn on the event loop
            except Forbidden as error:
                if namespace is None or namespace == self.context.settings.namespace:
                    raise
                _logger.warning("the namespace %s is left out of a sweep: %s", namespace, error)
                self._namespaces = tuple(one for one in self._namespaces if one != namespace)
            except ObjectNotFound:
                raise DefinitionsMissing(
                    f"the API server knows no {kind}: install the definitions of {GROUP} first"
                ) from None

    async def _work(self, jobs: list[_Job]) -> list[DatabaseUnavailable | ClusterError]:
        """All jobs, some at once; one that fails does not keep the others from their turn.

        Returns the failures that have a known reason.
        """
        metrics = self.context.metrics
        failures: list[DatabaseUnavailable | ClusterError] = []
        left = iter(jobs)
        for kind, _ in jobs:
            metrics.queued(kind, 1)

        async def work() -> None:
            for kind, job in left:
                metrics.queued(kind, -1)
                try:
                    await job()
                except (DatabaseUnavailable, ClusterError) as error:
                    failures.append(error)
                except Exception:
                    _logger.exception("an object could not be worked on")

        try:
            await asyncio.gather(*(work() for _ in range(_WORKERS)))
        finally:
            for kind, _ in left:
                metrics.queued(kind, -1)
        return failures

    async def _send_heartbeat(self) -> None:
        """Write what must come back through the watch."""
        value = datetime.now(UTC).isoformat()
        labels = {MANAGED_BY_LABEL: FIELD_MANAGER, KEY_LABEL: "true", HEARTBEAT_LABEL: "true"}
        metadata = {
            "namespace": self.context.settings.namespace,
            "name": HEARTBEAT_NAME,
            "labels": labels,
            "annotations": {HEARTBEAT_ANNOTATION: value},
        }
        await self.context.cluster.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
        )
        self._liveness.heartbeat_sent(value)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
            await asyncio.sleep(_GATHER_SECONDS)
        except TimeoutError:
            pass
        self._wanted.clear()
