"""Words of Responses, which are read from upstreams and written to clients.

Sources: OpenAI API reference, "The response object" (`incomplete_details`, `error`, `usage`).
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from gateway.core.errors import (
    ContextOverflow,
    FaregateError,
    Overloaded,
    RateLimited,
    RequestError,
    UpstreamOverloaded,
)
from gateway.core.events import FinishReason, Usage
from gateway.dialects.counts import read_count

#: of ids of calls
CALL_ID_LENGTH_MAX = 64
#: why a response is incomplete
INCOMPLETE_REASONS: dict[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


def error_code(error: FaregateError) -> str:
    """The code that agents look for in a failed response."""
    match error:
        case ContextOverflow():
            return "context_length_exceeded"
        case RateLimited() | Overloaded() | UpstreamOverloaded():
            return "rate_limit_exceeded"
        case RequestError():
            return "invalid_prompt"
    return "server_error"


class InputDetails(Struct, frozen=True):
    """Parts of the input tokens."""

    cached_tokens: int
    cache_write_tokens: int = 0


class OutputDetails(Struct, frozen=True):
    """Parts of the output tokens."""

    reasoning_tokens: int


class UsageObject(Struct, frozen=True):
    """Tokens; cached ones are part of the input, reasoning is part of the output."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int
    credits: int | UnsetType = UNSET


def read_usage(usage: Any) -> Usage | None:
    """Responses counts as `Usage` does."""
    if not isinstance(usage, dict):
        return None
    return Usage(
        input=read_count(usage, "input_tokens"),
        output=read_count(usage, "output_tokens"),
        cached=read_count(usage.get("input_tokens_details"), "cached_tokens"),
        reasoning=read_count(usage.get("output_tokens_details"), "reasoning_tokens"),
        cache_write=read_count(usage.get("input_tokens_details"), "cache_write_tokens"),
    )


def write_usage(usage: Usage) -> UsageObject:
    """The upstream's tokens in this dialect."""
    return UsageObject(
        usage.input,
        InputDetails(usage.cached, usage.cache_write),
        usage.output,
        OutputDetails(usage.reasoning),
        usage.input + usage.output,
        UNSET if usage.credits is None else usage.credits,
    )
