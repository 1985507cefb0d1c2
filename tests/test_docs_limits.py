"""The figures of limits.md against those of the code, and the shares against what can be taken."""

from collections.abc import Mapping

from gateway.connection import BODY_RATE_MIN
from gateway.core.shares import Holder, Shares, largest_share
from gateway.core.spec import FleetLimits
from gateway.upstream import gate
from tests.harness.pages import section, tables

FLEET = FleetLimits()
#: what is shared, by the words its row begins with
SHARED = {
    "bytes of request bodies": FLEET.buffered_bytes,
    "requests that wait for a place at one upstream": gate.WAITING_MAX,
}
#: what one request may be, likewise
OF_A_REQUEST = {
    "bytes of a body": FLEET.body_bytes,
    "seconds until all of a body": FLEET.body_seconds,
    f"seconds in which less than {BODY_RATE_MIN} bytes": FLEET.body_silence_seconds,
}


def figures(heading: str, words: Mapping[str, float]) -> dict[str, list[str]]:
    """The cells behind each row's first, by the words that this one begins with."""
    (rows,) = tables(section("limits.md", heading))
    found = {}
    for name, *cells in rows:
        (begins,) = (begins for begins in words if name.startswith(begins))
        found[begins] = cells
    assert found.keys() == words.keys()
    return found


def most(capacity: int, accounts: int) -> int:
    """What accounts of one namespace can have together when they take all they can.

    Of much it is taken in pieces of a thousandth, as bodies arrive.
    """
    shares, piece = Shares(capacity), max(1, capacity // 1000)
    for number in range(accounts):
        holder: Holder = ("team", f"team/{number}")
        while shares.take(holder, piece):
            pass
    return capacity - shares.free


def test_every_share_is_what_the_page_says() -> None:
    for words, (whole, namespace, account, _) in figures("What is shared", SHARED).items():
        capacity = SHARED[words]
        assert int(whole) == capacity
        assert int(account) == largest_share(capacity) >= most(capacity, 1)
        assert most(capacity, 1) > 0.99 * largest_share(capacity) - 1
        assert int(namespace) == (capacity + 1) // 2 >= most(capacity, 1000)


def test_every_limit_of_a_request_is_what_the_page_says() -> None:
    for words, (limit, _) in figures("One request", OF_A_REQUEST).items():
        assert float(limit) == OF_A_REQUEST[words]
