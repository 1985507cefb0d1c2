"""One run: everything started, rounds of faults until there were enough, everything judged."""

import asyncio
import math
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from gateway.core.errors import DatabaseUnavailable
from tests.chaos import report
from tests.chaos.clients import Clients
from tests.chaos.evidence import Evidence, Violation
from tests.chaos.faults import Faults
from tests.chaos.firewall import open_firewall
from tests.chaos.judge import judge
from tests.chaos.keys import CAP, RICH, Keys
from tests.chaos.ledger import Ledger
from tests.chaos.operators import OperatorPart, open_operator
from tests.chaos.options import Options
from tests.chaos.records import Got
from tests.chaos.recovery import Recovery, recoveries
from tests.chaos.rounds import RECOVERY_SECONDS_MAX, Rounds
from tests.chaos.town import INPUT, METERED, OUTPUT, PRICE, SURCHARGE, Times, Town
from tests.chaos.treasurer import Treasurer
from tests.chaos.watch import Watch


class Run:
    """Plays one run in one event loop."""

    def __init__(self, options: Options, programs: Path, write_line: Callable[[str], None]) -> None:
        self._options = options
        self._programs = programs
        self._write_line = write_line

    async def play(self, folder: Path) -> list[Violation]:
        """Returns what was violated, after it was shown."""
        options = self._options
        times = Times(lease_seconds=options.lease_seconds)
        firewall = open_firewall()
        town = Town(folder, self._programs, firewall, gateways=options.gateways, times=times)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(town.close)
            await town.open()
            operator = await self._open_operator(town)
            if operator is not None:
                stack.callback(operator.close)
            return await self._in(town, operator)

    async def _open_operator(self, town: Town) -> OperatorPart | None:
        options = self._options
        if not options.operator:
            return None
        url = town.url(town.office)
        operator = await asyncio.to_thread(open_operator, url, town.folder, options.seed)
        if operator is None:
            self._write_line("no operator takes part: the programs of Kubernetes are not there")
        return operator

    async def _in(self, town: Town, operator: OperatorPart | None) -> list[Violation]:
        options = self._options
        secret = secrets.token_hex(32)
        if operator is not None:
            secret = await asyncio.to_thread(operator.furnish)
        keys = Keys(town.database, secret, options.seed)
        treasurer = Treasurer(town.database, options.seed)
        await asyncio.to_thread(keys.issue)
        await asyncio.to_thread(treasurer.endow)
        keys.of_objects = {} if operator is None else operator.holders
        town.furnish(secret)
        await asyncio.gather(*(gateway.start() for gateway in town.gateways))

        def reapply() -> None:
            keys.reapply()
            treasurer.reapply()

        clients = Clients(town, keys, options)
        watch = Watch(town.pair, options.lease_seconds)
        faults = Faults(town, operator, reapply)
        rounds = Rounds(options, town, clients, operator, self._write_line)
        players = [clients.play, clients.keep_asking, keys.play, treasurer.play]
        if operator is not None:
            players.append(operator.play)
        over, settled = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as watching:
            watching.create_task(watch.play(settled))
            async with asyncio.TaskGroup() as playing:
                for player in players:
                    playing.create_task(player(over))
                await rounds.play(faults)
                over.set()
            await _wait_until_closed(town)
            settled.set()
        limit = options.recovery_seconds
        found = [] if rounds.given_up is None else [Violation(rounds.given_up)]
        back = list(recoveries(clients.records, faults.incidents, options.gateways, limit))
        for one in back:
            if one.seconds > limit:
                late = f"gateway {one.gateway} answered {one.seconds:.1f} s after the end of"
                found.append(Violation(f"{late}: {one.incident.fault}"))
        granted = await _granted(treasurer, operator, found)
        for gateway in town.gateways:
            code = await gateway.stop()
            if code != 0:
                found.append(Violation(f"gateway {gateway.number} ended with {code}"))
        evidence = Evidence(
            records=clients.records,
            ledger=await asyncio.to_thread(Ledger, town.database),
            dispatched=town.observer.dispatched,
            begun=town.observer.begun,
            answered=town.observer.answered,
            incidents=faults.incidents,
            restores=faults.restores,
            quiet=rounds.quiet,
            lease_was_over=watch.was_over,
            held_by=watch.held_by,
            price=_price,
            used=partial(_used, town.observer.usage),
            good_keys=RICH,
            caps={"capped": CAP},
            granted=granted,
        )
        found += judge(evidence)
        self._write_report(evidence, found, back, keys, treasurer, town)
        return found

    def _write_report(
        self,
        evidence: Evidence,
        violations: list[Violation],
        back: list[Recovery],
        keys: Keys,
        treasurer: Treasurer,
        town: Town,
    ) -> None:
        write_line = self._write_line
        write_line(f"\nfaults\n{report.faults_table(evidence.incidents)}")
        write_line(f"  {len(evidence.incidents)} in all\n")
        write_line(f"{report.requests_table(evidence)}\n  {report.requests_summary(evidence)}\n")
        void = sum(bool(given.spec.get("void")) for given in treasurer.grants.values())
        write_line(
            f"keys: {keys.rotated} rotations, {keys.revoked} revocations;"
            f" grants: {len(treasurer.grants)}, {void} of them void"
        )
        write_line(f"\nseconds until a gateway answered again\n{report.recovery_table(back)}")
        logs = {gateway.number: gateway.process.log for gateway in town.gateways}
        for line in report.stories(violations, evidence, logs):
            write_line(line)
        write_line(f"\n{len(violations)} violations; again by: {self._options.command}")


async def _granted(
    treasurer: Treasurer, operator: OperatorPart | None, found: list[Violation]
) -> set[str]:
    """The names of the grants that were confirmed; what is wrong with the objects is added."""
    granted = {name for name, given in treasurer.grants.items() if given.posted}
    if operator is not None:
        try:
            granted |= await asyncio.to_thread(operator.granted)
        except AssertionError as error:
            found.append(Violation(f"the operator's objects are not right: {error}"))
    return granted


def _price(got: Got) -> int | None:
    if got.asked.model == METERED:
        return None
    return PRICE + (SURCHARGE if got.asked.reasons else 0)


def _used(usage: Mapping[int, tuple[int, int]], got: Got) -> int | None:
    """The price by tokens, as the upstream counted them; None where that was not seen."""
    if got.asked.number not in usage:
        return None
    prompt, answer = usage[got.asked.number]
    return math.ceil(Fraction(prompt * INPUT + answer * OUTPUT, 10**6))


async def _wait_until_closed(town: Town) -> None:
    """Until no request is open any more: the dead ones' are refunded by the living."""
    began = time.monotonic()
    while await asyncio.to_thread(_has_holds, town):
        if time.monotonic() - began > RECOVERY_SECONDS_MAX:
            return  # the judge finds them
        await asyncio.sleep(0.3)


def _has_holds(town: Town) -> bool:
    try:
        with town.database.read() as session:
            return bool(session.execute(text("SELECT count(*) FROM hold")).scalar_one())
    except (DatabaseUnavailable, SQLAlchemyError):
        return True
