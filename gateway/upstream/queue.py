"""Who waits for a place at one upstream: accounts take turns, and within one the first is first."""

from asyncio import Future
from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Futures by account. All it does takes the same time however many wait, but `remove`."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[int, deque[Future[T]]] = OrderedDict()
        self.length = 0

    def add(self, account: int, future: "Future[T]") -> None:
        """At the end of its account's; an account that is new here is the last to have a turn."""
        self._accounts.setdefault(account, deque()).append(future)
        self.length += 1

    def pop(self) -> "tuple[int, Future[T]]":
        """The next, with its account, which has its following turn after all others."""
        account, futures = next(iter(self._accounts.items()))
        future = futures.popleft()
        self.length -= 1
        if futures:
            self._accounts.move_to_end(account)
        else:
            del self._accounts[account]
        return account, future

    def remove(self, account: int, future: "Future[T]") -> None:
        """Take one out, wherever it is; it may be gone already."""
        futures = self._accounts.get(account)
        if futures is None or future not in futures:
            return
        futures.remove(future)
        self.length -= 1
        if not futures:
            del self._accounts[account]
