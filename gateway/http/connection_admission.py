"""Admission of connections to one port, and the record of those that were turned away.

Owns the bounds for clients without a key: connections in all and of one peer; the time for a head,
for silence and for reading an answer; the bytes that the port keeps of requests that have not
begun. Must never log as much as a client likes.
"""

import logging
import resource
import time
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

_log = logging.getLogger(__name__)

#: of all heads that are not whole yet, and of all that came before its turn, on one port
KEPT_BYTES_MAX = 64 * 1024 * 1024
LINES_PER_MINUTE = 10
#: for databases, the port for operations and what else the process opens
FILES_RESERVED = 256
_MINUTE = 60.0

#: why a connection was cut, as `faregate_cut_connections_total` has it
Reason = Literal["malformed", "head_size", "head_time", "unread", "full", "peer"]


class ConnectionLimits(Struct, frozen=True, kw_only=True):
    """The limits of connections to one port."""

    connections: int = 10_000
    #: of one IPv4 address or one IPv6 network of 64 bits
    per_peer: int = 10_000
    #: from the connection, or a head's first byte, to its last
    head_seconds: float = 20.0
    #: in which a client reads nothing of what waits for it
    unread_seconds: float = 60.0
    #: a new connection takes the place of one that waits, if all places are taken
    makes_room: bool = False


#: of the port for operations: a probe always finds a place
OPERATIONS = ConnectionLimits(
    connections=100, per_peer=1_000_000, head_seconds=5.0, makes_room=True
)


def within_files(limits: ConnectionLimits) -> ConnectionLimits:
    """`limits` with no more connections than the process has files for. A client's connection
    needs a file, and its request another one to an upstream; the process's own, and the port for
    operations, must find theirs."""
    files = _raise_file_limit(2 * limits.connections + FILES_RESERVED)
    connections = min(limits.connections, max(1, (files - FILES_RESERVED) // 2))
    if connections < limits.connections:
        _log.warning(
            "at most %d connections of clients: this process may open only %d files",
            connections,
            files,
        )
    return replace(limits, connections=connections)


def _raise_file_limit(wanted: int) -> int:
    """Return how many files the process may open, raised as far as it may and needs to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
        soft = files
    return wanted if soft == resource.RLIM_INFINITY else soft


class ConnectionAdmission:
    """Everything that the connections of one port share."""

    def __init__(
        self,
        limits: ConnectionLimits | None = None,
        count: Callable[[Reason], None] = lambda _: None,
    ) -> None:
        self.limits = limits or ConnectionLimits()
        #: connections that are open
        self.open = 0
        self._count = count
        self._of_peer: dict[str, int] = {}
        #: the bytes that the port keeps for requests that have not begun
        self.kept_bytes = 0
        self._minute_began = 0.0
        self._lines = 0
        self._unlogged = 0

    @property
    def is_full(self) -> bool:
        return self.open >= self.limits.connections

    def enter(self, peer: str) -> Reason | None:
        """Let a connection in; or why not, and then it must not leave."""
        of_peer = self._of_peer.get(peer, 0)
        if of_peer >= self.limits.per_peer:
            return "peer"
        if self.is_full and not self.limits.makes_room:
            return "full"
        self._of_peer[peer] = of_peer + 1
        self.open += 1
        return None

    def leave(self, peer: str) -> None:
        """A connection that was let in is gone."""
        self.open -= 1
        left = self._of_peer[peer] - 1
        if left:
            self._of_peer[peer] = left
        else:
            del self._of_peer[peer]

    def keep(self, size: int) -> bool:
        """Keep so many bytes for a request that has not begun, if there is room; else none are
        kept."""
        if self.kept_bytes + size > KEPT_BYTES_MAX:
            return False
        self.kept_bytes += size
        return True

    def release(self, size: int) -> None:
        """Give back bytes that were kept."""
        self.kept_bytes -= size

    def cut(self, reason: Reason, peer: str, why: str) -> None:
        """Count a connection that is cut, and log it, unless many are."""
        self._count(reason)
        now = time.monotonic()
        if now - self._minute_began >= _MINUTE:
            if self._unlogged:
                _log.warning("%d more connections were cut", self._unlogged)
            self._minute_began, self._lines, self._unlogged = now, 0, 0
        if self._lines < LINES_PER_MINUTE:
            self._lines += 1
            _log.warning("a connection from %s was cut: %s", peer, why)
        else:
            self._unlogged += 1


def peer_of(address: str) -> str:
    """One client, as far as an address shows: of IPv6, a site has the last 64 bits to itself."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address.partition("%")[0])
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{IPv6Address(parsed.packed[:8] + bytes(8))}/64"
