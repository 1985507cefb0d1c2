"""The texts of documents that were read, by account: nobody's reading makes others read again.

Pure: time is handed in, in seconds. An account that has its share forgets what it has not used for
longest; what nobody has used for a while goes anyway.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from gateway.core.shares import Holder, Shares

#: a conversation sends its documents with every turn
UNUSED_SECONDS_MAX = 900.0

T = TypeVar("T")
#: an account and a digest
_Key = tuple[str, bytes]


class TextCache(Generic[T]):
    """Values with a size, by account and digest; `capacity` of sizes in all."""

    def __init__(self, capacity: int) -> None:
        self._shares = Shares(capacity)
        #: value, size, holder and when it was used, the longest unused first
        self._known: OrderedDict[_Key, tuple[T, int, Holder, float]] = OrderedDict()
        self._of_account: dict[str, OrderedDict[bytes, None]] = {}

    def get(self, holder: Holder, digest: bytes, now: float) -> T | None:
        """The value that the account remembers."""
        key = (holder[1], digest)
        found = self._known.get(key)
        if found is None:
            return None
        value, size, _, _ = found
        self._known[key] = (value, size, holder, now)
        self._known.move_to_end(key)
        self._of_account[holder[1]].move_to_end(digest)
        return value

    def put(self, holder: Holder, digest: bytes, value: T, size: int, now: float) -> None:
        """Remember a value, unless there is no room for it beside those of others."""
        account = holder[1]
        if (account, digest) in self._known:
            return
        self._forget_unused(now)
        while not self._shares.take(holder, size):
            own = self._of_account.get(account)
            if not own:
                return
            self._forget((account, next(iter(own))))
        self._known[account, digest] = (value, size, holder, now)
        self._of_account.setdefault(account, OrderedDict())[digest] = None

    def _forget_unused(self, now: float) -> None:
        while self._known:
            key, (_, _, _, used_at) = next(iter(self._known.items()))
            if now - used_at < UNUSED_SECONDS_MAX:
                return
            self._forget(key)

    def _forget(self, key: _Key) -> None:
        _, size, holder, _ = self._known.pop(key)
        self._shares.give_back(holder, size)
        account, digest = key
        del self._of_account[account][digest]
        if not self._of_account[account]:
            del self._of_account[account]
