"""Who may use the free routes, and how many at once.

A valid key, a fresh view of the keys, the key's limits, and a place: free requests cost their
client nothing, so an account's are worked on by turns with those of others.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request

from gateway.errors import DatabaseUnavailable
from gateway.keyring import Key, Keyring
from gateway.places import Places

#: free requests worked on at once, those that may wait for it, and for how long
AT_ONCE = 96
WAITING_MAX = 300
_WAITING_SECONDS_MAX = 60.0


def free_places() -> Places:
    """Those of one replica."""
    return Places("requests to free routes", AT_ONCE, WAITING_MAX, _WAITING_SECONDS_MAX)


async def authenticated(request: Request) -> AsyncIterator[Key]:
    """The key that asks.

    Raises what `Keyring.authenticate`, `Key.enter` and `Places.place` raise, and
    `DatabaseUnavailable` where this replica's view of the keys is too old to be trusted.
    """
    keyring: Keyring = request.app.state.keyring
    key, _ = await keyring.authenticate(request.scope["headers"])
    if not keyring.is_fresh:
        raise DatabaseUnavailable("the keys could not be checked; try again")
    request.scope["tollgate.key"] = key.live
    key.enter()
    places: Places = request.app.state.places
    try:
        async with places.place(key.caller.holder):
            yield key
    finally:
        key.concurrency.leave()


AuthenticatedKey = Annotated[Key, Depends(authenticated)]
