"""The trace that a client is in, as headers of a request. Source: W3C Trace Context, level 1."""

import re

PARENT = b"traceparent"
_STATE = b"tracestate"
#: version, trace, span, flags; neither id is all zeros, and of later versions more may follow
_VALID = re.compile(
    rb"(?:00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    rb"|(?!00|ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[ -~]*)?)"
)


def trace_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The trace headers of a client that go on to the upstream; none that are not well-formed."""
    parents = [value for name, value in headers if name == PARENT]
    if len(parents) != 1 or not _VALID.fullmatch(parents[0]):
        return {}
    found = {"traceparent": parents[0].decode("ascii")}
    states = [value.decode("latin-1") for name, value in headers if name == _STATE]
    if states:
        found["tracestate"] = ",".join(states)
    return found
