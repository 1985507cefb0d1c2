"""The address that tries are counted by: nobody chooses it, and a proxy does not share it."""

import pytest

from gateway.console.client_address import ClientAddresses

PROXIES = ("10.0.0.0/8", "fd00::1")
LONG = ",".join(["10.0.0.9"] * 20)


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.1.2.3", ["198.51.100.7"], "198.51.100.7"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        # The client writes what it likes at the beginning.
        ("10.1.2.3", ["203.0.113.1, 198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", ["203.0.113.1", "198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", ["198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        ("10.1.2.3", ["10.9.9.9"], "10.9.9.9"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("10.1.2.3", ["198.51.100.7, unknown, 10.9.9.9"], "10.9.9.9"),
        ("10.1.2.3", ["\xff"], "10.1.2.3"),
        ("10.1.2.3", [f"198.51.100.7,{LONG}"], "10.0.0.9"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_an_address_is_the_last_that_no_trusted_proxy_has(
    peer: str, forwarded: list[str], found: str
) -> None:
    headers = [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]
    assert ClientAddresses(PROXIES).find(peer, headers) == found
    assert ClientAddresses(()).find(peer, headers) == peer
