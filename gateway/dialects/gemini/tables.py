"""Gemini's words and those of the other dialects: reasons, parameters and numbers.

Source: Gemini API reference, "FinishReason", "GenerationConfig" and "UsageMetadata".
"""

from typing import Any

from gateway.core.events import FinishReason, Usage
from gateway.dialects.counts import read_count

FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
#: ends of an answer that broke off: what was made of it cannot be used
FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
        "OTHER",
    }
)
CHOICE_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
#: parameters as they are named elsewhere, and the members of `generationConfig`
PARAMETERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "stop": "stopSequences",
    "max_output_tokens": "maxOutputTokens",
}
#: places of signatures: a thought, the text, or the call of an id
THOUGHT_PLACE = "thought"
TEXT_PLACE = "text"
CALL_PLACE = "call:"


def read_usage(counts: Any) -> Usage | None:
    """Return the tokens; Gemini counts thoughts beside its output, `Usage` within it."""
    if not isinstance(counts, dict):
        return None
    thoughts = read_count(counts, "thoughtsTokenCount")
    return Usage(
        input=read_count(counts, "promptTokenCount")
        + read_count(counts, "toolUsePromptTokenCount"),
        output=read_count(counts, "candidatesTokenCount") + thoughts,
        cached=read_count(counts, "cachedContentTokenCount"),
        reasoning=thoughts,
    )
