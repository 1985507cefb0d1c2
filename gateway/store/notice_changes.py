"""Which accounts may have used more of their granted credits since the last look for notices.

What is used changes by an entry, or when a request ends that held credits. So a look reads the
accounts of new entries, and those that held credits at the look before. Entries get their ids
before they are committed: as new count all since the look before the last. An index on balances
would find more, but then each charge had to write to it.
"""

import json
from typing import Any

from gateway.store.transaction import Transaction

ALL = "SELECT id FROM account WHERE installation = :installation"
_SOME = """SELECT account_id AS id FROM entry WHERE id > :since
  UNION SELECT id FROM account WHERE id {listed}"""
_NEWEST = """
SELECT coalesce((SELECT max(id) FROM entry), 0), coalesce((SELECT max(id) FROM account), 0)
"""
_HELD = "SELECT DISTINCT account_id FROM hold"
#: every so many looks, all accounts are read
_LOOKS = 60


class ChangedAccounts:
    """The memory of one receiver's looks; the first one reads all accounts."""

    def __init__(self) -> None:
        self._looks = 0
        #: the newest entry at each of the last two looks, and who held credits at the last
        self._newest = (0, 0)
        self._held: list[int] = []
        self._next: tuple[int, list[int]] = (0, [])

    def begin(self, transaction: Transaction) -> tuple[str, dict[str, Any]]:
        """The statement of the accounts to read, and its values; all, where these are fewer than
        the new entries."""
        ((newest, accounts),) = transaction.rows(_NEWEST)
        # Before they are judged: a request that ends in between is read again.
        self._next = newest, [account_id for (account_id,) in transaction.rows(_HELD)]
        since, last = self._newest
        if self._looks % _LOOKS == 0 or not last <= newest <= since + accounts:
            return ALL, {}
        is_sqlite = transaction.is_sqlite
        listed = "IN (SELECT value FROM json_each(:held))" if is_sqlite else "= ANY(:held)"
        held = json.dumps(self._held) if is_sqlite else self._held
        return _SOME.format(listed=listed), {"since": since, "held": held}

    def end(self, *, is_whole: bool) -> None:
        """Remember a look that is over; one that left some behind has the next one read all."""
        newest, self._held = self._next
        self._newest = self._newest[1], newest
        self._looks = self._looks + 1 if is_whole else 0
