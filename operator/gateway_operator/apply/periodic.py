"""Work that is repeated, beside everything else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from gateway.core.errors import DatabaseUnavailable
from gateway_operator.cluster import ClusterError

_logger = logging.getLogger(__name__)


async def repeat(what: str, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    """Act every so many seconds until cancelled; no failure ends it, and each is logged once."""
    reported = ""
    while True:
        began = monotonic()
        try:
            await act()
            reported = ""
        except (DatabaseUnavailable, ClusterError) as error:
            if str(error) != reported:
                _logger.warning("%s was not possible: %s", what, error)
            reported = str(error)
        except Exception as error:
            if repr(error) != reported:
                _logger.exception("%s failed", what)
            reported = repr(error)
        await asyncio.sleep(max(0.0, began + seconds - monotonic()))
