"""`python -m tests.chaos`: faults by a seed, for so many seconds or so many faults.

Exit status 0 when all is well, 1 when something was violated, 2 when it could not run.
"""

import argparse
import asyncio
import logging
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.chaos.options import Options
from tests.chaos.run import Run
from tests.clients.namespace import NamespaceRefused, loopback_only
from tests.harness.postgres import find_programs


def main(arguments: Sequence[str] | None = None) -> int:
    options = _read(arguments)
    programs = find_programs()
    if programs is None:
        print("chaos: PostgreSQL is not installed (apt-get install postgresql)", file=sys.stderr)
        return 2
    logging.getLogger().addHandler(logging.NullHandler())  # outages of ours are no news
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    with ExitStack() as stack:
        try:
            stack.enter_context(loopback_only())
        except NamespaceRefused as refused:
            _write_line(f"no packets are dropped: no network namespace ({refused})")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faregate-chaos-")))
        folder.chmod(0o755)  # the database's servers run as somebody else
        violations = asyncio.run(Run(options, programs, _write_line).play(folder))
        if violations:
            _keep_logs(folder)
    return 1 if violations else 0


def _read(arguments: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="what everything random comes from")
    parser.add_argument("--seconds", type=float, default=120.0, help="no new round after so long")
    parser.add_argument("--faults", type=int, default=1_000_000, help="nor after so many faults")
    parser.add_argument("--gateways", type=int, default=3)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--lease", type=float, default=15.0, help="seconds of a lease")
    parser.add_argument("--short", action="store_true", help="no fault lasts as long as that")
    parser.add_argument(
        "--no-operator", action="store_false", dest="operator", help="no operator takes part"
    )
    parser.add_argument("--without", action="append", default=[], help="words of kinds left out")
    parser.add_argument(
        "--recovery", type=float, default=10.0, help="seconds in which a gateway must answer again"
    )
    read = parser.parse_args(arguments)
    return Options(
        seed=secrets.randbelow(1_000_000) if read.seed is None else read.seed,
        seconds=read.seconds,
        faults=read.faults,
        gateways=read.gateways,
        clients=read.clients,
        lease_seconds=read.lease,
        short=read.short,
        operator=read.operator,
        without=tuple(read.without),
        recovery_seconds=read.recovery,
    )


def _keep_logs(folder: Path) -> None:
    kept = tempfile.mkdtemp(prefix="faregate-chaos-logs-")
    for log in folder.rglob("*.log"):
        shutil.copy(log, kept)
    _write_line(f"the logs are kept in {kept}")


def _write_line(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
