"""Work that a process repeats in the background; no failure of it ends the process."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from gateway.core.errors import DatabaseBusy, DatabaseUnavailable
from gateway.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)


class Rounds:
    """Repeats work, and counts what delays it and what fails."""

    #: a failure is tried again so soon, for a database may be back
    RETRY_SECONDS = 1.0

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def every(self, seconds: Callable[[], float], act: Callable[[], Awaitable[None]]) -> None:
        """Act every so many seconds until cancelled; `seconds` is asked each time."""
        failing = False
        what = getattr(act, "func", act).__qualname__
        while True:
            pause = min(seconds(), self.RETRY_SECONDS) if failing else seconds()
            due = time.monotonic() + pause
            await asyncio.sleep(pause)
            self._metrics.loop_delayed(max(0.0, time.monotonic() - due))
            try:
                await act()
                failing = False
            except DatabaseUnavailable as error:
                self._metrics.database_failed(1)
                # Logged once, not with every try; of an outage only `Outage` logs.
                if isinstance(error, DatabaseBusy) and not failing:
                    _log.warning("%s fails: %s", what, error)
                failing = True
            except Exception:  # noqa: BLE001  # the edge: the process goes on after a bug
                if not failing:
                    _log.exception("background work met a bug in %s", what)
                failing = True
