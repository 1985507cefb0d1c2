"""The address of a browser: the peer's own, or the one that a trusted proxy has seen.

`X-Forwarded-For` has the addresses in the order of the way, so it is read from its end: each one
was written by the one after it, and counts only while that one is trusted. Source: MDN,
"X-Forwarded-For", "Selecting an IP address".
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

#: proxies that a request may come through; no more is read of the header
_HOPS_MAX = 8
_HEADER = b"x-forwarded-for"
#: bits of an address that events keep, by its version: a network, not one browser
_BITS_KEPT = {4: 24, 6: 48}


class ClientAddresses:
    """Made once, of the trusted proxies' networks."""

    def __init__(self, proxies: Iterable[str]) -> None:
        """Raises `ValueError` for what is no network."""
        self._proxies: list[IPv4Network | IPv6Network] = [
            ip_network(each, strict=False) for each in proxies
        ]

    def find(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The address of the browser behind a peer, as that one's headers have it."""
        if parsed := _parsed(peer):
            peer = str(parsed)
        if not self._proxies or not self._is_proxy(peer):
            return peer
        lines = [value for name, value in headers if name == _HEADER]
        hops = b",".join(lines).decode("latin-1").rsplit(",", _HOPS_MAX)[-_HOPS_MAX:]
        address = peer
        for hop in reversed(hops):
            parsed = _parsed(hop.strip())
            if parsed is None:
                break
            address = str(parsed)
            if not self._is_proxy(address):
                break
        return address

    def _is_proxy(self, address: str) -> bool:
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._proxies)


def network_of(address: str) -> str:
    """The network of an address, as events keep it; empty for a text that is no address."""
    parsed = _parsed(address)
    if parsed is None:
        return ""
    return str(ip_network((parsed.packed, _BITS_KEPT[parsed.version]), strict=False))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    """An address, of IPv4 also where a socket for both families shows it as `::ffff:192.0.2.1`."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if parsed.version == 6 else parsed
