"""The number of keys that may end because their objects are gone. Pure.

A definition deleted by mistake, half a file or the wrong cluster must not stop everybody: beyond a
limit a person has to confirm it, by naming the exact number.
"""

KEYS_MAX = 20
SHARE_MAX = 0.1


def orphans_max(alive: int) -> int:
    """The number of living keys that may end at once without a confirmation."""
    return min(KEYS_MAX, max(1, int(alive * SHARE_MAX)))
