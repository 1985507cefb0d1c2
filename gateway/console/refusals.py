"""Refused sign-ins as events: few rows, however many refusals there are.

Nobody has to be somebody to be refused, so the first ones are an event each, and those that come
too fast are counted, and written as one event a minute later. No answer fails by it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.core.errors import FaregateError
from gateway.store.session_log import Origin

_log = logging.getLogger(__name__)

#: events of their own: so many at once, and then one more each minute
AT_ONCE = 60
_MINUTE = 60.0
#: reasons and networks that the event of a sum names, each with its number
_NAMED_MAX = 8

Write = Callable[[str, dict[str, Any]], Awaitable[None]]


class Refusals:
    """The refusals of one process. `write` writes an event: its subject, and its facts."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._left = float(AT_ONCE)
        self._seen_at = 0.0
        self._reasons: Counter[str] = Counter()
        self._networks: Counter[str] = Counter()
        self._later: asyncio.Task[None] | None = None

    async def add(self, reason: str, origin: Origin, subject: str, now: float) -> None:
        """Write a refusal at once, or count it; `now` is a moment of a monotonic clock."""
        self._left = min(AT_ONCE, self._left + (now - self._seen_at) / _MINUTE)
        self._seen_at = now
        if self._left >= 1 and self._later is None:
            self._left -= 1
            await self._try_to_write(subject, {**origin.facts, "reason": reason})
            return
        _count(self._reasons, f"{origin.way}: {reason}")
        _count(self._networks, origin.network)
        if self._later is None:
            self._later = asyncio.create_task(self._write_later())

    async def close(self) -> None:
        """Write what was counted."""
        if self._later is not None:
            self._later.cancel()
            await self._write_sum()

    async def _write_later(self) -> None:
        await asyncio.sleep(_MINUTE)
        await self._write_sum()

    async def _write_sum(self) -> None:
        facts = {
            "times": self._reasons.total(),
            "reasons": dict(self._reasons),
            "networks": dict(self._networks),
        }
        self._reasons, self._networks, self._later = Counter(), Counter(), None
        await self._try_to_write("", facts)

    async def _try_to_write(self, subject: str, facts: dict[str, Any]) -> None:
        try:
            await self._write(subject, facts)
        except FaregateError as error:
            _log.warning("a refused sign-in is in the log only, as it cannot be written: %s", error)


def _count(counter: Counter[str], name: str) -> None:
    """Count a name, or an other one where too many are counted already."""
    counter[name if name in counter or len(counter) < _NAMED_MAX else "others"] += 1
