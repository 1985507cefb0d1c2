"""Gemini's words and those of the other dialects: parameters and numbers.

Source: Gemini API reference, "GenerationConfig" and "UsageMetadata".
"""

from typing import Any

from gateway.core.events import Usage
from gateway.dialects.counts import add_up, read_count

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


def read_usage(counts: dict[str, Any]) -> Usage | None:
    """Return the tokens; Gemini counts thoughts beside its output, `Usage` within it.

    Some of its servers count them within it, too; then the total is right without them.
    """
    if not counts:
        return None
    given = add_up(
        read_count(counts, "promptTokenCount"), read_count(counts, "toolUsePromptTokenCount")
    )
    answered = read_count(counts, "candidatesTokenCount")
    thoughts = read_count(counts, "thoughtsTokenCount")
    is_within = thoughts <= answered and given + answered == read_count(counts, "totalTokenCount")
    return Usage(
        input=given,
        output=answered if is_within else add_up(answered, thoughts),
        cached=read_count(counts, "cachedContentTokenCount"),
        reasoning=thoughts,
    )
