"""One, two and four gateways on one PostgreSQL: what a request costs in each, and the scale.

A machine with few cores has no room for four gateways, so what counts is CPU: with the same cost of
a request, four gateways on cores enough answer four times as many. Processes that share cores cost
more in any case. So one gateway is measured twice: alone, and among three others that share nothing
with it, where the machine is as busy as with four on one database.
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

    fleet: str
    gateways: int
    gateway_ms: float
    database_ms: float

    @property
    def cost_ms(self) -> float:
        return self.gateway_ms + self.database_ms


@dataclass
class _Fleet:
    """Gateways, each with the key of its account, and the databases that they use."""

    name: str
    gateways: Sequence[Gateway]
    keys: Sequence[str]
    databases: Sequence[Database]


def measure_gateways(seconds: float, rounds: int) -> tuple[list[GatewaysFigures], list[str]]:
    """The medians for each fleet, and a sentence for each thing that is not as it must be.

    The first fleet is one gateway, the last one shares no database.
    """
    programs = find_postgresql()
    if programs is None:
        raise BenchError("PostgreSQL was not found")
    with ExitStack() as stack:
        made = tempfile.TemporaryDirectory(prefix="faregate-scale-")
        folder = Path(stack.enter_context(made))
        databases = [
            stack.enter_context(temporary_database(programs, folder / f"postgresql-{number}.log"))
            for number in range(1 + max(COUNTS))
        ]
        binaries = build_programs()
        (upstream,) = start_targets(stack, binaries, folder, {"direct"}, SMOKE.chunks)
        port = urlsplit(upstream.urls["chat"]).port or 0
        fleets = _fleets(folder, port, databases)
        samples: list[list[GatewaysFigures]] = [[] for _ in fleets]
        complaints: list[str] = []
        for _ in range(rounds):
            for fleet, figures in zip(fleets, samples, strict=True):
                figures.append(_sample(fleet, binaries["load"], seconds, complaints))
        for gateway in (fleets[0].gateways[0], *fleets[-1].gateways):
            right, verdict = gateway.audit()
            print(f"audit: {verdict}")
            if not right:
                complaints.append("the audit says that the books are wrong")
        return [_median(figures) for figures in samples], complaints


def _fleets(folder: Path, port: int, databases: Sequence[Database]) -> list[_Fleet]:
    shared, *own = databases
    together = _gateways(folder / "together", port, [shared] * max(COUNTS))
    together[0].prepare()
    keys = [together[0].key(_account(number)) for number in range(len(together))]
    apart = _gateways(folder / "apart", port, own)
    for gateway in apart:
        gateway.prepare()
    own_keys = [gateway.key(_account(number)) for number, gateway in enumerate(apart)]
    return [
        *(_Fleet(str(count), together[:count], keys, [shared]) for count in COUNTS),
        _Fleet(f"{len(apart)}, a PostgreSQL each", apart, own_keys, own),
    ]


def _gateways(folder: Path, port: int, databases: Sequence[Database]) -> list[Gateway]:
    secret = secrets.token_urlsafe(48)
    names = [_account(number) for number in range(max(COUNTS))]
    more = "".join(_DOCUMENTS.format(name=name) for name in names)
    return [
        Gateway(
            f"gateway {name}",
            folder / name,
            upstream_port=port,
            database_url=database.url,
            installation_secret=secret,
            more=more,
        )
        for name, database in zip(names, databases, strict=True)
    ]


def _account(number: int) -> str:
    return f"team-{number}"


def _sample(fleet: _Fleet, load: Path, seconds: float, complaints: list[str]) -> GatewaysFigures:
    """All gateways under load at once, each for an account of its own."""
    servers = [database.server for database in fleet.databases]
    number_of_gateways = len(fleet.gateways)
    with ExitStack() as stack:
        programs = [stack.enter_context(started(gateway.start())) for gateway in fleet.gateways]
        for gateway, program in zip(fleet.gateways, programs, strict=True):
            gateway.wait_until_ready(program)

        def send(number: int, seconds: float) -> int:
            gateway = fleet.gateways[number]
            result = send_load(
                load,
                CHAT,
                url=f"http://127.0.0.1:{gateway.port}{PATHS['chat']}",
                model=PUBLIC_MODEL,
                key=fleet.keys[number],
                connections=_CONNECTIONS,
                seconds=seconds,
                chunks=1,
            )
            if result.errors:
                complaints.append(f"{gateway.name}: {result.first_error}")
            return result.requests

        def send_all(seconds: float) -> int:
            with ThreadPoolExecutor(number_of_gateways) as threads:
                return sum(
                    threads.map(send, range(number_of_gateways), [seconds] * number_of_gateways)
                )

        send_all(0.5)  # fills pools and plans
        time.sleep(_CALMING_SECONDS)
        before = _cpu(programs), _cpu(servers)
        requests = send_all(seconds)
        time.sleep(_CALMING_SECONDS)  # what is written behind an answer belongs to its cost
        after = _cpu(programs), _cpu(servers)
    gateway_ms, database_ms = (
        (later - earlier) * 1000 / requests for earlier, later in zip(before, after, strict=True)
    )
    figures = GatewaysFigures(fleet.name, number_of_gateways, gateway_ms, database_ms)
    print(f"gateways: {fleet.name}: {requests} answers, {figures.cost_ms:.3f} ms each", flush=True)
    return figures


def _cpu(programs: Sequence[Program]) -> float:
    return sum(program.cpu_seconds() for program in programs)


def _median(samples: Sequence[GatewaysFigures]) -> GatewaysFigures:
    return GatewaysFigures(
        samples[0].fleet,
        samples[0].gateways,
        statistics.median(each.gateway_ms for each in samples),
        statistics.median(each.database_ms for each in samples),
    )
