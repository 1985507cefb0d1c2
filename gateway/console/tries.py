"""Tries to sign in, so many a minute for an address; its memory is bounded."""

from collections import OrderedDict

_MINUTE = 60.0
_PEERS_MAX = 4096


class Tries:
    """At most `most` tries in a minute by each peer."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._peers: OrderedDict[str, list[float]] = OrderedDict()

    def wait_seconds(self, peer: str, now: float) -> float:
        """The seconds until the peer may try again; 0 where it may."""
        recent = [each for each in self._peers.get(peer, ()) if each > now - _MINUTE]
        return recent[0] + _MINUTE - now if len(recent) >= self._most else 0.0

    def add(self, peer: str, now: float) -> None:
        """Count a try."""
        recent = [each for each in self._peers.pop(peer, ()) if each > now - _MINUTE]
        self._peers[peer] = [*recent, now][-self._most :]
        if len(self._peers) > _PEERS_MAX:
            self._peers.popitem(last=False)
