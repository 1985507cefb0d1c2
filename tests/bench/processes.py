"""Starts a program, waits for it, reads what it and its children cost, and stops it.

Linux only: costs are read from the kernel's per-process CPU clocks and from /proc. It must never
signal a process it did not start.
"""

import http.client
import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.bench.programs import BenchError

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.005


class Program:
    """A started program; its cost includes every process below it."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        run_as: str | None = None,
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self._log = log
        self._stop_signal = stop_signal
        self.started = time.monotonic()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                user=run_as,
                group=run_as,
                extra_groups=None if run_as is None else [],
            )

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree since it started, ended processes included."""
        return cpu_seconds(self._process.pid)

    def resident_bytes(self) -> int:
        """Resident memory of the whole tree."""
        return sum(_resident_bytes(pid) for pid in _tree(self._process.pid))

    def wait_for_answer(
        self, port: int, path: str, status: int, *, timeout_seconds: float = 30
    ) -> float:
        """Wait until a GET has this status and return the seconds it took since the start.

        Raises `BenchError`, with the end of the program's output, if it ends or does not answer.
        """
        deadline = self.started + timeout_seconds
        while time.monotonic() < deadline:
            if _ask(port, path) == status:
                return time.monotonic() - self.started
            if self._process.poll() is not None:
                raise BenchError(f"{self.name} ended at its start:\n{self.last_lines()}")
            time.sleep(_POLL_SECONDS)
        raise BenchError(f"{self.name} was not ready in {timeout_seconds} s:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """The end of what the program has written."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-25:])

    def stop(self, *, timeout_seconds: float = 20) -> None:
        """Ask the program to end, insist after the timeout; may be called again."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not end in {timeout_seconds} s and is killed", flush=True)
            self._process.kill()
            self._process.wait()


def cpu_seconds(root: int) -> float:
    """User and system time of a process and of all below it, ended ones included."""
    return sum(_cpu_seconds(pid) for pid in _tree(root))


@contextmanager
def started(program: Program) -> Iterator[Program]:
    """Stop the program at the end of the block."""
    try:
        yield program
    finally:
        program.stop()


def _ask(port: int, path: str) -> int | None:
    with (
        suppress(OSError, http.client.HTTPException),
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection,
    ):
        connection.request("GET", path)
        return connection.getresponse().status
    return None


def _tree(root: int) -> list[int]:
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat_fields(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found = [root]
    for pid in found:  # grows while it is walked
        found.extend(children[pid])
    return found


def _stat_fields(pid: int) -> list[str]:
    """The fields of proc_pid_stat(5) from the third on; empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()  # the command, the second field, may hold anything


def _cpu_seconds(pid: int) -> float:
    """CPU time of one process and of its children that have ended.

    utime and stime come in steps of 10 ms, so the process's own time is read from its CPU clock,
    in nanoseconds. The clock's number is made of the pid as clock_getcpuclockid(3) makes it.
    """
    fields = _stat_fields(pid)
    if not fields:
        return 0.0
    ended_children = (int(fields[13]) + int(fields[14])) / _TICKS_PER_SECOND
    try:
        return time.clock_gettime((~pid << 3) | 2) + ended_children
    except OSError:
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND + ended_children


def _resident_bytes(pid: int) -> int:
    fields = _stat_fields(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if fields else 0
