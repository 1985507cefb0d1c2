"""One, two and four gateways on one PostgreSQL: what a request costs in each, and the scale.

A machine with few cores has no room for four gateways, so what counts is CPU: with the same cost of
a request, four gateways on cores enough answer four times as many.
"""

import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.database import Database, find_postgresql, temporary_database
from tests.bench.gateways import PATHS, Gateway
from tests.bench.load import CHAT, PUBLIC_MODEL, SMOKE, send_load
from tests.bench.processes import Program, started
from tests.bench.programs import BenchError, build_programs
from tests.bench.targets import start_targets

COUNTS = (1, 2, 4)
_CONNECTIONS = 64
_CALMING_SECONDS = 1.0
_DOCUMENTS = """
---
apiVersion: faregate.dev/v1alpha1
kind: ApiKey
metadata: {{name: {name}, namespace: bench}}
spec: {{account: {name}, secretName: {name}-key}}
---
apiVersion: faregate.dev/v1alpha1
kind: CreditGrant
metadata: {{name: {name}, namespace: bench}}
spec: {{account: {name}, credits: 1000000000, reason: Benchmark}}
"""


@dataclass
class GatewaysFigures:
    """Milliseconds of CPU for a request: the gateways' and PostgreSQL's."""

    gateways: int
    gateway_ms: float
    database_ms: float

    @property
    def cost_ms(self) -> float:
        return self.gateway_ms + self.database_ms


def measure_gateways(seconds: float, rounds: int) -> tuple[list[GatewaysFigures], list[str]]:
    """The medians for each count, and a sentence for each thing that is not as it must be."""
    programs = find_postgresql()
    if programs is None:
        raise BenchError("PostgreSQL was not found")
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="faregate-scale-")
        folder = Path(stack.enter_context(made))
        database = stack.enter_context(temporary_database(programs, folder / "postgresql.log"))
        binaries = build_programs()
        (upstream,) = start_targets(stack, binaries, folder, {"direct"}, SMOKE.chunks)
        port = urlsplit(upstream.urls["chat"]).port or 0
        fleet = _fleet(folder, port, database.url)
        fleet[0].prepare()
        keys = [fleet[0].key(_account(number)) for number in range(len(fleet))]
        samples: dict[int, list[GatewaysFigures]] = {count: [] for count in COUNTS}
        complaints: list[str] = []
        for _ in range(rounds):
            for count in COUNTS:
                samples[count].append(
                    _sample(fleet[:count], keys, database, binaries["load"], seconds, complaints)
                )
        right, verdict = fleet[0].audit()
        print(f"audit: {verdict}")
        return [_median(samples[count]) for count in COUNTS], [
            *complaints,
            *([] if right else ["the audit says that the books are wrong"]),
        ]


def _fleet(folder: Path, port: int, url: str) -> list[Gateway]:
    secret = secrets.token_urlsafe(48)
    names = [_account(number) for number in range(max(COUNTS))]
    more = "".join(_DOCUMENTS.format(name=name) for name in names)
    return [
        Gateway(
            f"gateway {name}",
            folder / name,
            upstream_port=port,
            database_url=url,
            installation_secret=secret,
            more=more,
        )
        for name in names
    ]


def _account(number: int) -> str:
    return f"team-{number}"


def _sample(
    fleet: Sequence[Gateway],
    keys: Sequence[str],
    database: Database,
    load: Path,
    seconds: float,
    complaints: list[str],
) -> GatewaysFigures:
    """All gateways under load at once, each for an account of its own."""
    with ExitStack() as stack:
        programs = [stack.enter_context(started(gateway.start())) for gateway in fleet]
        for gateway, program in zip(fleet, programs, strict=True):
            gateway.wait_until_ready(program)

        def send(number: int, seconds: float) -> int:
            result = send_load(
                load,
                CHAT,
                url=f"http://127.0.0.1:{fleet[number].port}{PATHS['chat']}",
                model=PUBLIC_MODEL,
                key=keys[number],
                connections=_CONNECTIONS,
                seconds=seconds,
                chunks=1,
            )
            if result.errors:
                complaints.append(f"{fleet[number].name}: {result.first_error}")
            return result.requests

        with ThreadPoolExecutor(len(fleet)) as threads:
            list(threads.map(send, range(len(fleet)), [0.5] * len(fleet)))  # fills pools and plans
            time.sleep(_CALMING_SECONDS)
            before = _cpu(programs), database.server.cpu_seconds()
            requests = sum(threads.map(send, range(len(fleet)), [seconds] * len(fleet)))
            time.sleep(_CALMING_SECONDS)  # what is written behind an answer belongs to its cost
            after = _cpu(programs), database.server.cpu_seconds()
    gateway_ms, database_ms = (
        (later - earlier) * 1000 / requests for earlier, later in zip(before, after, strict=True)
    )
    figures = GatewaysFigures(len(fleet), gateway_ms, database_ms)
    print(f"{len(fleet)} gateways: {requests} answers, {figures.cost_ms:.3f} ms each", flush=True)
    return figures


def _cpu(programs: Sequence[Program]) -> float:
    return sum(program.cpu_seconds() for program in programs)


def _median(samples: Sequence[GatewaysFigures]) -> GatewaysFigures:
    return GatewaysFigures(
        samples[0].gateways,
        statistics.median(each.gateway_ms for each in samples),
        statistics.median(each.database_ms for each in samples),
    )
