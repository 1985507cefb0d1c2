"""Keys of people that were revoked stay dead, also after an older database is restored.

The ids of those that were revoked are kept in a Secret, and what of them is alive is revoked again.
Objects' keys need none of this: an object that is not there has no key.
"""

import base64
import binascii
import logging

from gateway.core.errors import NotFound
from gateway.store.cached_keys import newest_version
from gateway.store.personal_keys import revoke_personal_key
from gateway.store.revocations import find_living, read_revocations
from gateway_operator.apply.operator_context import OperatorContext
from gateway_operator.plan.tombstones import (
    AGE,
    TOMBSTONES_MAX,
    format_tombstones,
    merge_tombstones,
    parse_tombstones,
)
from gateway_operator.resources.actors import OPERATOR
from gateway_operator.resources.names import FIELD_MANAGER, MANAGED_BY_LABEL

_logger = logging.getLogger(__name__)

TOMBSTONES_NAME = "faregate-revoked-keys"
_KEY = "keys"
#: the interval of the looks, and how many are made until there is a round in any case
LOOK_SECONDS = 1.0
_LOOKS = 10


class Tombstones:
    """Rounds as soon as a key was changed: a revocation is remembered within a second."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        #: the newest change that a round has seen, and the looks since
        self._version: int | None = None
        self._looks = 0

    async def look(self) -> None:
        """Raises `DatabaseUnavailable` and `ClusterError`."""
        context = self._context
        version, _ = await context.run(newest_version, context.database)
        self._looks += 1
        if version == self._version and self._looks < _LOOKS:
            return
        await keep_dead(context)
        self._version, self._looks = version, 0


async def keep_dead(context: OperatorContext) -> None:
    """One round. Raises `DatabaseUnavailable` and `ClusterError`."""
    text = await _read(context)
    remembered = parse_tombstones(text)
    revoked, now = await context.ask(read_revocations, AGE, TOMBSTONES_MAX)
    known = {one.key_id for one in revoked}
    forgotten = [one for one in remembered if one.key_id not in known]
    if forgotten:
        for key_id in await context.ask(find_living, forgotten):
            await _revoke(context, key_id)
    wanted = format_tombstones(merge_tombstones(remembered, revoked, now))
    if wanted != text:
        await _write(context, wanted)


async def _revoke(context: OperatorContext, key_id: str) -> None:
    try:
        await context.ask(revoke_personal_key, key_id, OPERATOR)
    except NotFound:  # restored once more
        return
    _logger.warning("revoked the key %s again, which the database had alive", key_id)


async def _read(context: OperatorContext) -> str:
    found = await context.cluster.get("Secret", context.settings.namespace, TOMBSTONES_NAME)
    held = ((found or {}).get("data") or {}).get(_KEY, "")
    try:
        return base64.b64decode(held).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _write(context: OperatorContext, text: str) -> None:
    await context.cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "namespace": context.settings.namespace,
                "name": TOMBSTONES_NAME,
                "labels": {MANAGED_BY_LABEL: FIELD_MANAGER},
            },
            "data": {_KEY: base64.b64encode(text.encode()).decode()},
        }
    )
