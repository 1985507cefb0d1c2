"""Words by which upstreams report why an answer ended, of all dialects and in either case.

Gateways and engines pass on the words of the family behind them, so a reader of any dialect knows
all. A word that is in neither table is an ordinary end; those of `NO_REASON` are none at all, and
some servers write them into every chunk before the last. Sources: OpenAI API reference,
`finish_reason` and `incomplete_details`; Anthropic API reference, `stop_reason`; Gemini API
reference and Vertex AI, `FinishReason`; Google, "OpenAI compatibility" (`content_filter: …`);
Amazon Bedrock, "Converse" (`stopReason`); vLLM and SGLang, `FinishReason`; DeepSeek and Mistral
(`model_length`), "Create chat completion"; Zhipu (`sensitive`, `network_error`,
`model_context_window_exceeded`); Cohere, "Chat" (`ERROR_TOXIC`, `USER_CANCEL`, `COMPLETE`,
`TOOL_CALL`); Together (`eos`); watsonx (`eos_token`).
"""

from gateway.core.events import FinishReason

#: an answer that ended so may hold a call whose arguments were cut off
CUT = frozenset({"length", "content_filter"})
#: words of a stream that goes on
NO_REASON = frozenset({"null", "NULL", "none", "None", "NONE", "FINISH_REASON_UNSPECIFIED"})

_STOP = ("stop", "end_turn", "stop_sequence", "completed", "complete", "eos", "eos_token")
#: a turn that the provider paused is as incomplete as one that was cut
_LENGTH = (
    "length",
    "max_tokens",
    "max_output_tokens",
    "model_length",
    "model_context_window_exceeded",
    "max_length",
    "token_limit",
    "context_length_exceeded",
    "context_window_exceeded",
    "pause_turn",
)
_CALLS = ("tool_calls", "tool_call", "function_call", "tool_use")
_FILTERED = (
    "content_filter",
    "content_filtered",
    "guardrail_intervened",
    "refusal",
    "sensitive",
    "moderation",
    "error_toxic",
    "safety",
    "recitation",
    "language",
    "blocklist",
    "prohibited_content",
    "spii",
    "model_armor",
    "image_safety",
    "image_prohibited_content",
    "image_recitation",
)
#: what was made of such an answer cannot be used
_FAILED = (
    "error",
    "abort",
    "aborted",
    "cancelled",
    "canceled",
    "failed",
    "timeout",
    "network_error",
    "server_error",
    "internal_error",
    "overloaded",
    "preempted",
    "user_cancel",
    "insufficient_system_resource",
    "malformed_function_call",
    "malformed_tool_use",
    "malformed_model_output",
    "malformed_response",
    "unexpected_tool_call",
    "too_many_tool_calls",
    "missing_thought_signature",
    "other",
    "image_other",
)


def _spellings(*words: str) -> list[str]:
    """Gateways change how words are joined, and engines their capitals.

    Google has capitals, and in its chat dialect the part that stopped the answer before them.
    """
    filters = ("", "content_filter: ", "function_call_filter: ")
    spelled = [name + word.upper() for word in words for name in filters]
    for word in words:
        joined = word.title().replace("_", "")
        spelled += [word, word.replace("_", "-"), joined, joined[0].lower() + joined[1:]]
    return spelled


_WORDS: tuple[tuple[FinishReason, tuple[str, ...]], ...] = (
    ("stop", _STOP),
    ("length", _LENGTH),
    ("tool_calls", _CALLS),
    ("content_filter", _FILTERED),
)
FINISH_REASONS: dict[str, FinishReason] = {
    spelling: reason for reason, words in _WORDS for spelling in _spellings(*words)
}
#: an answer that ends so was not finished; `other` of a gateway is a word that it does not know
FAILED = frozenset(_spellings(*_FAILED)) - {"other", "Other"}
