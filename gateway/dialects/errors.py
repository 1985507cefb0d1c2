"""The two error envelopes, rendered from the tree in `gateway.core.errors`.

Owns the phrases that released clients match on. Must never add anything that is not in the error
itself: no stack, no address, no credential.

Sources: OpenAI API reference, "Error codes"; Anthropic API reference, "Errors". Both families' SDKs
obey `x-should-retry` and wait for `retry-after`.
"""

from math import ceil

import msgspec

from gateway.core.errors import ContextOverflow, CreditsExhausted, FaregateError
from gateway.dialects.base import Family

#: agent clients look for exactly these words before they stop asking
_LOW_BALANCE = "Your credit balance is too low"
_LENGTH_MAX = 2000


def status_for(error: FaregateError, family: Family) -> int:
    """The HTTP status; overload is 529 in the Anthropic family."""
    if family == "anthropic" and error.anthropic_status is not None:
        return error.anthropic_status
    return error.status


def render_openai(error: FaregateError) -> dict[str, object]:
    """`{"error": {message, type, param, code}}`, always with all four members.

    Where the error has facts for a program to read, they are given as `error.details`.
    """
    inner: dict[str, object] = {
        "message": _openai_message(error),
        "type": error.openai_type,
        "param": error.param,
        "code": error.code,
    }
    if _has_facts(error):
        inner["details"] = error.details
    return {"error": inner}


def render_anthropic(error: FaregateError, request_id: str) -> dict[str, object]:
    """`{"type": "error", "error": {type, message}, "request_id"}`.

    Where the error has facts for a program to read, they are given as `error.details`.
    """
    inner: dict[str, object] = {
        "type": error.anthropic_type,
        "message": _anthropic_message(error),
    }
    if _has_facts(error):
        inner["details"] = error.details
    return {"type": "error", "error": inner, "request_id": request_id}


def error_body(error: FaregateError, family: Family, request_id: str) -> bytes:
    """The body of an error answer, in the family's envelope."""
    if family == "anthropic":
        return msgspec.json.encode(render_anthropic(error, request_id))
    return msgspec.json.encode(render_openai(error))


def error_headers(error: FaregateError, family: Family) -> list[tuple[bytes, bytes]]:
    """`x-should-retry`, and `retry-after` in whole seconds where waiting helps.

    Both families read the same headers; statuses that ask the caller to slow down always name the
    seconds, one where nobody knows better.
    """
    headers = [(b"x-should-retry", b"true" if error.retryable else b"false")]
    seconds = error.retry_after_seconds
    if seconds is None and error.retryable and status_for(error, family) in (429, 503, 529):
        seconds = 1
    if seconds is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(seconds))))
    return headers


def _openai_message(error: FaregateError) -> str:
    if not isinstance(error, ContextOverflow):
        return _shown(error)
    given, cap, limit = _counts(error)
    if not limit:
        return _shown(error)
    window = f"This model's maximum context length is {limit} tokens."
    if given > limit:
        return (
            f"{window} However, your messages resulted in {given} tokens. Please reduce the "
            "length of the messages."
        )
    if given and given + cap > limit:
        return (
            f"{window} However, you requested {given + cap} tokens ({given} in the messages, {cap} "
            "in the completion). Please reduce the length of the messages or completion."
        )
    return f"{window} Please reduce the length of the messages or of the completion."


def _anthropic_message(error: FaregateError) -> str:
    if isinstance(error, CreditsExhausted) and _LOW_BALANCE not in error.message:
        return f"{_LOW_BALANCE}. {error.message}"
    if not isinstance(error, ContextOverflow):
        return _shown(error)
    given, cap, limit = _counts(error)
    if given > limit > 0:
        return f"prompt is too long: {given} tokens > {limit} maximum"
    if given and given + cap > limit > 0:
        return f"input length and `max_tokens` exceed context limit: {given} + {cap} > {limit}"
    return f"prompt is too long: {_shown(error)}"


def _shown(error: FaregateError) -> str:
    """The message; what it repeats of the client's body may be as large as that."""
    message = error.message
    return message if len(message) <= _LENGTH_MAX else f"{message[:_LENGTH_MAX]}…"


def _has_facts(error: FaregateError) -> bool:
    """True if its details are not only for the message."""
    return bool(error.details) and not isinstance(error, ContextOverflow)


def _counts(error: ContextOverflow) -> tuple[int, int, int]:
    """Tokens of the input, the cap of the output, the context window; 0 for what is not known."""
    details = error.details or {}
    given, cap, limit = map(details.get, ("input_tokens", "output_tokens", "context_window"))
    return _whole(given), _whole(cap), _whole(limit)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
