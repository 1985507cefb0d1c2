"""The node's processes: each is known by its number and its time of start, so that a number that
was given to somebody else is never taken for ours.

A component that ends by itself is started again, as a kubelet does with those of other clusters: a
scheduler, for one, ends itself when what it sees after an API server's restart is older than what
it knew.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.local import places
from tests.cluster.local.commands import Failed, inside, succeeds
from tests.cluster.local.places import BIN, LOGS, STATE

_RUN = STATE / "run"
#: runs a component again and again; it and its component are one group of processes
_AGAIN = ("sh", "-c", 'while :; do "$@"; sleep 1; done', "again")


def started_at(pid: int) -> str | None:
    """When a process was started, in the kernel's ticks; None when there is none of that number."""
    fields = _stat(pid)
    return fields[19] if fields else None


def _stat(pid: int) -> list[str]:
    """The fields of proc(5) after pid and name; none of a process that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] in "ZX" else fields


def find(name: str) -> int | None:
    """The number of a component's process, or None when it does not run."""
    try:
        pid, started = (_RUN / name).read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if started_at(int(pid)) == started else None


def start(name: str, *arguments: object, environment: dict[str, str] | None = None) -> None:
    """Start a component in the node's network, unless it runs already."""
    if find(name) is not None:
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    _RUN.mkdir(parents=True, exist_ok=True)
    path = f"{BIN}:{os.environ['PATH']}"
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            inside(*_AGAIN, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=STATE,
            env={**os.environ, **places.FOR_GO, "PATH": path, **(environment or {})},
        )
    (_RUN / name).write_text(f"{process.pid} {started_at(process.pid)}")


def stop(name: str, seconds: float = 20) -> None:
    """End a component, as a crash would when it does not go by itself in time."""
    group = find(name)
    if group is not None:
        os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while _members(group):
            if time.monotonic() >= deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            time.sleep(0.05)
    (_RUN / name).unlink(missing_ok=True)


def _members(group: int) -> list[int]:
    """The processes of a group that have not ended."""
    numbers = [int(process.name) for process in Path("/proc").glob("[0-9]*")]
    return [pid for pid in numbers if (fields := _stat(pid)) and int(fields[2]) == group]


def wait(what: str, *arguments: object, seconds: float = 90) -> None:
    """Wait until a command succeeds. Raises `Failed` with the way to the logs."""
    deadline = time.monotonic() + seconds
    while not succeeds(*arguments):
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not come up in {seconds:.0f} s; see {LOGS}")
        time.sleep(0.2)


def left_behind() -> Iterator[int]:
    """The living processes of this node: in its network, or started by one of its programs.

    A container's first process sits in namespaces of its own; it is a child of a shim whose
    command line names the state folder. With it go all others of its container.
    """
    for pid in _namespace_pids():
        if pid not in _own_line():
            yield pid
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[0].startswith(f"{BIN}/") and any(str(STATE) in word for word in words):
                children = (process / "task" / process.name / "children").read_text().split()
                yield from map(int, [process.name, *children])
        except OSError:
            continue


def _namespace_pids() -> list[int]:
    try:
        found = subprocess.run(
            ["ip", "netns", "pids", places.NAMESPACE], capture_output=True, text=True
        )
    except OSError:
        return []
    return [int(pid) for pid in found.stdout.split()]


def _own_line() -> set[int]:
    """This process and all it was started by."""
    line, pid = set(), os.getpid()
    while pid > 0:
        line.add(pid)
        pid = int(_stat(pid)[1])
    return line


def foreign_kubelet() -> bool:
    """True if a kubelet of somebody else's runs: then the machine is a node, and not ours."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()  # empty once a process has ended
            ours = not line or line.startswith(f"{BIN}/".encode())
            if (process / "comm").read_text().strip() == "kubelet" and not ours:
                return True
        except OSError:
            continue
    return False
