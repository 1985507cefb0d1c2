"""Refused charges: those that fit together are tried again, and only they."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.batch_retry import AttemptedCharge, worth_another_try


def tried(
    credits: int, *, balance: int = 100, left: int | None = None, key: int = 1, made: bool = False
) -> AttemptedCharge:
    return AttemptedCharge(-1, 1, credits, made, balance, {} if left is None else {key: left})


def again(batch: list[AttemptedCharge]) -> list[int]:
    return worth_another_try([replace(one, position=n) for n, one in enumerate(batch)])


def test_what_stood_behind_something_larger_is_tried_again() -> None:
    assert again([tried(6, balance=5), tried(5, balance=5)]) == [1]
    assert again([tried(6, balance=5), tried(3, balance=5), tried(3, balance=5)]) == [1]


def test_of_a_key_s_day_as_much_as_fits_is_tried_again() -> None:
    assert again([tried(2, left=5) for _ in range(6)]) == [0, 1]


def test_a_key_past_its_day_is_not_tried_again() -> None:
    assert again([tried(2, left=1) for _ in range(500)]) == []
    assert again([tried(2, left=-3)]) == []


def test_what_costs_nothing_passes_a_limit_that_was_lowered() -> None:
    assert again([tried(2, left=-3), tried(0, left=-3)]) == [1]


def test_what_the_batch_itself_took_of_a_day_is_not_there_any_more() -> None:
    batch = [tried(3, left=2, made=True), tried(3, left=2), tried(2, left=2), tried(9, key=2)]
    assert again(batch) == [2, 3]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3), st.booleans()), max_size=30),
    st.integers(0, 40),
    st.integers(0, 20),
)
def test_all_that_is_tried_again_fits_and_nothing_else_would(
    charges: list[tuple[int, int, bool]], balance: int, cap: int
) -> None:
    """Keys 1 and 2 have a cap, key 3 has none."""
    batch = [
        tried(credits, balance=balance, left=None if key == 3 else cap, key=key)
        for credits, key, _ in charges
    ]
    chosen = again(batch)
    assert sum(batch[position].credits for position in chosen) <= balance
    left = balance - sum(batch[position].credits for position in chosen)
    for key in (1, 2):
        used = sum(batch[position].credits for position in chosen if key in batch[position].lefts)
        assert used <= cap
        for position, charge in enumerate(batch):
            if key in charge.lefts and position not in chosen:
                assert charge.credits > min(left, cap - used)
