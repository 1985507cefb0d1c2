"""The measured targets: the upstream alone, the bare proxy, and the gateway on each database.

Every target is up during the whole run, so one that is not being measured costs the others alike.
"""

import os
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.database import Database, find_postgresql, temporary_database
from tests.bench.gateways import PATHS, Gateway
from tests.bench.load import GAP_MS, PUBLIC_MODEL, UPSTREAM_MODEL
from tests.bench.processes import Program, started
from tests.harness.ports import free_port

DIRECT = "direct upstream"
PROXY = "bare Go proxy"
ON_SQLITE = "faregate, SQLite"
ON_POSTGRESQL = "faregate, PostgreSQL"
TARGETS = {"direct": DIRECT, "proxy": PROXY, "sqlite": ON_SQLITE, "postgresql": ON_POSTGRESQL}

_CHAT_PATH = "/v1/chat/completions"


@dataclass
class Target:
    """A running target. `program` pays for a request, with `database` where there is one."""

    name: str
    program: Program
    urls: Mapping[str, str]
    model: str
    cold_start_seconds: float
    idle_bytes: int
    key: str = ""
    gateway: Gateway | None = None
    database: Program | None = None
    credits_at_start: int = 0
    #: requests the load generator sent, right answers and wrong ones
    answered: int = 0
    wrong: int = 0


def start_targets(
    stack: ExitStack, programs: Mapping[str, Path], folder: Path, chosen: set[str], chunks: int
) -> list[Target]:
    """Start what was chosen (keys of `TARGETS`) and the upstream, in the order of the table.

    The upstream sends `chunks` chunks of content in a stream.
    """
    port = free_port()
    options = ["-model", UPSTREAM_MODEL, "-chunks", str(chunks), "-gap", str(GAP_MS)]
    upstream = _start_plain(stack, DIRECT, programs["upstream"], folder, port, options)
    targets = [upstream] if "direct" in chosen else []
    if "proxy" in chosen:
        to_upstream = ["-upstream", f"http://127.0.0.1:{port}"]
        targets.append(
            _start_plain(stack, PROXY, programs["proxy"], folder, free_port(), to_upstream)
        )
    if "sqlite" in chosen:
        gateway = Gateway(ON_SQLITE, folder / "sqlite", upstream_port=port, database_url=None)
        targets.append(_start_gateway(stack, gateway, None))
    if "postgresql" in chosen:
        targets.extend(_start_on_postgresql(stack, folder, port))
    return targets


def commit_ms(folder: Path) -> float:
    """Median milliseconds of one small durable write in this folder, 50 tries."""
    samples = []
    descriptor = os.open(folder / "commit", os.O_CREAT | os.O_WRONLY)
    for _ in range(50):
        os.write(descriptor, b"x" * 512)
        began = time.perf_counter()
        os.fdatasync(descriptor)
        samples.append((time.perf_counter() - began) * 1000)
    os.close(descriptor)
    return statistics.median(samples)


def _start_plain(
    stack: ExitStack, name: str, binary: Path, folder: Path, port: int, options: list[str]
) -> Target:
    command = [str(binary), "-listen", f"127.0.0.1:{port}", *options]
    program = stack.enter_context(
        started(Program(name, command, log=folder / f"{binary.name}.log"))
    )
    # Neither has a readiness route; the chat route answers 400 to a request without a body.
    seconds = program.wait_for_answer(port, _CHAT_PATH, 400)
    urls = {"chat": f"http://127.0.0.1:{port}{_CHAT_PATH}"}
    return Target(name, program, urls, UPSTREAM_MODEL, seconds, program.resident_bytes())


def _start_on_postgresql(stack: ExitStack, folder: Path, upstream_port: int) -> list[Target]:
    programs = find_postgresql()
    if programs is None:
        print(
            "PostgreSQL was not found (no initdb and postgres under /usr/lib/postgresql/*/bin "
            "or on PATH); the gateway on PostgreSQL is left out.",
            flush=True,
        )
        return []
    print("making a PostgreSQL cluster ...", flush=True)
    database = stack.enter_context(temporary_database(programs, folder / "postgresql.log"))
    gateway = Gateway(
        ON_POSTGRESQL,
        folder / "postgresql",
        upstream_port=upstream_port,
        database_url=database.url,
    )
    return [_start_gateway(stack, gateway, database)]


def _start_gateway(stack: ExitStack, gateway: Gateway, database: Database | None) -> Target:
    print(f"starting {gateway.name} ...", flush=True)
    key = gateway.prepare()
    # The first start made the schema and the key: what counts is a start like any other.
    program = stack.enter_context(started(gateway.start()))
    seconds = gateway.wait_until_ready(program)
    target = Target(
        gateway.name,
        program,
        {dialect: f"http://127.0.0.1:{gateway.port}{path}" for dialect, path in PATHS.items()},
        PUBLIC_MODEL,
        seconds,
        program.resident_bytes(),
        key=key,
        gateway=gateway,
        database=database.server if database else None,
    )
    target.credits_at_start = gateway.credits_remaining(key)
    return target
