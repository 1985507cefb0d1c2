"""Log lines: one JSON object each, or text for people; and a line per request, where it is wanted.

Never a key, a prompt or an answer: a request is told by its id, its key by the key's id.
"""

import logging
import random
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

Format = Literal["auto", "json", "text"]

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FAILED = 500
_log = logging.getLogger(__name__)


class JsonLines(logging.Formatter):
    """One line a record: `time` in UTC, `level`, `logger`, `message`, and what else it tells."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told.update(getattr(record, "told", {}))
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(told).decode()


def set_up_logs(level: str, wanted: Format) -> None:
    """Log to stderr; `auto` is text for a terminal and JSON for everything else."""
    handler = logging.StreamHandler()
    if wanted == "json" or (wanted == "auto" and not sys.stderr.isatty()):
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter(_TEXT))
    logging.basicConfig(level=level, handlers=[handler])
    for chatty in ("uvicorn", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class AccessLog:
    """A line for a share of all requests, and for each that failed for no fault of its client."""

    def __init__(self, share: float, draw: Callable[[], float] = random.random) -> None:
        self._share = share
        self._draw = draw

    def wants(self, status: int) -> bool:
        return status >= _FAILED or self._draw() < self._share

    def write(self, told: Mapping[str, object]) -> None:
        """Write what is known of a request; what is not known is left out."""
        known = {name: value for name, value in told.items() if value not in (None, "")}
        line = f"{known.get('status')} {known.get('route')}"
        _log.info("%s", line, extra={"told": known})
