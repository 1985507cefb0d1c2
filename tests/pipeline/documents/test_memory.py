"""Documents are remembered by account, and never at another account's cost."""

from gateway.core.shares import largest_share
from gateway.pipeline.documents.memory import UNUSED_SECONDS_MAX, TextCache

ALICE, BOB = ("team", "team/alice"), ("other", "other/bob")


def digest(number: int) -> bytes:
    return number.to_bytes(4)


def test_an_account_forgets_its_own_before_anything_of_another_s() -> None:
    memory: TextCache[str] = TextCache(90)
    memory.put(BOB, digest(0), "bob's", 10, 0.0)
    for number in range(100):
        memory.put(ALICE, digest(number), f"{number}", 10, 1.0)
        assert memory.get(ALICE, digest(number), 1.0) == f"{number}"
    assert memory.get(BOB, digest(0), 2.0) == "bob's"
    assert memory.get(BOB, digest(99), 2.0) is None, "what others have read is theirs"
    kept = [number for number in range(100) if memory.get(ALICE, digest(number), 2.0)]
    assert kept == [98, 99]
    assert len(kept) * 10 <= largest_share(90)


def test_what_was_used_last_is_kept_longest() -> None:
    memory: TextCache[str] = TextCache(90)
    memory.put(ALICE, digest(1), "first", 10, 0.0)
    memory.put(ALICE, digest(2), "second", 10, 0.0)
    assert memory.get(ALICE, digest(1), 1.0)
    memory.put(ALICE, digest(3), "third", 10, 1.0)
    memory.put(ALICE, digest(4), "fourth", 10, 1.0)
    found = [memory.get(ALICE, digest(number), 1.0) for number in (1, 2, 3, 4)]
    assert found[1] is None
    assert found[3] == "fourth"


def test_what_nobody_uses_makes_room() -> None:
    memory: TextCache[str] = TextCache(90)
    for number in range(3):
        memory.put(ALICE, digest(number), "old", 10, 0.0)
    memory.put(BOB, digest(9), "new", 40, UNUSED_SECONDS_MAX)
    assert memory.get(BOB, digest(9), UNUSED_SECONDS_MAX) is None, "that is more than a share"
    memory.put(BOB, digest(8), "new", 30, UNUSED_SECONDS_MAX)
    assert memory.get(BOB, digest(8), UNUSED_SECONDS_MAX) == "new"
    assert memory.get(ALICE, digest(0), UNUSED_SECONDS_MAX) is None


def test_what_is_larger_than_a_share_is_not_remembered() -> None:
    memory: TextCache[str] = TextCache(90)
    memory.put(ALICE, digest(1), "small", 10, 0.0)
    memory.put(ALICE, digest(2), "huge", 60, 0.0)
    assert memory.get(ALICE, digest(2), 0.0) is None
