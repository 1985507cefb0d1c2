"""Frames of a server-sent event stream (WHATWG HTML, section 9.2), as bytes.

Owns the framing only. Data must be one line: JSON without raw line breaks, which every JSON
encoder gives.
"""

#: ends a stream of the OpenAI family
DONE = b"data: [DONE]\n\n"

#: a comment: every reader skips it, and it keeps proxies from closing a silent connection
KEEP_ALIVE = b": keep-alive\n\n"


def data_frame(data: bytes) -> bytes:
    """One event without a name."""
    return b"data: %b\n\n" % data


def event_frame(name: bytes, data: bytes) -> bytes:
    """One event of the given name."""
    return b"event: %b\ndata: %b\n\n" % (name, data)
