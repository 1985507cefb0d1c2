"""Several keys of one person, suspended one after the other."""

from collections.abc import Iterable

from gateway.core.actor import Actor
from gateway.core.errors import NotFound, StateConflict
from gateway.core.key_policy import KeyPolicy
from gateway.store.database import Database
from gateway.store.personal_keys import KeySettings, change_key


def suspend_keys(
    database: Database, installation: str, key_ids: Iterable[str], actor: Actor
) -> int:
    """Suspend keys by their ids, each in its own transaction; how many were suspended.

    A key that has just been revoked or erased does not stop the others. Raises
    `DatabaseUnavailable`.
    """
    suspended = 0
    for key_id in key_ids:
        try:
            change_key(
                database, installation, key_id, KeySettings(suspended=True), KeyPolicy(), actor
            )
        except (NotFound, StateConflict):
            continue
        suspended += 1
    return suspended
