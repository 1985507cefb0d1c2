"""The form of log lines, one for gateways and operator: JSON objects, or text for people."""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Format = Literal["auto", "json", "text"]

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
#: of one field in a line: a client may choose fields of its request
CHARACTERS_MAX = 500
#: of a bug's account, which has the newest calls last
_EXCEPTION_CHARACTERS_MAX = 20_000
#: characters that end a line or change the direction of one, and all else that a terminal obeys
_UNPRINTABLE = re.compile(r"[^ -~\xa1-\u2027\u202f-\U0010ffff]")


class JsonLines(logging.Formatter):
    """One line a record: `time` in UTC, `level`, `logger`, `message`, and its other fields."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _short(record.getMessage()),
        }
        for name, value in getattr(record, "fields", {}).items():
            fields[name] = _short(value) if isinstance(value, str) else value
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)[-_EXCEPTION_CHARACTERS_MAX:]
        return msgspec.json.encode(fields).decode()


class TextLines(logging.Formatter):
    """Text for people: a line a record, for any message, and the account of a bug below."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the library's name
        record.message = _UNPRINTABLE.sub(_escaped, _short(record.message))
        return super().formatMessage(record)

    def formatException(self, info: Any) -> str:  # noqa: N802  # the library's name
        return super().formatException(info)[-_EXCEPTION_CHARACTERS_MAX:]


def _short(text: str) -> str:
    """A text that may be a client's, within its bound."""
    left_out = len(text) - CHARACTERS_MAX
    return text if left_out <= 0 else f"{text[:CHARACTERS_MAX]}… ({left_out} more)"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def set_up_logs(level: str, wanted: Format) -> None:
    """Log to stderr; `auto` is text for a terminal and JSON for everything else."""
    handler = logging.StreamHandler()
    if wanted == "json" or (wanted == "auto" and not sys.stderr.isatty()):
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(TextLines(_TEXT))
    logging.basicConfig(level=level, handlers=[handler])
    for chatty in ("uvicorn", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
