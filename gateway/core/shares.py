"""Fair shares of what is bounded, and turns in a queue: pure, the one rule of fairness.

    holder = (namespace, account)       "team-a", "team-a/alice"

A holder that takes leaves at least as much as it has: a namespace as much for all others, an
account as much for the others of its namespace. So one account alone gets a third, one namespace
half, and there is room for the next one however many came before. Nothing is taken away from
anybody, so what others get they get at once. All calls take the same time, however many hold or
wait.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence, Sized
from itertools import accumulate
from typing import Generic, TypeVar

#: a namespace, and an account in it by its shown name
Holder = tuple[str, str]

T = TypeVar("T")
Q = TypeVar("Q", bound=Sized)


class Shares:
    """`capacity` of something that is taken and given back."""

    __slots__ = ("_held", "capacity", "free")

    def __init__(self, capacity: int) -> None:
        self.capacity = self.free = capacity
        #: by the name of a namespace or an account; who holds nothing is not in it
        self._held: dict[str, int] = {}

    @property
    def most(self) -> int:
        """The share that an account may have while nobody else has anything."""
        return largest_share(self.capacity)

    def held(self, name: str) -> int:
        """The amount that a namespace or an account has."""
        return self._held.get(name, 0)

    def has_room(self, holder: tuple[str, ...], amount: int = 1) -> bool:
        """True if a namespace, or an account of it, may have so much more, taken one by one."""
        room, held = self.free, self._held
        for name in holder:
            if name in held:
                room -= held[name]
        # Each one that is taken is one less that is free, and one more that every name has.
        return (amount - 1) * (len(holder) + 1) < room

    def take(self, holder: Holder, amount: int = 1, *, had: int | None = None) -> bool:
        """Take so much more, at least 1, all of it or nothing; what is taken is given back.

        `had` is what the same piece of work has already, where the only piece that there is may be
        as large as everything.
        """
        if not self.has_room(holder, amount):
            is_alone = had is not None and self.free + had == self.capacity
            if not (is_alone and amount <= self.free):
                return False
        self.free -= amount
        held = self._held
        for name in holder:
            held[name] = held.get(name, 0) + amount
        return True

    def give_back(self, holder: Holder, amount: int = 1) -> None:
        """Give back what was taken."""
        self.free += amount
        for name in holder:
            left = self._held[name] - amount
            assert left >= 0, "only what was taken is given back"
            if left:
                self._held[name] = left
            else:
                del self._held[name]


def largest_share(capacity: int) -> int:
    """The share that one account alone may have of a capacity."""
    return (capacity + 2) // 3


class FairQueue(Generic[T]):
    """A queue in which namespaces take turns, in each its accounts, and the first of an account
    goes first."""

    __slots__ = ("_namespaces", "length")

    def __init__(self) -> None:
        self._namespaces: OrderedDict[str, OrderedDict[str, OrderedDict[T, None]]] = OrderedDict()
        self.length = 0

    def add(self, holder: Holder, item: T) -> None:
        """At the end of its account's; who is new here is the last to have a turn."""
        namespace, account = holder
        accounts = self._namespaces.setdefault(namespace, OrderedDict())
        accounts.setdefault(account, OrderedDict())[item] = None
        self.length += 1

    def pop(self, may: Callable[[tuple[str, ...]], bool] = lambda _: True) -> T | None:
        """The next of those that `may`, asked of a namespace and then of its accounts.

        None where there is none. After a turn an account and its namespace come after all others.
        """
        for namespace, accounts in self._namespaces.items():
            if not may((namespace,)):
                continue
            for account, items in accounts.items():
                if may((namespace, account)):
                    item, _ = items.popitem(last=False)
                    self.length -= 1
                    _go_last(accounts, account)
                    _go_last(self._namespaces, namespace)
                    return item
        return None

    def remove(self, holder: Holder, item: T) -> None:
        """Take one out, wherever it is; it may be gone already."""
        namespace, account = holder
        accounts = self._namespaces.get(namespace)
        items = None if accounts is None else accounts.get(account)
        if accounts is None or items is None or item not in items:
            return
        del items[item]
        self.length -= 1
        if not items:
            del accounts[account]
        if not accounts:
            del self._namespaces[namespace]


def _go_last(queues: OrderedDict[str, Q], name: str) -> None:
    """Move one that still waits to the end."""
    if len(queues[name]):
        queues.move_to_end(name)
    else:
        del queues[name]


def first_rounds(
    owners: Sequence[Hashable], most: int, sizes: Sequence[int] = (), size_max: int = 0
) -> list[int]:
    """The positions of `most` things, in their order: the first of each owner, then the second.

    Where they have `sizes`, as many as have `size_max` together, at least one.
    """
    had: Counter[Hashable] = Counter()
    rounds = []
    for owner in owners:
        rounds.append(had[owner])
        had[owner] += 1
    by_round = sorted(range(len(owners)), key=rounds.__getitem__)[:most]
    if sizes:
        totals = accumulate(sizes[position] for position in by_round)
        fitting = sum(total <= size_max for total in totals)
        by_round = by_round[: max(fitting, 1)]
    return sorted(by_round)
