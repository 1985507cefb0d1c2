"""The tombstones of people's keys: what is remembered of those that were revoked. Pure.

A line each: the key's id, its account's number, and the second of its revocation.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from gateway.store.revocations import Revocation

#: longer than a backup is kept: an older one brings a key back to life
AGE = timedelta(days=35)
#: a Secret holds a mebibyte, and a line has about 45 bytes
TOMBSTONES_MAX = 15_000
#: no number is larger than a moment or the database can be
_LINE = re.compile(r"(\S+) ([0-9]{1,18}) ([0-9]{1,11})")


def parse_tombstones(text: str) -> list[Revocation]:
    """The tombstones of a text; a line that is none is left out."""
    found = []
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            key_id, account, seconds = match.groups()
            moment = datetime.fromtimestamp(int(seconds), UTC)
            found.append(Revocation(key_id, int(account), moment))
    return found


def format_tombstones(tombstones: Iterable[Revocation]) -> str:
    """The text of tombstones; equal ones give equal bytes."""
    lines = sorted(
        f"{one.key_id} {one.account_id} {int(one.revoked_at.timestamp())}\n" for one in tombstones
    )
    return "".join(lines)


def merge_tombstones(
    remembered: Iterable[Revocation], revoked: Iterable[Revocation], now: datetime
) -> list[Revocation]:
    """The tombstones to keep from now on: none that is too old, and not too many.

    Of too many the oldest go of the accounts that have the most, so that nobody who makes and
    revokes keys without end has others' forgotten.
    """
    known = {one.key_id: one for one in revoked} | {one.key_id: one for one in remembered}
    by_account = defaultdict[int, list[Revocation]](list)
    for one in sorted(known.values(), key=lambda one: one.revoked_at, reverse=True):
        if one.revoked_at > now - AGE:
            by_account[one.account_id].append(one)
    share = _share(sorted(len(each) for each in by_account.values()))
    return [one for each in by_account.values() for one in each[:share]]


def _share(sizes: list[int]) -> int:
    """The tombstones that an account may have, so that all together are not too many."""
    left = TOMBSTONES_MAX
    for position, size in enumerate(sizes):
        share = left // (len(sizes) - position)
        if size > share:
            return share
        left -= size
    return TOMBSTONES_MAX
