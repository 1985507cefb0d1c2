"""Keys without objects: who counts as gone, and how many may be suspended unasked. Pure."""

import pytest

from gateway.store.key_rows import KeyState
from gateway_operator.plan.orphans import find_orphans
from tests.reconcile.test_plan_key import row


def rows(number: int, namespace: str = "team") -> list[KeyState]:
    return [row(id=each, namespace=namespace, name=f"key-{each}") for each in range(number)]


def names(living: list[KeyState]) -> set[tuple[str, str]]:
    return {(each.namespace, each.name) for each in living}


def test_one_list_without_an_object_proves_nothing() -> None:
    living = rows(30)
    first = find_orphans(living, names(living[1:]), ())
    assert first.missing == {("team", "key-0")}
    assert first.gone == ()
    second = find_orphans(living, names(living[1:]), first.missing)
    assert second.gone == (living[0],)


def test_an_object_that_comes_back_begins_anew() -> None:
    living = rows(30)
    first = find_orphans(living, names(living[1:]), ())
    back = find_orphans(living, names(living), first.missing)
    assert back.missing == frozenset()
    again = find_orphans(living, names(living[1:]), back.missing)
    assert again.gone == ()


@pytest.mark.parametrize(
    ("alive", "limit"),
    [(1, 1), (5, 1), (19, 1), (20, 2), (100, 10), (199, 19), (200, 20), (10_000, 20)],
)
def test_never_more_than_twenty_and_a_tenth(alive: int, limit: int) -> None:
    living = rows(alive)
    everything = names(living)
    orphans = find_orphans(living, set(), everything)
    assert len(orphans.gone) == alive
    assert orphans.few == (orphans.gone if alive <= limit else ())
    few = find_orphans(living, names(living[limit:]), everything)
    assert few.few == few.gone == tuple(living[:limit])
    one_more = find_orphans(living, names(living[limit + 1 :]), everything)
    assert one_more.few == (() if alive > limit else few.gone)


def test_only_the_exact_number_lets_many_go() -> None:
    living = rows(50)
    orphans = find_orphans(living, set(), names(living))
    for confirmed in (None, 49, 51):
        assert orphans.to_suspend(confirmed) == ()
    assert orphans.to_suspend(50) == tuple(living)


def test_the_many_of_one_namespace_keep_no_other_waiting() -> None:
    """People who may edit ApiKeys can take the finalizers off many, and delete them."""
    bad, calm, gone_whole = rows(60, "bad"), rows(30, "calm"), rows(1, "whole")
    living = [*bad, *calm, *gone_whole]
    orphans = find_orphans(living, names([*bad[50:], *calm[2:]]), names(living))
    assert orphans.few == tuple(calm[:2])
    assert len(orphans.gone) == 53
    assert orphans.to_suspend(51) == orphans.few, "their number is of all"
    after = find_orphans([*bad, *calm[2:], *gone_whole], names([*bad[50:], *calm[2:]]), names(bad))
    assert after.few == ()


def test_a_loss_of_few_in_each_of_many_namespaces_is_one_of_many() -> None:
    of_each = [rows(10, f"team-{number}") for number in range(40)]
    living = [key for keys in of_each for key in keys]
    lost = [keys[0] for keys in of_each]
    orphans = find_orphans(living, names(living) - names(lost), names(living))
    assert (len(orphans.gone), orphans.few) == (40, ())


def test_what_cannot_be_used_anyway_needs_nothing() -> None:
    living = [row(name="key-0", suspended=True)]
    orphans = find_orphans(living, set(), {("team", "key-0")})
    assert orphans.gone == ()


def test_keys_of_namespaces_that_are_not_watched_are_left_alone() -> None:
    living = [*rows(20), *rows(20, "elsewhere")]
    orphans = find_orphans(living, names(rows(20)), names(living), ("system", "team"))
    assert orphans.gone == ()
    assert orphans.missing == frozenset()
    lost = find_orphans(living, names(living[3:20]), names(living), ("system", "team"))
    assert (len(lost.gone), lost.few) == (3, ()), "the limit is a tenth of those that are watched"
