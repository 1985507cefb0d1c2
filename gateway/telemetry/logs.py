"""A log line a request, where it is wanted.

Never a key, a prompt or an answer: a request is named by its id, its key by the key's id.
"""

import logging
import random
from collections.abc import Callable, Mapping

_FAILED = 500
_log = logging.getLogger(__name__)


class AccessLog:
    """A line for a share of all requests, and for each that failed for no fault of its client."""

    def __init__(self, share: float, draw: Callable[[], float] = random.random) -> None:
        self._share = share
        self._draw = draw

    def wants(self, status: int) -> bool:
        return status >= _FAILED or self._draw() < self._share

    def write(self, fields: Mapping[str, object]) -> None:
        """Write what is known of a request; what is not known is left out."""
        known = {name: value for name, value in fields.items() if value not in (None, "")}
        line = f"{known.get('status')} {known.get('route')}"
        _log.info("%s", line, extra={"fields": known})
