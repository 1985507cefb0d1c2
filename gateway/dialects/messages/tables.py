"""Words of Messages, which are read from upstreams and written to clients.

Sources: Anthropic API reference, "Messages" (`stop_reason`, `usage`) and "Errors".
"""

from typing import Any

from gateway.core.errors import tree
from gateway.core.events import FinishReason, Usage
from gateway.dialects.counts import read_count

#: of several words for one reason, clients get the first
FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
STOP_REASONS = {reason: word for word, reason in reversed(FINISH_REASONS.items())}
#: status by the type of an error, for an error in a stream has none
STATUSES = {
    error.anthropic_type: error.anthropic_status or error.status
    for error in tree()
    if "anthropic_type" in vars(error)
}


def read_usage(counts: dict[str, Any]) -> Usage:
    """Messages counts cached input, read and written, beside its input; `Usage` within it."""
    cached = read_count(counts, "cache_read_input_tokens")
    by_time = counts.get("cache_creation")
    hour = read_count(by_time, "ephemeral_1h_input_tokens")
    written = max(
        read_count(counts, "cache_creation_input_tokens"),
        read_count(by_time, "ephemeral_5m_input_tokens") + hour,
    )
    return Usage(
        input=read_count(counts, "input_tokens") + cached + written,
        output=read_count(counts, "output_tokens"),
        cached=cached,
        reasoning=read_count(counts.get("output_tokens_details"), "thinking_tokens"),
        cache_write=written,
        cache_write_hour=hour,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The counts of `usage`; thinking is part of the output."""
    return {
        "input_tokens": max(0, usage.input - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }
