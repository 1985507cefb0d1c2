"""Ports for servers that a test starts, and may start again at the same place."""

import fcntl
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import IO

#: below those that systems give to outgoing connections, which could take a port between two starts
_FIRST, _PORTS = 20_000, 10_000
#: of one process; the suite's parts run beside each other
_PART = 200


def free_port() -> int:
    """A port of the loopback on which nobody listens, and that no other process of tests is given.

    It is not given again soon.
    """
    _, ports = _own_part()
    while True:
        port = next(ports)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port


@cache
def _own_part() -> tuple[IO[str], Iterator[int]]:
    """The ports of a part of the range, round and round, and the file whose lock makes it ours."""
    folder = Path(tempfile.gettempdir(), f"faregate-ports-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    parts = list(range(_PORTS // _PART))
    secrets.SystemRandom().shuffle(parts)  # not `random`, which hypothesis seeds alike
    for part in parts:
        file = (folder / str(part)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        first = _FIRST + part * _PART
        return file, cycle(range(first, first + _PART))
    raise RuntimeError("other processes of tests have all parts of the range")
