"""Death is observed: by the watcher's own clock, unchanged, with every look in between done."""

from gateway.core.lease_watch import Lease, LeaseWatch, UnknownHolds

LEASE = 60.0


def looks(
    watch: LeaseWatch, times: list[float], mark: str = "same", seconds: float = LEASE
) -> list[str]:
    """The dead of the last of several looks that took no time."""
    dead: list[Lease] = []
    for time in times:
        dead = watch.find_dead([Lease("other", mark, seconds)], time, time)
    return [lease.replica_id for lease in dead]


def test_a_lease_that_stands_still_for_its_whole_length_is_over() -> None:
    watch = LeaseWatch()
    assert looks(watch, [0, 15, 30, 45, 59.9]) == []
    assert looks(watch, [60]) == ["other"]


def test_a_mark_that_changes_in_whichever_direction_is_a_sign_of_life() -> None:
    watch = LeaseWatch()
    assert looks(watch, [0, 15, 30, 45], "2001") == []
    assert looks(watch, [60], "1999") == []
    assert looks(watch, [75, 90, 105, 119], "1999") == []
    assert looks(watch, [120], "1999") == ["other"]


def test_a_look_that_failed_has_seen_nothing() -> None:
    watch = LeaseWatch()
    assert looks(watch, [0, 15, 30]) == []
    watch.forget()
    assert looks(watch, [45, 60, 75, 90]) == []
    assert looks(watch, [105]) == ["other"]


def test_a_watcher_that_stood_still_has_seen_nothing_meanwhile() -> None:
    watch = LeaseWatch()
    assert looks(watch, [0, 15]) == []
    assert looks(watch, [3600]) == []
    assert looks(watch, [3615, 3630, 3645]) == []
    assert looks(watch, [3660]) == ["other"]


def test_a_look_that_hung_counts_from_where_it_is_certain() -> None:
    """A database that hung during a look may have been read before, or after."""
    watch = LeaseWatch()
    lease = [Lease("other", "same", LEASE)]
    assert watch.find_dead(lease, 0, 20) == []
    assert watch.find_dead(lease, 35, 40) == []
    assert watch.find_dead(lease, 60, 65) == []
    assert watch.find_dead(lease, 79, 90) == []
    assert watch.find_dead(lease, 80, 91) == lease


def test_each_lease_has_its_own_length() -> None:
    watch = LeaseWatch()
    leases = [Lease("short", "same", 2), Lease("long", "same", LEASE)]
    dead = [watch.find_dead(leases, time / 2, time / 2) for time in range(10)]
    assert [lease.replica_id for lease in dead[4]] == ["short"]
    assert all(lease.replica_id == "short" for found in dead for lease in found)


def test_looks_too_rare_for_a_short_lease_judge_nobody_by_it() -> None:
    watch = LeaseWatch()
    assert looks(watch, [0, 15, 30, 45, 60], seconds=2) == []


def test_what_is_gone_is_forgotten() -> None:
    watch = LeaseWatch()
    assert looks(watch, [0, 15, 30]) == []
    assert watch.find_dead([], 45, 45) == []
    assert looks(watch, [60]) == []


def test_the_unknown_are_old_when_they_were_unknown_in_every_look() -> None:
    unknown = UnknownHolds(60)
    assert unknown.find_old(["a", "b"], 0) == set()
    assert unknown.find_old(["a"], 30) == set()
    assert unknown.find_old(["a", "b"], 60) == {"a"}
    assert unknown.find_old(["a", "b"], 90) == {"a", "b"} - {"b"}
    assert unknown.find_old(["b"], 120) == {"b"}
