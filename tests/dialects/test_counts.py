"""Numbers of tokens, as upstreams write them."""

from typing import Any

import pytest

from gateway.dialects.counts import read_count


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (5, 5),
        ("5", 5),
        (5.0, 5),
        (0, 0),
        (-5, 0),
        (-5.0, 0),
        (5.5, 0),
        ("-5", 0),
        ("five", 0),
        ("", 0),
        ("²", 0),
        (True, 0),
        (None, 0),
        ([5], 0),
        ({"5": 5}, 0),
        (10**30, 2**31 - 1),
        (1e12, 2**31 - 1),
        ("9" * 500, 2**31 - 1),
        (1e300, 0),
    ],
)
def test_a_count_is_read_for_what_it_holds_and_fits_a_column(given: Any, count: int) -> None:
    assert read_count({"tokens": given}, "tokens") == count
    assert read_count(given, "tokens") == 0
