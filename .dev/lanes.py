"""Runs all tests in lanes side by side, as each waits a lot, and prints where the time went.

    lanes.py BEGAN        when the whole run began, in seconds since 1970

The first lane is shown while it runs, the others when all are over. Ctrl-C ends them all, each in
its own way. The exit code is 0 where nothing failed.

What runs in the cluster has bounds of seconds to keep, so all else shares one control group, which
gets a part of the processors as if it were one process; where none may be made, it does without.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path

_PYTEST = [sys.executable, "-m", "pytest", "--durations=15"]
#: each folder is in one lane: by itself, in the checks, or in what is left
_REQUESTS = (
    "tests/dialects", "tests/flow", "tests/fuzz", "tests/matrix", "tests/sdk", "tests/simulated",
    "tests/telemetry",
)  # fmt: skip
_STORE = ("tests/store", "tests/traps", "tests/upstream")
_OPERATOR = ("tests/reconcile", "tests/chart")
_ELSEWHERE = (
    "tests/chaos", "tests/clients", *_OPERATOR, *_REQUESTS, *_STORE, "tests/test_docs.py",
    "tests/test_tidy.py",
)  # fmt: skip
#: looks at what the tests before it have left behind
_LAST = "tests/test_last.py"
_CLUSTER = [
    ("cluster", [sys.executable, "-m", "tests.cluster", "run"]),
    ("faults", [*_PYTEST, "tests/chaos"]),
]
#: by lane its steps: what one is called, and its command
_LANES = [
    [("requests", [*_PYTEST, *_REQUESTS, _LAST])],
    _CLUSTER,
    [
        ("checks", [".dev/check"]),
        ("operator", [*_PYTEST, *_OPERATOR, _LAST]),
        ("agent clients", [*_PYTEST, "tests/clients"]),
    ],
    [
        ("all else", [*_PYTEST, *(f"--ignore={path}" for path in _ELSEWHERE)]),
        ("store and upstreams", [*_PYTEST, *_STORE, _LAST]),
    ],
]
#: of the processors, by the layout of control groups; half of what a process has by default
_SHARES = {"cpu.weight": "50", "cpu.shares": "512"}
#: the cluster's own phases, which it writes into the file that this names
_PHASES = "FAREGATE_TEST_PHASES"


class Lane:
    """Steps one after the other; one that fails does not keep the next away."""

    def __init__(
        self, steps: list[tuple[str, list[str]]], output: Path | None, group: Path | None
    ) -> None:
        self._steps = steps
        self._group = group
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self.output = output
        #: seconds and name of what has ended
        self.times: list[tuple[float, str]] = []
        #: set in the end: a lane that breaks off has not passed
        self.passed = False
        self.thread = threading.Thread(target=self._run)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGINT)

    def _run(self) -> None:
        codes = [self._timed(*step) for step in self._steps]
        self.passed = not any(codes)

    def _timed(self, name: str, command: list[str]) -> int:
        since = time.monotonic()
        code = self._step(command)
        self.times.append((time.monotonic() - since, f"{name}{' (failed)' * bool(code)}"))
        return code

    def _step(self, command: list[str]) -> int:
        with self._lock:
            if self._stopped:
                return 130
            shown = nullcontext() if self.output is None else self.output.open("ab")
            with shown as output:
                self._process = subprocess.Popen(
                    command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
                )
            if self._group is not None:
                Path(self._group, "cgroup.procs").write_text(str(self._process.pid))
        return self._process.wait()


def main(began: float) -> int:
    with tempfile.TemporaryDirectory() as notes:
        phases = Path(notes, "phases")
        phases.touch()
        os.environ[_PHASES] = str(phases)
        group = _make_group()
        lanes = [
            Lane(
                steps,
                Path(notes, str(number)) if number else None,
                None if steps is _CLUSTER else group,
            )
            for number, steps in enumerate(_LANES)
        ]
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        print(f"{len(lanes)} lanes side by side; this is the first\n", flush=True)
        try:
            for lane in lanes:
                lane.thread.start()
            for lane in lanes:
                lane.thread.join()
        finally:
            for lane in lanes:
                lane.stop()
                lane.thread.join()
            if group is not None:
                with suppress(OSError):  # somebody of it may still be ending
                    group.rmdir()
        for lane in lanes[1:]:
            if lane.output is not None and lane.output.exists():
                print(lane.output.read_text(errors="replace"))
        times = [line.split("\t") for line in phases.read_text().splitlines()]
        _print_times(
            [
                *((float(seconds), f"  {name}") for seconds, name in times),
                *(one for lane in lanes for one in lane.times),
                (time.time() - began, "in all, with all that was set up and checked before"),
            ]
        )
    return int(not all(lane.passed for lane in lanes))


def _make_group() -> Path | None:
    """A control group of ours; None where none may be made."""
    root = Path("/sys/fs/cgroup")
    is_new = Path(root, "cgroup.controllers").exists()
    group = Path(root if is_new else root / "cpu", f"faregate-lanes-{os.getpid()}")
    share = "cpu.weight" if is_new else "cpu.shares"
    try:
        group.mkdir()
        Path(group, share).write_text(_SHARES[share])
    except OSError:
        with suppress(OSError):
            group.rmdir()
        return None
    return group


def _print_times(times: list[tuple[float, str]]) -> None:
    print("Where the time went:")
    for seconds, name in times:
        print(f"  {int(seconds) // 60:3d}:{int(seconds) % 60:02d}  {name}")


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
