"""Ports for servers that a test starts, and may start again at the same place."""

import secrets
import socket

#: below those that systems give to outgoing connections, which could take a port between two starts
_FIRST, _PORTS = 20_000, 10_000


def free_port() -> int:
    """A port of the loopback on which nobody listens."""
    while True:
        # By chance, as others look for one too; not by `random`, which hypothesis seeds alike.
        port = _FIRST + secrets.randbelow(_PORTS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
