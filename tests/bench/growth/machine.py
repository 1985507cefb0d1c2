"""The processes at work: their processor's time, their memory, and the system's file cache."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from tests.bench.processes import cpu_seconds

_MIB = 2**20
_LOOK_SECONDS = 0.05
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class Figure(Struct, frozen=True):
    """One figure; `grows` where it is of all that the database has."""

    name: str
    unit: str
    value: float
    grows: bool


class Machine:
    """This process, and the database's server if it has one."""

    def __init__(self, server: int | None) -> None:
        self._server = server

    def cpu_seconds(self) -> float:
        return time.process_time() + (cpu_seconds(self._server) if self._server else 0.0)

    @contextmanager
    def memory(self) -> Iterator[list[float]]:
        """The most of memory that is nobody else's, in MiB, beyond that at the start."""
        before, most, over = self._anonymous(), [0.0], threading.Event()

        def look() -> None:
            while not over.wait(_LOOK_SECONDS):
                most[0] = max(most[0], (self._anonymous() - before) / _MIB)

        looking = threading.Thread(target=look)
        looking.start()
        try:
            yield most
        finally:
            over.set()
            looking.join()

    def _anonymous(self) -> int:
        pids = ["self"]
        if self._server:
            children = Path(f"/proc/{self._server}/task/{self._server}/children").read_text()
            pids += [str(self._server), *children.split()]
        return sum(_anonymous_bytes(pid) for pid in pids)


def _anonymous_bytes(pid: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


class Notebook:
    """The figures that were taken, and the ways to take one."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.figures: list[Figure] = []

    def note(self, name: str, unit: str, value: float, *, grows: bool = False) -> None:
        self.figures.append(Figure(name, unit, value, grows))
        print(f"  {name}: {value:.3g} {unit}", flush=True)

    def cpu(self, act: Callable[[], object]) -> float:
        """The processor's seconds of an act."""
        began = self.machine.cpu_seconds()
        act()
        return self.machine.cpu_seconds() - began


def seconds(act: Callable[[], object]) -> float:
    """The seconds of an act as somebody waits for it."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def empty_file_cache() -> None:
    """Have the system read files from the disk again. Needs the rights of root."""
    os.sync()
    _DROP_CACHES.write_text("1")
