"""Shares and turns: nobody has what all others need, and nothing takes longer for many."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.shares import FairQueue, Holder, Shares, first_rounds, largest_share

ALICE, BOB = ("team", "team/alice"), ("team", "team/bob")
CAROL = ("other", "other/carol")


def greedy(shares: Shares, holder: Holder) -> int:
    """The share of a holder once it has taken all that it could, one by one."""
    while shares.take(holder):
        pass
    return shares.held(holder[1])


@pytest.mark.parametrize("capacity", [1, 2, 3, 10, 32, 1000, 1001, 1002])
def test_one_account_alone_has_a_third(capacity: int) -> None:
    shares = Shares(capacity)
    assert greedy(shares, ALICE) == largest_share(capacity) == shares.most


@given(st.integers(1, 300), st.integers(0, 50), st.integers(0, 50), st.integers(1, 300))
def test_much_at_once_is_as_much_as_one_by_one(
    capacity: int, alice: int, carol: int, amount: int
) -> None:
    at_once, one_by_one = Shares(capacity), Shares(capacity)
    for shares in (at_once, one_by_one):
        for holder, times in ((ALICE, alice), (CAROL, carol)):
            for _ in range(times):
                shares.take(holder)
    singly = all(one_by_one.take(BOB) for _ in range(amount))
    assert at_once.has_room(BOB, amount) == singly


@given(st.integers(1, 2000), st.integers(1, 60))
def test_a_namespace_of_many_accounts_leaves_as_much_as_it_has(
    capacity: int, accounts: int
) -> None:
    shares = Shares(capacity)
    for number in range(accounts):
        greedy(shares, ("team", f"team/{number}"))
    assert shares.held("team") <= shares.free + 1
    assert shares.has_room(CAROL) or capacity == 1


def test_whoever_comes_next_finds_room_at_once() -> None:
    """The sixth namespace that takes what it can still has a hundred bodies of 20 kB."""
    shares = Shares(256 * 2**20)
    for number in range(5):
        holder = (f"team-{number}", f"team-{number}/greedy")
        while shares.take(holder, 2**16):
            pass
    for _ in range(100):
        assert shares.take(CAROL, 20_000)


def test_the_only_piece_of_work_may_be_as_large_as_everything() -> None:
    shares = Shares(100)
    assert shares.take(ALICE, 60, had=0)
    assert shares.take(ALICE, 40, had=60)
    assert not shares.take(ALICE, 1, had=100)
    shares.give_back(ALICE, 100)
    assert shares.take(BOB, 1)
    assert not shares.take(ALICE, 60, had=0), "it is not the only one any more"


@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB, CAROL]), st.integers(1, 50)), max_size=60))
def test_everything_that_is_given_back_can_be_taken_again(takes: list[tuple[Holder, int]]) -> None:
    shares = Shares(200)
    taken = [(holder, amount) for holder, amount in takes if shares.take(holder, amount)]
    assert shares.free == 200 - sum(amount for _, amount in taken)
    for holder, amount in taken:
        shares.give_back(holder, amount)
    assert shares.free == 200
    assert not shares._held, "who has nothing costs nothing"


def test_namespaces_take_turns_and_accounts_within_them() -> None:
    turns: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3"):
        turns.add(ALICE, item)
    turns.add(BOB, "b1")
    for item in ("c1", "c2"):
        turns.add(CAROL, item)
    assert [turns.pop() for _ in range(7)] == ["a1", "c1", "b1", "c2", "a2", "a3", None]
    assert turns.length == 0


def test_who_left_has_no_turn() -> None:
    turns: FairQueue[int] = FairQueue()
    for number in range(4):
        turns.add(ALICE, number)
    turns.remove(ALICE, 1)
    turns.remove(ALICE, 1)
    turns.remove(CAROL, 0)
    assert [turns.pop() for _ in range(4)] == [0, 2, 3, None]


def test_who_may_not_is_passed_over() -> None:
    turns: FairQueue[str] = FairQueue()
    turns.add(ALICE, "a1")
    turns.add(BOB, "b1")
    turns.add(CAROL, "c1")
    assert turns.pop(lambda holder: holder != ("team",)) == "c1"
    assert turns.pop(lambda holder: holder != ALICE) == "b1"
    assert turns.pop(lambda holder: holder != ALICE) is None
    assert turns.pop() == "a1"


def test_a_turn_asks_about_few_however_many_wait() -> None:
    """A waiting holder has a place, and places are few: so are those that are passed over."""
    asked: Counter[int] = Counter()
    for size in (100, 200):
        places, turns = Shares(4), FairQueue[int]()
        for number in range(size):
            turns.add((f"team-{number % 7}", f"team-{number % 7}/{number}"), number)

        def may(holder: tuple[str, ...], places: Shares = places, size: int = size) -> bool:
            asked[size] += 1
            return places.has_room(holder)

        while places.free and (item := turns.pop(may)) is not None:
            assert places.take((f"team-{item % 7}", f"team-{item % 7}/{item}"))
    assert asked[200] == asked[100] <= 2 * 4 * 4


def test_of_many_owners_each_has_as_many_as_there_is_room_for() -> None:
    owners = ["a"] * 6 + ["b"] * 2 + ["c"]
    assert first_rounds(owners, 5) == [0, 1, 6, 7, 8]
    assert first_rounds(owners, 6) == [0, 1, 2, 6, 7, 8]
    assert first_rounds(owners, 99) == list(range(9))
    assert first_rounds([None] * 5, 3) == [0, 1, 2]
