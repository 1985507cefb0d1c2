"""The address that tries are counted by: nobody chooses it, and a proxy does not share it."""

import re

import msgspec
import pytest

from gateway.console.client_address import ClientAddresses
from gateway.core.console_spec import ConsoleSpec

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
        # A pod listens for both families at once, and sees IPv4 so.
        ("::ffff:10.1.2.3", ["198.51.100.7"], "198.51.100.7"),
        ("10.1.2.3", ["198.51.100.7, ::ffff:10.9.9.9"], "198.51.100.7"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_an_address_is_the_last_that_no_trusted_proxy_has(
    peer: str, forwarded: list[str], found: str
) -> None:
    headers = [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]
    assert ClientAddresses(PROXIES).find(peer, headers) == found
    assert ClientAddresses(()).find(peer, headers) == peer.removeprefix("::ffff:")


@pytest.mark.parametrize(
    ("console", "sentence"),
    [
        (
            {"trustedProxies": ["10.0.0.0/8", "10.0.0.256"]},
            "trustedProxies has 10.0.0.256; write an address, or a network such as 10.0.0.0/8",
        ),
        ({"url": "http://[1:2]:80"}, "url has 1:2; write an IPv6 address in its brackets"),
    ],
)
def test_an_address_that_is_none_is_named_with_how_to_write_it(
    console: dict[str, object], sentence: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(sentence)):
        msgspec.convert(console, ConsoleSpec)
