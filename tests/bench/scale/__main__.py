"""`python -m tests.bench.scale`: thousands of keys in one operator, gateways on one database.

Exit status 0 when all bounds hold, 1 when one does not, 2 when the benchmark could not run.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.programs import BenchError
from tests.bench.scale.gateways import GatewaysFigures, measure_gateways
from tests.bench.scale.keys import KeysFigures, measure_keys
from tests.harness.apiserver import MISSING, ApiServer, find_kubernetes
from tests.harness.postgres import PostgresServer, find_programs
from tests.reconcile.resources import install_resources
from tests.reconcile.world import World

#: the bounds of one operator, for any number of keys
_READY_SECONDS_MAX = 300
_WRITES_MAX = 3
_MEMORY_MIB_MAX = 256
_STRANGER_SECONDS_MAX = 3
_RESTART_SECONDS_MAX = 30
#: a sweep's cost for a key, among many and among few
_SWEEP_RATIO_MAX = 1.5
#: four gateways on one database, to one on a machine that is as busy
_SCALE_MIN = 3.6


def main() -> int:
    """Measure what is asked for, and print the tables."""
    options = _parse_arguments()
    complaints: list[str] = []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    try:
        if options.gateways:
            figures, complaints = measure_gateways(options.seconds, options.rounds)
            complaints += _report_gateways(figures)
        if options.keys:
            complaints += _report_keys([_measure_keys(number) for number in options.keys])
    except (BenchError, TimeoutError) as error:
        print(f"bench: {str(error) or 'it took too long'}", file=sys.stderr)
        return 2
    for complaint in complaints:
        print(f"NOT WELL: {complaint}")
    print("all is well" if not complaints else f"{len(complaints)} complaints")
    return 1 if complaints else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--keys", type=int, nargs="*", default=[1000, 3000, 10000])
    parser.add_argument("--no-gateways", dest="gateways", action="store_false")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the gateways (3)")
    parser.add_argument("--seconds", type=float, default=6, help="length of a window (6)")
    return parser.parse_args()


def _measure_keys(keys: int) -> KeysFigures:
    kubernetes, postgresql = find_kubernetes(), find_programs()
    if kubernetes is None or postgresql is None:
        raise BenchError(MISSING if kubernetes is None else "PostgreSQL was not found")
    with ExitStack() as stack:
        server = ApiServer(kubernetes).start()
        stack.callback(server.remove)
        install_resources(server)
        postgres = PostgresServer(postgresql)
        stack.callback(postgres.remove)
        postgres.start()
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="faregate-scale-"))
        world = World(server, postgres, Path(folder), whole=True)
        stack.callback(world.close)
        figures = measure_keys(server, world, keys)
    print(figures, flush=True)
    return figures


def _report_keys(measured: Sequence[KeysFigures]) -> list[str]:
    print(
        "\n| keys at once | applied | all Ready | another's key meanwhile | writes to an ApiKey"
        " (with its Secret and Event) | operator's CPU a key | its memory at most | restart |"
        " its memory | a sweep, a key |\n" + "| --- " * 10 + "|"
    )
    complaints = []
    for one in measured:
        print(
            f"| {one.keys:,} | {one.applied_seconds:.0f} s | {one.ready_seconds:.0f} s"
            f" | {one.stranger_seconds:.1f} s | {one.own_writes:.2f} ({one.writes:.2f})"
            f" | {one.cpu_ms:.1f} ms | {one.peak_mib:.0f} MiB | {one.restart_seconds:.1f} s"
            f" | {one.restart_peak_mib:.0f} MiB | {one.sweep_ms:.2f} ms |"
        )
        for what, value, bound in (
            ("seconds until all were Ready", one.ready_seconds, _READY_SECONDS_MAX),
            ("seconds until another's key was", one.stranger_seconds, _STRANGER_SECONDS_MAX),
            ("writes to an ApiKey", one.own_writes, _WRITES_MAX),
            ("MiB of memory", max(one.peak_mib, one.restart_peak_mib), _MEMORY_MIB_MAX),
            ("seconds of a restart", one.restart_seconds, _RESTART_SECONDS_MAX),
            ("ms of a sweep for a key", one.sweep_ms, measured[0].sweep_ms * _SWEEP_RATIO_MAX),
        ):
            if value > bound:
                complaints.append(f"{one.keys} keys: {value:.1f} {what}, not {bound:.1f}")
    return complaints


def _report_gateways(measured: Sequence[GatewaysFigures]) -> list[str]:
    """Print the scale of each fleet, against one gateway alone and against one as crowded."""
    alone, *_, shared, apart = measured
    print(
        "\n| gateways | CPU a request | of it PostgreSQL | requests by CPU, of one alone"
        " | of one on a machine as busy |\n" + "| --- " * 5 + "|"
    )
    for one in measured:
        crowded = f"{_scale(one, apart):.2f} x" if one in (shared, apart) else ""
        print(
            f"| {one.fleet} | {one.cost_ms:.3f} ms | {one.database_ms:.3f} ms"
            f" | {_scale(one, alone):.2f} x | {crowded} |"
        )
    if _scale(shared, apart) < _SCALE_MIN:
        return [f"four gateways do {_scale(shared, apart):.2f} x of one, not {_SCALE_MIN}"]
    return []


def _scale(fleet: GatewaysFigures, one: GatewaysFigures) -> float:
    """The fleet's requests to those of one gateway that costs as much as one of `one`."""
    return fleet.gateways * one.cost_ms / fleet.cost_ms


if __name__ == "__main__":
    sys.exit(main())
