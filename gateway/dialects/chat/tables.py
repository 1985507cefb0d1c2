"""Words of chat, which are read from upstreams and written to clients.

Sources: OpenAI API reference, "The chat completion object" (`usage`); Moonshot (`cached_tokens`
beside the counts); OpenRouter, "Prompt caching" (`cache_write_tokens`); DashScope, "Context cache"
(`cache_creation_input_tokens`); LiteLLM, "Prompt caching" (`cache_creation_tokens`, and those of an
hour in its details); xAI, "Consumption and rate limits" (reasoning beside `completion_tokens`,
within `total_tokens`).
"""

from typing import Any

from msgspec import Struct, convert
from msgspec.structs import replace

from gateway.core.events import Usage
from gateway.dialects.counts import Count, add_up, read_count
from gateway.dialects.odd_values import object_of


class _ByTime(Struct):
    ephemeral_1h_input_tokens: Count | None = None


class _Details(Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation_tokens: Count | None = None
    cache_creation_token_details: _ByTime | None = None
    reasoning_tokens: Count | None = None


class _Counts(_Details):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    prompt_cache_hit_tokens: Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


_NOTHING = _Details()
#: a `usage` without any of these states no tokens: some servers give only a cost at the end
_COUNTS = frozenset({"prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"})
_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_CACHE_WRITE = ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens")


def read_usage(given: Any) -> Usage | None:
    """Usage from a `usage` object, if it has any counts of tokens but zeros.

    Each server has a place and a word for what was cached; some have the words of Responses.
    """
    try:
        counts = convert(given, _Counts)
    except ValueError:
        if not isinstance(given, dict) or _COUNTS.isdisjoint(given):
            return None
        return _read_odd_usage(given)
    tokens_in = counts.input_tokens if counts.prompt_tokens is None else counts.prompt_tokens
    tokens_out = (
        counts.output_tokens if counts.completion_tokens is None else counts.completion_tokens
    )
    if not tokens_in and not tokens_out:
        return None
    prompt = counts.prompt_tokens_details or counts.input_tokens_details or _NOTHING
    completion = counts.completion_tokens_details or counts.output_tokens_details or _NOTHING
    by_time = prompt.cache_creation_token_details
    given, answered = tokens_in or 0, tokens_out or 0
    usage = Usage(
        input=given,
        output=answered,
        cached=prompt.cached_tokens
        or counts.cached_tokens
        or counts.prompt_cache_hit_tokens
        or counts.cache_read_input_tokens
        or 0,
        reasoning=completion.reasoning_tokens or 0,
        cache_write=prompt.cache_write_tokens
        or prompt.cache_creation_input_tokens
        or prompt.cache_creation_tokens
        or counts.cache_write_tokens
        or counts.cache_creation_input_tokens
        or counts.cache_creation_tokens
        or 0,
        cache_write_hour=by_time.ephemeral_1h_input_tokens or 0 if by_time is not None else 0,
    )
    if counts.total_tokens == given + answered and usage.cached + usage.cache_write <= given:
        return usage
    return _with_parts(usage, counts.total_tokens or 0)


def _with_parts(usage: Usage, total: int) -> Usage:
    """The usage with what a server counts beside it: in the total alone, or more than the whole."""
    beside = total - usage.input - usage.output
    cache = usage.cached + usage.cache_write
    if usage.reasoning and beside == usage.reasoning:
        return replace(usage, output=add_up(usage.output, usage.reasoning))
    if usage.input and cache and (beside == cache or cache > usage.input):
        return replace(usage, input=add_up(usage.input, cache))
    return usage


def read_more_usage(before: Usage | None, given: Any) -> Usage | None:
    """Usage after one more `usage` object of a stream: a count that it lacks takes none away."""
    later = read_usage(given)
    if later is None or before is None:
        return later or before
    if not later.input:
        return replace(before, output=later.output, reasoning=later.reasoning)
    if not later.output:
        later = replace(later, output=before.output, reasoning=before.reasoning)
    if later.cached >= before.cached and later.cache_write >= before.cache_write:
        return later
    return replace(
        later,
        cached=max(later.cached, before.cached),
        cache_write=max(later.cache_write, before.cache_write),
        cache_write_hour=max(later.cache_write_hour, before.cache_write_hour),
    )


def _read_odd_usage(given: dict[str, Any]) -> Usage | None:
    """Pick the counts out of all that is there."""
    prompt = given.get("prompt_tokens_details") or given.get("input_tokens_details")
    completion = given.get("completion_tokens_details") or given.get("output_tokens_details")
    tokens_in = read_count(given, "prompt_tokens") or read_count(given, "input_tokens")
    tokens_out = read_count(given, "completion_tokens") or read_count(given, "output_tokens")
    if not tokens_in and not tokens_out:
        return None
    by_time = object_of(prompt).get("cache_creation_token_details")
    usage = Usage(
        input=tokens_in,
        output=tokens_out,
        cached=_first(prompt, given, _CACHED),
        reasoning=read_count(completion, "reasoning_tokens"),
        cache_write=_first(prompt, given, _CACHE_WRITE),
        cache_write_hour=read_count(by_time, "ephemeral_1h_input_tokens"),
    )
    return _with_parts(usage, read_count(given, "total_tokens"))


def _first(details: Any, given: dict[str, Any], names: tuple[str, ...]) -> int:
    """The first count that either has under one of the names."""
    found = (read_count(holder, name) for holder in (details, given) for name in names)
    return next(filter(None, found), 0)


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
    if usage.cache_write:
        written["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write
    if usage.credits is not None:
        written["credits"] = usage.credits
    return written
