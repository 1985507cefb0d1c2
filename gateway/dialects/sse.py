"""Server-sent events as bytes: read from upstreams, written to clients (WHATWG HTML, section 9.2).

Reads may end anywhere: inside a line break, a character, the byte order mark. Owns the framing:
each piece of data is free of line breaks, since the lines of one event are JSON and may be joined
by a space.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.core.errors import UpstreamBroken
from gateway.dialects.odd_values import decode_odd
from gateway.dialects.values import is_bounded

#: decoded on the event loop, in some milliseconds
EVENT_VALUES_MAX = 50_000
EVENT_BYTES_MAX = 16 * 1024 * 1024
#: the data of the event that ends a stream of the OpenAI family
DONE = b"[DONE]"
DONE_FRAME = b"data: %b\n\n" % DONE
#: a comment: every reader skips it, and it keeps proxies from closing a silent connection
KEEP_ALIVE = b": keep-alive\n\n"

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PREFIX = b"data: {"
_LINE_FEED = 0x0A
_CARRIAGE_RETURN = 0x0D


class SSEDecoder(Struct, eq=False):
    """One stream; raises `UpstreamBroken` when an event is larger than `event_bytes_max`, or holds
    more values than are to be decoded at once.

    Each byte of an event is looked at when it comes and joined to the others once.
    """

    event_bytes_max: int
    #: of an event that has begun
    rest: bytearray = bytearray()
    #: set if the last byte was a carriage return, to which a line feed may belong
    _after_return: bool = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of all events that `data` completes."""
        if data and (self._after_return or _CARRIAGE_RETURN in data):
            data = self._unify(data)
        if b"\n\n" not in data and not (data[:1] == b"\n" and self.rest.endswith(b"\n")):
            self._keep(data)
            return []
        if self.rest:
            data = bytes(self.rest + data)
            self.rest.clear()
        *events, rest = data.split(b"\n\n")
        if rest:
            self._keep(rest)
        if len(data) > EVENT_VALUES_MAX:
            _check_values(events)
        return _data_of(events)

    def finish(self) -> list[bytes]:
        """The data of a last event that lacks its blank line; it may be cut short."""
        data = bytes(self.rest).strip()
        self.rest.clear()
        _check_values([data])
        # Some servers call a whole body in JSON a stream, above all where it is an error.
        return [data] if data.startswith(b"{") else _data_of([data])

    def _keep(self, rest: bytes) -> None:
        self.rest += rest
        if len(self.rest) > self.event_bytes_max:
            raise UpstreamBroken("The upstream sent an event that is too large.")

    def _unify(self, data: bytes) -> bytes:
        """Make every line end `\\n`, also one whose two characters come in two reads."""
        if self._after_return:
            data = data.removeprefix(b"\n")
        self._after_return = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _data_of(events: list[bytes]) -> list[bytes]:
    found = []
    for event in events:
        if event.startswith(_PREFIX) and _LINE_FEED not in event:
            found.append(event[6:])
        elif (data := _read_lines(event)) is not None:
            found.append(data)
    return found


def _check_values(events: list[bytes]) -> None:
    for event in events:
        if len(event) > EVENT_VALUES_MAX and not is_bounded(event, EVENT_VALUES_MAX):
            raise UpstreamBroken("The upstream sent an event that holds too many values.")


def _read_lines(event: bytes) -> bytes | None:
    """The `data` lines of an event with comments, names or several lines; None without any.

    llama.cpp has had lines of errors, which the standard does not know.
    """
    values = []
    for line in event.removeprefix(_BYTE_ORDER_MARK).split(b"\n"):
        if line.startswith(b"data:"):
            values.append(line[5:].strip())
        elif line.startswith((b"error: {", b"error:{")):
            values.append(b'{"error":%b}' % line[6:].strip())
    return b" ".join(values) if values else None


def is_whole(data: bytes) -> bool:
    """True if the data of a last event that lacks its blank line was not cut short."""
    if data.startswith(DONE):
        return True
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True


def decode_answer(body: bytes) -> Any:
    """A whole answer, decoded. Raises `UpstreamBroken`."""
    try:
        return decode_odd(body)
    except (ValueError, RecursionError):
        raise UpstreamBroken("The upstream sent something that is not JSON.") from None


def data_frame(data: bytes) -> bytes:
    """One event without a name."""
    return b"data: %b\n\n" % data
