"""Words of chat, which are read from upstreams and written to clients.

Sources: OpenAI API reference, "The chat completion object" (`finish_reason`, `usage`); Moonshot
(`cached_tokens` beside the counts); OpenRouter, "Errors"; vLLM and SGLang, `FinishReason`;
DeepSeek, "Create chat completion".
"""

from typing import Any

from gateway.core.events import FinishReason, Usage
from gateway.dialects.counts import read_count

#: the words of `events` are those of chat, which had another one for calls
FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
#: a choice that ends so was not finished
FAILED = frozenset({"error", "abort", "insufficient_system_resource"})


def read_usage(counts: Any) -> Usage | None:
    """Usage from a `usage` object; cached tokens stand in one of three places."""
    if not isinstance(counts, dict):
        return None
    prompt = counts.get("prompt_tokens_details")
    completion = counts.get("completion_tokens_details")
    cached = read_count(prompt, "cached_tokens") or read_count(counts, "cached_tokens")
    return Usage(
        input=read_count(counts, "prompt_tokens"),
        output=read_count(counts, "completion_tokens"),
        cached=cached or read_count(counts, "prompt_cache_hit_tokens"),
        reasoning=read_count(completion, "reasoning_tokens"),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """A `usage` object; `cached_tokens` also where Moonshot's own clients look."""
    written: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    if usage.cached:
        written["cached_tokens"] = usage.cached
    return written
