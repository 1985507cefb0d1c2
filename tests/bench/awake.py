"""Keeps the cores of the machine from sleeping while something is measured.

A process that waits is woken on a core that sleeps. In a virtual machine this alone costs some ten
microseconds, for the proxy as for the gateway, and hides what a paced chunk costs. Source: the
kernel's "PM Quality Of Service Interface", `/dev/cpu_dma_latency`, which `cyclictest` uses, too.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LATENCY = Path("/dev/cpu_dma_latency")


@contextmanager
def cores_awake() -> Iterator[bool]:
    """While it is open no core sleeps; False where the machine does not let us ask for that."""
    try:
        file = _LATENCY.open("wb", buffering=0)
    except OSError:
        yield False
        return
    with file:  # the kernel keeps to it until the file is closed
        file.write(struct.pack("i", 0))
        yield True
