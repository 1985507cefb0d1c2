"""Words of Messages, which are read from upstreams and written to clients.

Sources: Anthropic API reference, "Messages" (`stop_reason`, `usage`).
"""

from typing import Any

from gateway.core.events import FinishReason, Usage
from gateway.dialects.counts import add_up, read_count

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def read_usage(counts: dict[str, Any]) -> Usage:
    """Messages counts cached input, read and written, beside its input; `Usage` within it."""
    cached = read_count(counts, "cache_read_input_tokens")
    by_time = counts.get("cache_creation")
    hour = read_count(by_time, "ephemeral_1h_input_tokens")
    written = max(
        read_count(counts, "cache_creation_input_tokens"),
        add_up(read_count(by_time, "ephemeral_5m_input_tokens"), hour),
    )
    return Usage(
        input=add_up(read_count(counts, "input_tokens"), cached, written),
        output=read_count(counts, "output_tokens"),
        cached=cached,
        reasoning=read_count(counts.get("output_tokens_details"), "thinking_tokens"),
        cache_write=written,
        cache_write_hour=hour,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The counts of `usage`; thinking is part of the output."""
    written: dict[str, Any] = {
        "input_tokens": max(0, usage.input - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }
    if usage.credits is not None:
        written["credits"] = usage.credits
    return written
