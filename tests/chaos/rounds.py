"""The rounds: faults by the plan, and after each round the wait until everything works again."""

import asyncio
import time
from collections.abc import Callable

from tests.chaos.clients import Clients
from tests.chaos.faults import Faults
from tests.chaos.operators import OperatorPart
from tests.chaos.options import Options
from tests.chaos.plan import Plan
from tests.chaos.town import Town

#: then it is given up
RECOVERY_SECONDS_MAX = 120.0
_REPORT_SECONDS = 5.0
#: of so many it is looked how many are under way
_LAST = 1000
#: after each round nothing fails for so long
_QUIET_SECONDS = 0.5


class Rounds:
    """Plays them, each when all has recovered from the one before."""

    def __init__(
        self,
        options: Options,
        town: Town,
        clients: Clients,
        operator: OperatorPart | None,
        write_line: Callable[[str], None],
    ) -> None:
        self._options = options
        self._town = town
        self._clients = clients
        self._operator = operator
        self._write_line = write_line
        self._count = 0
        #: from when to when everything was right
        self.quiet: list[tuple[float, float]] = []
        #: why there was no further round, where something did not come back
        self.given_up: str | None = None

    async def play(self, faults: Faults) -> None:
        options = self._options
        abilities = {"firewall"} if self._town.firewall else set()
        abilities |= {"operator"} if self._operator else set()
        plan = Plan(
            options.seed,
            options.gateways,
            options.lease_seconds,
            frozenset(abilities),
            short=options.short,
            without=options.without,
        )
        began = time.monotonic()
        await self._recover()
        for number, planned in enumerate(plan.rounds(), start=1):
            enough = self._count >= options.faults
            if enough or time.monotonic() - began > options.seconds:
                return
            round_ = planned[: options.faults - self._count]
            self._count += len(round_)
            self._write_line(f"round {number}: {'; '.join(str(fault) for fault in round_)}")
            telling = asyncio.create_task(self._report_progress(began))
            await faults.carry_out(round_)
            telling.cancel()
            seconds = await self._recover()
            if seconds >= RECOVERY_SECONDS_MAX:
                self.given_up = f"after {seconds:.0f} s not all work again"
                return
            self._write_line(f"  works again after {seconds:.1f} s; {self._progress(began)}")

    async def _report_progress(self, began: float) -> None:
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            self._write_line(f"  {self._progress(began)}")

    def _progress(self, began: float) -> str:
        seconds, records = time.monotonic() - began, self._clients.records
        under_way = sum(not got.ended for got in records[-_LAST:])
        return (
            f"{seconds:.0f} s: {self._count} faults, {len(records)} requests,"
            f" {under_way} of them under way"
        )

    async def _recover(self) -> float:
        """Until every gateway is ready and answers everything; how many seconds that took."""
        began = time.monotonic()
        while not await self._works():
            if time.monotonic() - began > RECOVERY_SECONDS_MAX:
                return time.monotonic() - began
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - began
        since = time.time()
        await asyncio.sleep(_QUIET_SECONDS)
        self.quiet.append((since, time.time()))
        return seconds

    async def _works(self) -> bool:
        ready = [await gateway.is_ready() for gateway in self._town.gateways]
        if self._operator is not None:
            ready.append(await self._operator.is_ready())
        return all(ready) and await self._clients.probe()
