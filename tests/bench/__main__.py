"""`python -m tests.bench`: measure, print the tables, check the bounds and the books.

Exit status 0 when all is well, 1 when a bound is exceeded, an answer was wrong or the books are,
2 when the benchmark could not run.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench.awake import cores_awake
from tests.bench.load import SMOKE, Plan
from tests.bench.metrics import sentence
from tests.bench.programs import BenchError, build_programs
from tests.bench.report import (
    cost_of_a_request,
    dialect_table,
    exceeded_bounds,
    main_table,
)
from tests.bench.rounds import Samples, measure, warm
from tests.bench.targets import TARGETS, Target, commit_ms, start_targets


def main() -> int:
    """Run the benchmark as the command line asks and return the exit status."""
    options = _parse_arguments()
    # So that a plain kill, too, ends what was started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    try:
        complaints = run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 2
    for complaint in complaints:
        print(f"NOT WELL: {complaint}")
    print("all is well" if not complaints else f"{len(complaints)} complaints")
    return 1 if complaints else 0


def run(options: argparse.Namespace) -> list[str]:
    """Measure and print; returns a sentence for each thing that is not as it must be."""
    programs = build_programs()
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faregate-bench-")))
        are_awake = not options.smoke and stack.enter_context(cores_awake())
        _print_conditions(folder, are_awake=are_awake)
        targets = start_targets(stack, programs, folder, set(options.targets), options.plan.chunks)
        samples, complaints = _measure(targets, programs["load"], options)
        print(f"\n{main_table(samples, targets)}\n\n{dialect_table(samples, targets)}\n")
        print(sentence(cost_of_a_request(samples, targets)))
        if not options.no_bounds:
            complaints += exceeded_bounds(samples, targets)
        for target in targets:
            complaints += _check_books(target)
    print(f"took {time.monotonic() - began:.0f} s")
    return complaints


def _measure(
    targets: Sequence[Target], load: Path, options: argparse.Namespace
) -> tuple[Samples, list[str]]:
    """The samples, and what was wrong. Bounds that are exceeded are measured once more.

    A machine that others share has bad minutes, and the median is of more rounds then.
    """
    samples = Samples()
    warm(targets, load, options.plan)
    complaints = measure(targets, load, options.plan, samples)
    if not options.no_bounds and (exceeded := exceeded_bounds(samples, targets)):
        print("\n".join(["", *exceeded, "measuring as many rounds once more …"]), flush=True)
        complaints += measure(targets, load, options.plan, samples)
    return samples, complaints


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a window (3)")
    parser.add_argument(
        "--targets",
        type=lambda text: text.split(","),
        default=list(TARGETS),
        help=f"some of {','.join(TARGETS)}, with commas",
    )
    parser.add_argument("--no-bounds", action="store_true", help="print, but hold no bound")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help="one short round: shows that answers and books are right, its figures mean nothing",
    )
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown targets: {', '.join(sorted(unknown))}")
    if options.rounds < 1 or not 0 < options.seconds <= 60:
        parser.error("--rounds must be at least 1, --seconds above 0 and at most 60")
    options.plan = Plan(rounds=options.rounds, seconds=options.seconds)
    if options.smoke:
        options.plan, options.no_bounds = SMOKE, True
    if "proxy" not in options.targets and not options.no_bounds:
        parser.error("the bounds are ratios to the proxy: add it to --targets, or say --no-bounds")
    return options


def _print_conditions(folder: Path, *, are_awake: bool) -> None:
    system = f"{platform.system()} {platform.release()}, {os.cpu_count()} cores"
    busy = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(
        f"{system} that {'do not' if are_awake else 'may'} sleep, load {busy}; "
        f"Python {platform.python_version()} of {sys.base_prefix}; "
        f"a durable write takes {commit_ms(folder):.2f} ms",
        flush=True,
    )


def _check_books(target: Target) -> Sequence[str]:
    """Compare what was charged with what was answered, then let the audit recompute it."""
    gateway = target.gateway
    if gateway is None:
        return []
    complaints = []
    # Each request costs one credit; the one that asks for the balance at the end is one more.
    charged = target.credits_at_start - gateway.credits_remaining(target.key) - 1
    # A wrong answer may have been charged or refunded; without one the figures agree exactly.
    if not target.answered <= charged <= target.answered + target.wrong:
        complaints.append(f"{target.name}: {charged} charges for {target.answered} answers")
    target.program.stop()
    right, verdict = gateway.audit()
    print(f"{target.name}: {target.answered} answers, {charged} charges. audit: {verdict}")
    if not right:
        complaints.append(f"{target.name}: the audit says that the books are wrong")
    return complaints


if __name__ == "__main__":
    sys.exit(main())
