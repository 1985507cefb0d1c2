"""How many keys may end because their objects are gone. Pure.

A definition deleted by mistake, half a file or the wrong cluster must not stop everybody: beyond
a limit a person has to say so, by naming the exact number.
"""

KEYS_MAX = 20
SHARE_MAX = 0.1


def orphans_max(alive: int) -> int:
    """How many of so many living keys may end at once without a word from anybody."""
    return min(KEYS_MAX, max(1, int(alive * SHARE_MAX)))
