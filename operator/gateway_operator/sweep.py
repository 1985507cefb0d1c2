"""The sweep: everything that is wanted against everything that is there, from time to time.

It is what a start does, what repairs drift and a restored database, and how keys get the address
of a fleet that moved. It only finds out who needs work; that work is the same as for a change.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.store.due_grants import accounts_with_due_grants
from gateway.store.grant_rows import list_grants
from gateway.store.grants import expire_grants
from gateway.store.key_rows import KeyState, list_keys
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
from gateway_operator.plan.orphans import Name
from gateway_operator.probes import Liveness
from gateway_operator.resources.apikey import parse_key, secret_name
from gateway_operator.resources.names import (
    FIELD_MANAGER,
    GROUP,
    HEARTBEAT_ANNOTATION,
    HEARTBEAT_LABEL,
    KEY_LABEL,
    MANAGED_BY_LABEL,
)

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

    def __init__(self, context: OperatorContext, liveness: Liveness) -> None:
        self.context = context
        self._liveness = liveness
        self.keys = KeyReconciler(context, Addresses(context.cluster, context.settings.namespace))
        self.grants = GrantReconciler(context)
        self.allowances = AllowanceReconciler(context)
        self._orphans = OrphanWatch(context)
        self._wanted = asyncio.Event()
        #: the namespaces of the sweep under way; one that refuses it is left out of the rest
        self._namespaces: tuple[str, ...] = ()
        self._queue: asyncio.Queue[Name] = asyncio.Queue()
        self._waiting: set[Name] = set()
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

    async def post_allowance(self, namespace: str, name: str) -> None:
        """Post what of a CreditAllowance is due, and have a sweep when it is its turn again."""
        self.request_at(await self.allowances.reconcile(namespace, name))

    def enqueue(self, namespace: str, name: str) -> None:
        """Have one ApiKey looked at soon: its Secret has changed."""
        if (namespace, name) not in self._waiting:
            self._waiting.add((namespace, name))
            self._queue.put_nowait((namespace, name))

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

    async def run_queue(self) -> None:
        """Reconcile the keys in the queue, one by one, until cancelled."""
        while True:
            name = await self._queue.get()
            self._waiting.discard(name)
            try:
                await self.keys.reconcile(*name)
            except (DatabaseUnavailable, ClusterError):
                self.request()
            except Exception:
                _logger.exception("looking at the key %s/%s failed", *name)

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
        context, installation = self.context, self.context.settings.installation
        await self._expire_grants()
        self._namespaces = context.reach.served
        # Rows first: a row is never newer than the object that is listed after it.
        rows = await context.run(list_keys, context.database, installation)
        books = await context.run(list_grants, context.database, installation)
        own = (context.settings.namespace,)
        fleets = [body async for body in self._each("GatewayFleet", namespaces=own)]
        listed, jobs = await self._compare_keys(rows, fleets)
        async for body in self._each("CreditGrant"):
            self.request_at(self.grants.starts_at(body))
            if not self.grants.is_up_to_date(body, books):
                jobs.append(("CreditGrant", partial(self.grants.reconcile, *_name(body))))
        async for body in self._each("CreditAllowance"):
            jobs.append(("CreditAllowance", partial(self.post_allowance, *_name(body))))
        jobs += self._jobs_of(fleets)
        for failure in await self._work(jobs):
            if isinstance(failure, DatabaseUnavailable | ClusterUnavailable):
                raise failure
            # The cluster refuses a write to one object: no reason to leave the rest undone.
            _logger.warning("an object could not be worked on: %s", failure)
        await self._orphans.check(rows, listed, self._namespaces)
        await self._send_heartbeat()
        context.metrics.swept()

    async def _expire_grants(self) -> None:
        """Post all that is due; an account where that fails keeps no other waiting."""
        context, last = self.context, 0
        while due := await context.run(accounts_with_due_grants, context.database, last):
            for account_id in due:
                try:
                    await context.run(expire_grants, context.database, account_id)
                except DatabaseBusy as error:
                    _logger.warning("grants of account %d could not expire: %s", account_id, error)
                except DatabaseUnavailable:
                    raise
                except Exception:
                    _logger.exception("grants of account %d cannot expire", account_id)
            last = due[-1]

    def _jobs_of(self, fleets: list[_Body]) -> list[_Job]:
        return [("GatewayFleet", partial(reconcile_fleet, self.context, body)) for body in fleets]

    async def _compare_keys(
        self, rows: list[KeyState], fleets: list[_Body]
    ) -> tuple[set[Name], list[_Job]]:
        """The names of all ApiKeys, and the work for those that are not as they should be."""
        row_of = {(row.namespace, row.name): row for row in rows}
        labels = f"{KEY_LABEL}=true"
        version_of = {
            _name(secret): secret["metadata"]["resourceVersion"]
            async for page in self._pages("Secret", labels, only_metadata=True)
            for secret in page
        }
        listed: set[Name] = set()
        jobs: list[_Job] = []
        readers = asyncio.Semaphore(_WORKERS)

        async def compare(body: _Body) -> None:
            name, key = _name(body), parse_key(body)
            wanted = None if isinstance(key, ConditionState) else (name[0], secret_name(key))
            version = version_of.get(wanted) if wanted is not None else None
            async with readers:
                is_up_to_date = await self.keys.is_up_to_date(
                    body, row_of.get(name), version, fleets
                )
            if not is_up_to_date:
                jobs.append(("ApiKey", partial(self.keys.reconcile, *name)))

        async for page in self._pages("ApiKey"):
            listed.update(map(_name, page))
            compared = await asyncio.gather(*map(compare, page), return_exceptions=True)
            for body, failure in zip(page, compared, strict=True):
                if isinstance(failure, ClusterUnavailable):
                    raise failure
                if failure is not None:  # its own work logs the reason, to nobody's harm
                    jobs.append(("ApiKey", partial(self.keys.reconcile, *_name(body))))
        self.keys.forget(listed)
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

    async def _work(self, jobs: Iterable[_Job]) -> list[DatabaseUnavailable | ClusterError]:
        """All jobs, some at once; one that fails does not keep the others from their turn.

        What failed for a known reason is returned.
        """
        workers = asyncio.Semaphore(_WORKERS)

        async def work(kind: str, job: Callable[[], Awaitable[None]]) -> None:
            with self.context.metrics.waiting(kind):
                await workers.acquire()
            try:
                await job()
            finally:
                workers.release()

        done = await asyncio.gather(*(work(*job) for job in jobs), return_exceptions=True)
        failures = []
        for each in done:
            if isinstance(each, DatabaseUnavailable | ClusterError):
                failures.append(each)
            elif isinstance(each, Exception):
                _logger.error("an object could not be worked on", exc_info=each)
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


def _name(body: _Body) -> Name:
    return body["metadata"]["namespace"], body["metadata"]["name"]
