"""One run: everything started, rounds of faults until there were enough, everything judged."""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import DatabaseUnavailable
from tests.chaos import report
from tests.chaos.clients import Clients
from tests.chaos.faults import Faults
from tests.chaos.firewall import open_firewall
from tests.chaos.judge import Evidence, Violation, judge
from tests.chaos.keys import CAP, RICH, Keys
from tests.chaos.ledger import Ledger
from tests.chaos.operators import OperatorPart
from tests.chaos.plan import Plan
from tests.chaos.records import Fault, Got
from tests.chaos.town import PRICE, SURCHARGE, Times, Town
from tests.chaos.treasurer import Treasurer
from tests.chaos.watch import Watch

_SETTLING_SECONDS_MAX = 120.0


class Options(Struct, frozen=True, kw_only=True):
    """What a run is told; by these it can be had again."""

    seed: int
    #: no new round begins after so long
    seconds: float
    #: nor after so many
    faults: int
    gateways: int = 3
    clients: int = 12
    lease_seconds: float = 15.0
    #: no fault lasts longer than a lease
    short: bool = False
    #: words of the kinds that are left out
    without: tuple[str, ...] = ()
    #: how long after a fault everything may take to work again
    recovery_seconds: float = 10.0

    @property
    def command(self) -> str:
        words = [f"--{name} {getattr(self, name)}" for name in ("seed", "seconds", "faults")]
        words += [f"--gateways {self.gateways} --clients {self.clients}"]
        words += [f"--lease {self.lease_seconds}", *(["--short"] if self.short else [])]
        words += [f'--without "{kind}"' for kind in self.without]
        return f"make chaos ARGS='{' '.join(words)}'"


class Run:
    """Plays one run in one event loop."""

    def __init__(self, options: Options, programs: Path, say: Callable[[str], None]) -> None:
        self._options = options
        self._programs = programs
        self._say = say
        self._recoveries: list[float] = []
        self._quiet: list[tuple[float, float]] = []
        self._slow: list[str] = []
        self._count = 0

    async def play(self, folder: Path) -> list[Violation]:
        """Returns what was violated, after it was shown."""
        options = self._options
        times = Times(lease_seconds=options.lease_seconds)
        firewall = open_firewall()
        town = Town(folder, self._programs, firewall, gateways=options.gateways, times=times)
        try:
            await town.open()
            return await self._in(town)
        finally:
            await town.close()

    async def _in(self, town: Town) -> list[Violation]:
        options, over = self._options, asyncio.Event()
        secret = secrets.token_hex(32)
        keys = Keys(town.database, secret, options.seed)
        treasurer = Treasurer(town.database, options.seed)
        await asyncio.to_thread(keys.issue)
        await asyncio.to_thread(treasurer.endow)
        town.furnish(secret)
        await asyncio.gather(*(gateway.start() for gateway in town.gateways))
        clients = Clients(town, keys, options.seed, options.clients)
        watch = Watch(town.pair, options.lease_seconds)
        operator: OperatorPart | None = None

        def reapply() -> None:
            keys.reapply()
            treasurer.reapply()

        faults = Faults(town, operator, reapply)
        watched = asyncio.Event()
        async with asyncio.TaskGroup() as watching:
            watching.create_task(watch.play(watched))
            async with asyncio.TaskGroup() as players:
                for player in (clients, keys, treasurer):
                    players.create_task(player.play(over))
                await self._rounds(town, faults, clients)
                over.set()
            await self._settle(town)
            watched.set()
        codes = [await gateway.stop() for gateway in town.gateways]
        evidence = Evidence(
            records=clients.records,
            ledger=await asyncio.to_thread(Ledger, town.database),
            dispatched=town.dispatched,
            incidents=faults.incidents,
            restores=faults.restores,
            quiet=self._quiet,
            lease_was_over=watch.was_over,
            price=_price,
            good_keys=RICH,
            caps={"capped": CAP},
            granted={name for name, given in treasurer.grants.items() if given.posted},
        )
        violations = judge(evidence)
        violations += [Violation(sentence) for sentence in self._slow]
        violations += [
            Violation(f"gateway {number} ended with {code}")
            for number, code in enumerate(codes)
            if code != 0
        ]
        self._tell(evidence, violations, keys, treasurer, town)
        return violations

    async def _rounds(self, town: Town, faults: Faults, clients: Clients) -> None:
        options = self._options
        abilities = frozenset({"firewall"} if town.firewall else ())
        plan = Plan(
            options.seed,
            options.gateways,
            options.lease_seconds,
            abilities,
            short=options.short,
            without=options.without,
        )
        began = time.monotonic()
        await self._recover(town, clients)
        for number, planned in enumerate(plan.rounds(), start=1):
            enough = self._count >= options.faults
            if enough or time.monotonic() - began > options.seconds:
                return
            round_ = planned[: options.faults - self._count]
            self._count += len(round_)
            self._say(f"round {number}: {'; '.join(str(fault) for fault in round_)}")
            await faults.carry_out(round_)
            seconds = await self._recover(town, clients)
            self._note_recovery(seconds, round_)
            if seconds >= _SETTLING_SECONDS_MAX:
                return
            self._say(
                f"  works again after {seconds:.1f} s; {self._count} faults,"
                f" {len(clients.records)} requests in {time.monotonic() - began:.0f} s"
            )

    def _note_recovery(self, seconds: float, round_: list[Fault]) -> None:
        self._recoveries.append(seconds)
        if seconds > self._options.recovery_seconds:
            after = "; ".join(str(fault) for fault in round_)
            self._slow.append(f"it took {seconds:.1f} s until all worked again after {after}")

    async def _recover(self, town: Town, clients: Clients) -> float:
        """Wait until every gateway is ready and answers in every dialect; how long that took."""
        began = time.monotonic()
        while True:
            ready = [await gateway.is_ready() for gateway in town.gateways]
            if all(ready) and await clients.probe():
                seconds = time.monotonic() - began
                quiet_from = time.time()
                await asyncio.sleep(0.5)
                self._quiet.append((quiet_from, time.time()))
                return seconds
            if time.monotonic() - began > _SETTLING_SECONDS_MAX:
                return time.monotonic() - began
            await asyncio.sleep(0.1)

    async def _settle(self, town: Town) -> None:
        """Until no request is open any more: the dead ones' are refunded by the living."""
        began = time.monotonic()
        while await asyncio.to_thread(_holds, town):
            if time.monotonic() - began > _SETTLING_SECONDS_MAX:
                return  # the judge will say so
            await asyncio.sleep(0.3)

    def _tell(
        self,
        evidence: Evidence,
        violations: list[Violation],
        keys: Keys,
        treasurer: Treasurer,
        town: Town,
    ) -> None:
        say = self._say
        say("\nfaults")
        say(report.faults_table(evidence.incidents))
        say(f"  {len(evidence.incidents)} in all, {len(evidence.restores)} restores among them\n")
        say(report.requests_table(evidence))
        say(f"  {len(evidence.records)} in all\n")
        say(
            f"keys: {keys.rotated} rotations, {keys.revoked} revocations;"
            f" grants: {len(treasurer.grants)}, of which"
            f" {sum(bool(given.spec.get('void')) for given in treasurer.grants.values())} void"
        )
        ordered = sorted(self._recoveries) or [0.0]
        say(
            f"works again after: {ordered[len(ordered) // 2]:.1f} s in the middle,"
            f" {ordered[-1]:.1f} s at most"
        )
        logs = {gateway.number: gateway.process.log for gateway in town.gateways}
        for line in report.stories(violations, evidence, logs):
            say(line)
        say(f"\n{len(violations)} violations; again by: {self._options.command}")


def _price(got: Got) -> int:
    return PRICE + (SURCHARGE if got.asked.reasons else 0)


def _holds(town: Town) -> bool:
    try:
        with town.database.read() as session:
            return bool(session.execute(text("SELECT count(*) FROM hold")).scalar_one())
    except (DatabaseUnavailable, SQLAlchemyError):
        return True
