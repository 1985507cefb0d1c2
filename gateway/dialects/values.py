"""A count of the values in a JSON body, before any of them is made.

Owns the bounds of what a client's body may become in memory, for every dialect: a value costs many
times its bytes once it is an object. Must never decode anything. A body that is too short to hold
too many is not looked at.
"""

from gateway.core.errors import RequestTooLarge

VALUES_MAX = 250_000
#: of an upstream's whole answer
ANSWER_VALUES_MAX = 1_000_000
MESSAGES_MAX = 20_000
#: of one message
PARTS_MAX = 20_000
TOOLS_MAX = 2_000
#: the least bytes of a value, with what parts it from the next
_VALUE_BYTES_MIN = 2
#: about what reading and rendering make of one value, beside the text in it
_MADE_BYTES = 200
#: a smaller body is not worth the counting
COUNTED_BYTES = 4096
#: from here on an estimate from above takes too much from those who hold it
_EXACT_BYTES = 2 * 1024 * 1024
#: work of some 0.1 ms, so that nobody waits for the interpreter's lock
_WINDOW_BYTES = 64 * 1024
_OPENINGS = (b",", b"[", b"{")


def check_values(body: bytes) -> None:
    """Raise `RequestTooLarge` for a body that holds more values than anybody needs."""
    if len(body) > VALUES_MAX and not is_bounded(body, VALUES_MAX):
        raise RequestTooLarge(
            f"The request body holds too many JSON values; {VALUES_MAX:,} may be in one request."
        )


def is_bounded(data: bytes, values_max: int) -> bool:
    """True if JSON holds so many values at most; what is too short for more is not looked at."""
    return len(data) <= _VALUE_BYTES_MIN * values_max or _count(data, values_max) <= values_max


def made_bytes(body: bytes) -> int:
    """About the memory that a body and what it becomes take until it is rendered."""
    values = _looks_like(body)
    if values * _MADE_BYTES > max(2 * len(body), _EXACT_BYTES):
        # A large text that is rich in commas is not to look like many values.
        values = _count_outside_strings(body, VALUES_MAX)
    return 2 * len(body) + _MADE_BYTES * min(values, VALUES_MAX)


def _count(body: bytes, most: int) -> int:
    """The values of a body, from above; exactly where that is more than `most`.

    A member's name is none. A number far above `most` is not counted to its end.
    """
    values = _looks_like(body)
    return values if values <= most else _count_outside_strings(body, most)


def _looks_like(body: bytes) -> int:
    """Each value but the first follows a comma, or the opening of its list or object."""
    return 1 + sum(map(body.count, _OPENINGS))


def _count_outside_strings(body: bytes, most: int) -> int:
    """The same without what stands in strings, where a text has its commas and brackets."""
    values, in_string, held = 1, False, b""
    for start in range(0, len(body), _WINDOW_BYTES):
        window = held + body[start : start + _WINDOW_BYTES]
        backslashes = len(window) - len(window.rstrip(b"\\"))
        held = b"\\" if backslashes % 2 else b""  # it belongs to what the next window begins with
        if held:
            window = window[:-1]
        pieces = window.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        values += sum(map(b"".join(pieces[in_string::2]).count, _OPENINGS))
        if values > most:
            break
        in_string ^= len(pieces) % 2 == 0
    return values
