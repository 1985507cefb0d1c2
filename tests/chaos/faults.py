"""The faults, carried out: each comes, lasts and is put right again by the same hand.

An incident ends when the service is there again; what follows, such as a new standby, is no outage.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import psycopg
from sqlalchemy import text

from tests.chaos.database import Pair
from tests.chaos.links import Link
from tests.chaos.operators import OperatorPart
from tests.chaos.records import Fault, Incident, Restore, number_of
from tests.chaos.town import Town

_LOCK = "SELECT id FROM account WHERE name = 'rich-1' FOR UPDATE"


class Faults:
    """Carries out faults on a town and remembers them."""

    def __init__(
        self, town: Town, operator: OperatorPart | None, reapply: Callable[[], None]
    ) -> None:
        self._town = town
        self._operator = operator
        #: puts back what a restored database has forgotten of keys and grants
        self._reapply = reapply
        self.incidents: list[Incident] = []
        self.restores: list[Restore] = []
        self._account = asyncio.Lock()
        self._database = asyncio.Lock()
        self._upstream = asyncio.Lock()
        self._links = {
            id(link): asyncio.Lock()
            for gateway in town.gateways
            for link in (gateway.database, gateway.upstream)
        }

    async def carry_out(self, faults: list[Fault]) -> None:
        """A round: returns when all of them have been put right."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._one(fault))

    async def _one(self, fault: Fault) -> None:
        await asyncio.sleep(fault.after)
        lock, act = self._act(fault)
        async with lock:
            incident = Incident(fault=fault, began=time.time())
            self.incidents.append(incident)
            await act(incident)
            incident.ended = min(incident.ended, time.time())

    def _act(self, fault: Fault) -> tuple[asyncio.Lock, Callable[[Incident], Awaitable[None]]]:
        words = fault.kind.split()
        if words[0] == "gateway":
            return self._town.gateways[fault.gateway].lock, self._hit_gateway
        if words[0] == "operator":
            assert self._operator is not None, "the plan knows whether there is one"
            return self._operator.lock, self._operator.hit
        if fault.gateway >= 0:
            gateway = self._town.gateways[fault.gateway]
            link = gateway.database if words[0] == "database" else gateway.upstream
            return self._links[id(link)], lambda incident: self._hit_link(incident, link)
        if words[0] == "an":
            return self._account, self._lock_account
        if words[0] == "upstream":
            return self._upstream, self._hit_upstream
        return self._database, self._hit_database

    async def _hit_gateway(self, incident: Incident) -> None:
        fault = incident.fault
        gateway = self._town.gateways[fault.gateway]
        if "frozen" in fault.kind:
            gateway.process.send(signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            gateway.process.send(signal.SIGCONT)
            return
        if "killed" in fault.kind:
            await gateway.kill()
        else:
            await gateway.stop()
        await asyncio.sleep(fault.seconds)
        await gateway.start()

    async def _lock_account(self, incident: Incident) -> None:
        """As somebody does who looks at a row by hand, and goes for a coffee."""
        url = self._town.pair.primary.url(Pair.DATABASE)
        with suppress(psycopg.Error):  # its connection may be cut by another fault
            async with await psycopg.AsyncConnection.connect(url) as connection:
                await connection.execute(_LOCK)
                await asyncio.sleep(incident.fault.seconds)

    async def _hit_link(self, incident: Incident, link: Link) -> None:
        fault, firewall = incident.fault, self._town.firewall
        kind = fault.kind
        if "refused" in kind:
            await link.refuse()
        elif "held up" in kind:
            link.hold(True)
        elif "gone silent" in kind:
            link.forget()
        elif "answers lost" in kind:
            link.lose_answers(True)
        elif "packets dropped" in kind and firewall is not None:
            await asyncio.to_thread(firewall.drop, link.port, True)
        else:
            link.cut()
        await asyncio.sleep(fault.seconds)
        if "refused" in kind:
            await link.open()
        elif "packets dropped" in kind and firewall is not None:
            await asyncio.to_thread(firewall.drop, link.port, False)
        link.hold(False)
        link.lose_answers(False)

    async def _hit_upstream(self, incident: Incident) -> None:
        upstream, fault = self._town.upstream, incident.fault
        if "frozen" in fault.kind:
            upstream.send(signal.SIGSTOP)
            await asyncio.sleep(fault.seconds)
            upstream.send(signal.SIGCONT)
            return
        await asyncio.to_thread(upstream.kill)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(upstream.start)

    async def _hit_database(self, incident: Incident) -> None:
        fault, pair = incident.fault, self._town.pair
        server = pair.primary
        if "frozen" in fault.kind:
            await asyncio.to_thread(server.freeze, True)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(server.freeze, False)
        elif "failed over" in fault.kind:
            await self._fail_over(incident)
        elif "standby" in fault.kind:
            self._lead_to(pair.standby.port)
            await asyncio.sleep(fault.seconds)
            for link in self._town.database_links():
                link.lead_to(server.port, cut=False)
        elif "restored" in fault.kind:
            await self._restore(incident)
        elif "process killed" in fault.kind:
            await asyncio.to_thread(server.kill_one, len(self.incidents))
        else:
            await asyncio.to_thread(server.kill if "killed" in fault.kind else server.stop)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(server.start)

    def _lead_to(self, port: int) -> None:
        for link in self._town.database_links():
            link.lead_to(port, cut=True)

    async def _fail_over(self, incident: Incident) -> None:
        pair = self._town.pair
        await asyncio.to_thread(pair.fail_over)
        await asyncio.sleep(incident.fault.seconds)
        self._lead_to(pair.primary.port)
        incident.ended = time.time()
        await asyncio.to_thread(pair.renew_standby)

    async def _restore(self, incident: Incident) -> None:
        """As an administrator does it: nobody gets at the database until it is whole again."""
        town, server = self._town, self._town.pair.primary
        dumped = time.time()
        dump = await asyncio.to_thread(server.dump, Pair.DATABASE)
        await asyncio.sleep(incident.fault.seconds)
        async with AsyncExitStack() as stack:
            for gateway in town.gateways:
                await stack.enter_async_context(self._links[id(gateway.database)])
            for link in town.database_links():
                await link.refuse()
            await asyncio.to_thread(server.restore, Pair.DATABASE, dump)
            await town.office.open()
            restored = time.time()
            self.restores.append(await asyncio.to_thread(self._remembered, dumped, restored))
            await asyncio.to_thread(self._reapply)
            for link in town.database_links():
                await link.open()

    def _remembered(self, dumped: float, restored: float) -> Restore:
        with self._town.database.read() as session:
            known, open_ = (
                frozenset(
                    number
                    for key, retry_count in session.execute(text(statement))
                    if (number := number_of(key, retry_count)) is not None
                )
                for statement in (
                    "SELECT idempotency_key, retry_count FROM entry WHERE kind = 'charge'",
                    "SELECT idempotency_key, retry_count FROM entry JOIN hold USING (request_id)"
                    " WHERE kind = 'charge'",
                )
            )
        return Restore(dumped, restored, known, open_)
