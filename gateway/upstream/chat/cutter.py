"""Cuts an upstream's byte stream into the data of its events (WHATWG HTML, section 9.2).

Reads may end anywhere: inside a line break, a character, the byte order mark. Owns bytes only; each
piece of data it returns is free of line breaks, since the lines of one event are JSON and may be
joined by a space.
"""

import msgspec

from gateway.errors import UpstreamBroken

#: the data of the event that ends a stream of the OpenAI family
DONE = b"[DONE]"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PREFIX = b"data: {"
_LINE_FEED = 0x0A
_CARRIAGE_RETURN = 0x0D


class EventCutter:
    """One stream; raises `UpstreamBroken` when an event is larger than `event_bytes_max`."""

    def __init__(self, event_bytes_max: int) -> None:
        self._event_bytes_max = event_bytes_max
        #: of an event that has begun
        self.rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The data of all events that `data` completes."""
        if _LINE_FEED not in data and _CARRIAGE_RETURN not in data:
            self._keep(data)
            return []
        if self.rest:
            data = b"".join((*self.rest, data))
        if _CARRIAGE_RETURN in data:
            data = _unify(data)
        *events, rest = data.split(b"\n\n")
        if self.rest:
            self.rest.clear()
            self._rest_bytes = 0
        if rest:
            self._keep(rest)
        return _data_of(events)

    def finish(self) -> list[bytes]:
        """The data of a last event that lacks its blank line; it may be cut short."""
        data = b"".join(self.rest).replace(b"\r", b"\n")
        self.rest.clear()
        self._rest_bytes = 0
        return _data_of(data.split(b"\n\n"))

    def _keep(self, rest: bytes) -> None:
        self.rest.append(rest)
        self._rest_bytes += len(rest)
        if self._rest_bytes > self._event_bytes_max:
            raise UpstreamBroken("The upstream sent an event that is too large.")


def _unify(data: bytes) -> bytes:
    """Make every line end `\\n`; a last `\\r` waits, since its `\\n` may be in the next read."""
    waiting = b"\r" if data.endswith(b"\r") else b""
    if waiting:
        data = data[:-1]
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + waiting


def _data_of(events: list[bytes]) -> list[bytes]:
    found = []
    for event in events:
        if event.startswith(_PREFIX) and _LINE_FEED not in event:
            found.append(event[6:])
        elif (data := _read_lines(event)) is not None:
            found.append(data)
    return found


def _read_lines(event: bytes) -> bytes | None:
    """The `data` lines of an event with comments, names or several lines; None without any."""
    values = []
    for line in event.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        if line.startswith(b"data:"):
            values.append(line[5:].strip())
    return b" ".join(values) if values else None


def is_whole(data: bytes) -> bool:
    """Whether the data of a last event that lacks its blank line was not cut short."""
    if data.startswith(DONE):
        return True
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True
