"""Outages of one database: each is logged once with its cause, and once when it is over."""

import logging
import time
from threading import Lock

from gateway.core.errors import DatabaseUnavailable

_log = logging.getLogger(__name__)


class Outage:
    """Notified by everything in this process that asks one database; used by several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._began_at: float | None = None
        self._failed_at = float("-inf")

    @property
    def is_on(self) -> bool:
        return self._began_at is not None

    def failed(self, error: DatabaseUnavailable, *, begins: bool = True) -> None:
        """The database did not answer, or could not do what it exists for.

        Where only a connection was lost no outage `begins`: the next attempt knows the cause.
        """
        with self._lock:
            self._failed_at = time.monotonic()
            begins = begins and self._began_at is None
            if begins:
                self._began_at = self._failed_at
        if begins:
            _log.warning("%s", error)

    def written(self, asked_at: float) -> None:
        """A transaction that writes was committed, and began at `asked_at` (monotonic).

        To read is not enough: a full disk and a standby can still be read from.
        """
        if self._began_at is None:
            return
        with self._lock:
            began_at = self._began_at
            if began_at is None or asked_at < self._failed_at:
                return
            self._began_at = None
        _log.warning("the database answers again, after %.1f s", time.monotonic() - began_at)
