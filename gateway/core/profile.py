"""Capability profiles: what a family of models allows, and how it spells it.

A public model name is an alias with three independent settings: the public id, the upstream's id,
and one of these profiles. Sources: Moonshot's platform documentation for the Kimi families;
Anthropic's, "Adaptive thinking", for `claude`; OpenAI's, "Reasoning models", for `gpt-5`; Google's,
"Gemini thinking" and "OpenAI compatibility", for `gemini-2.5` and `gemini-3`; the chat templates of
the open weights for `generic` (vLLM, SGLang, Ollama).
"""

import re
from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

#: the switch of reasoning in chat: the closed `thinking` object, an effort level, a template
#: argument, Anthropic's adaptive thinking, or none. Messages has its own `thinking`.
ThinkingSpelling = Literal[
    "thinking", "reasoning_effort", "chat_template_kwargs", "adaptive", "none"
]
#: names of tools as nearly all providers take them
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
#: the member of `chat_template_kwargs` that some templates reason by
TEMPLATE_EFFORT = "reasoning_effort"


class Profile(Struct, frozen=True, kw_only=True):
    """One family. Parameters not named in `parameters` are dropped and reported as degraded."""

    name: str
    spelling: ThinkingSpelling
    #: the state of reasoning for every request; None where the client can switch it
    reasoning_forced: bool | None = None
    #: client effort -> upstream effort, where the family has levels
    efforts: dict[str, str] = {}
    #: sent where the client names no effort, or one the family does not know
    effort_default: str = "max"
    #: the level that is no reasoning; without one, chat sends `thinking` disabled
    effort_off: str | None = None
    #: nothing is sent where the model is not to reason: it may not know the member
    off_is_silent: bool = False
    #: upstream effort -> tokens for thinking, where the family's own dialect has no levels
    effort_tokens: dict[str, int] = {}
    #: request members the family takes, beyond those that every one takes: model, messages,
    #: stream, stream_options, tools, tool_choice, response_format and the cap on output tokens
    parameters: frozenset[str]
    #: members that may only have a fixed value; never sent
    fixed: frozenset[str] = frozenset()
    max_tokens_member: Literal["max_tokens", "max_completion_tokens", "max_output_tokens"] = (
        "max_completion_tokens"
    )
    #: the least cap on output tokens that is taken in Responses; a lower one is raised to it
    output_tokens_min: int = 1
    #: a forced tool is refused while reasoning is on, so reasoning is switched off for that turn
    forced_tool_stops_reasoning: bool = False
    #: no forcing at all: a forced tool becomes a system message (reasoning cannot be switched off)
    forced_tool_refused: bool = False
    #: a named function is ignored: offer that tool alone and require it
    named_tool_ignored: bool = False
    #: every assistant message with tool calls must carry its reasoning while reasoning is on
    reasoning_in_history: bool = False
    #: reasoning comes back signed, and without its signature it must not be sent again
    reasoning_signed: bool = False
    #: signatures that a client of chat brings back are members that nobody knows here
    signatures_refused: bool = False
    #: a client's body in this dialect may go as it is to an upstream that speaks it
    takes_whole: Literal["messages", "responses"] | None = None
    #: names of tools that are taken; others are cut, and put back in the answer
    tool_name: re.Pattern[str] = _TOOL_NAME
    #: the longest id of a call that chat takes
    call_id_length_max: int | None = None
    #: an id of a call is just so many letters and digits in chat
    call_id_length: int | None = None
    #: the model answers the results of its calls before anyone else speaks
    answers_results: bool = False
    reasoning_member: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    #: tool schemas are restricted to Moonshot's subset of JSON Schema
    moonshot_schema: bool = False
    #: a tool's schema is one object: no choice and no union at its root
    plain_schema_root: bool = False
    #: each array in a tool's schema states what its items are
    arrays_need_items: bool = False
    #: the way to continue an assistant message at the end; None refuses it
    prefill_member: Literal["partial", "prefix", "continue_final_message"] | None = None
    #: instructions are one message at the beginning; templates of open models refuse any other
    instructions_first: bool = False
    #: an output format is refused beside tools, and becomes an instruction
    tools_exclude_format: bool = False
    #: an output format may be JSON, but has no schema: that becomes an instruction
    schema_as_instruction: bool = False
    #: in chat a stream has its usage unasked, and asking is refused
    stream_usage_implied: bool = False
    #: messages of chat may have a name
    message_names: bool = True
    #: all tools have one `strict`, or are refused
    tools_alike: bool = False
    stop_count_max: int | None = None
    stop_bytes_max: int | None = None
    sees_images: bool = True
    #: `image_url.detail` is a member here
    takes_image_detail: bool = False


#: what chat has for sampling, its end and its calls
_SAMPLING = frozenset({
    "stop", "temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "seed",
    "logit_bias", "logprobs", "top_logprobs", "parallel_tool_calls",
})  # fmt: skip


#: a client's levels of effort where a family has three
THREE_EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_WITH_MAX = {**THREE_EFFORTS, "xhigh": "max", "max": "max"}

_KIMI = Profile(
    name="kimi",
    spelling="thinking",
    parameters=frozenset({"stop", "prompt_cache_key", "safety_identifier"}),
    fixed=frozenset({"temperature", "top_p", "n", "presence_penalty", "frequency_penalty"}),
    moonshot_schema=True,
    tool_name=re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,127}"),
    prefill_member="partial",
    stop_count_max=5,
    stop_bytes_max=32,
)
KIMI_K2_5 = replace(
    _KIMI, name="kimi-k2.5", forced_tool_stops_reasoning=True, reasoning_in_history=True
)
KIMI_K2_6 = replace(KIMI_K2_5, name="kimi-k2.6")
KIMI_K2_7_CODE = replace(
    _KIMI,
    name="kimi-k2.7-code",
    reasoning_forced=True,
    forced_tool_refused=True,
    reasoning_in_history=True,
)
KIMI_K3 = replace(
    _KIMI,
    name="kimi-k3",
    spelling="reasoning_effort",
    efforts={**_WITH_MAX, "medium": "high"},
    named_tool_ignored=True,
)
KIMI_K2_THINKING = replace(
    KIMI_K2_7_CODE,
    name="kimi-k2-thinking",
    spelling="none",
    fixed=frozenset({"n"}),
    parameters=_KIMI.parameters | _KIMI.fixed - {"n"},
    sees_images=False,
)

GENERIC = Profile(
    name="generic",
    spelling="chat_template_kwargs",
    parameters=_SAMPLING
    | {
        "top_k",
        "chat_template_kwargs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "structured_outputs",
        "min_p",
        "min_tokens",
        "repetition_penalty",
    },
    takes_image_detail=True,
    max_tokens_member="max_tokens",
    prefill_member="continue_final_message",
    instructions_first=True,
)

#: Anthropic's models with adaptive thinking, at an upstream that speaks Messages
CLAUDE = Profile(
    name="claude",
    spelling="adaptive",
    efforts=_WITH_MAX,
    parameters=frozenset({"stop", "temperature", "top_p", "top_k", "parallel_tool_calls"}),
    forced_tool_stops_reasoning=True,
    reasoning_signed=True,
    takes_whole="messages",
    tool_name=re.compile(r"[a-zA-Z0-9_-]{1,128}"),
    plain_schema_root=True,
)


_OPENAI = Profile(
    name="openai",
    spelling="reasoning_effort",
    efforts=THREE_EFFORTS,
    effort_default="medium",
    parameters=frozenset({"parallel_tool_calls", "prompt_cache_key", "safety_identifier"}),
    reasoning_signed=True,
    signatures_refused=True,
    takes_whole="responses",
    call_id_length_max=40,
    plain_schema_root=True,
    arrays_need_items=True,
    takes_image_detail=True,
    output_tokens_min=16,
)
#: OpenAI's models that do not reason
GPT_4 = replace(
    _OPENAI,
    name="gpt-4",
    spelling="none",
    reasoning_forced=False,
    efforts={},
    reasoning_signed=False,
    takes_whole=None,
    parameters=_SAMPLING | {"prompt_cache_key", "safety_identifier"},
    stop_count_max=4,
)
#: OpenAI's first reasoning models, which cannot do without
GPT_5 = replace(_OPENAI, name="gpt-5", reasoning_forced=True)
GPT_5_1 = replace(_OPENAI, name="gpt-5.1", effort_off="none")
#: those before them, which refuse what GPT-5 takes
_O_SERIES = replace(GPT_5, parameters=GPT_5.parameters - {"parallel_tool_calls"})


_GEMINI = Profile(
    name="gemini",
    spelling="reasoning_effort",
    efforts=THREE_EFFORTS,
    effort_default="high",
    parameters=frozenset({"stop", "temperature", "top_p", "top_k", "seed"}),
    stop_count_max=5,
    tool_name=re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}"),
)
GEMINI_2_5 = replace(
    _GEMINI,
    name="gemini-2.5",
    effort_off="none",
    effort_tokens={"low": 1024, "medium": 8192, "high": 24576},
    tools_exclude_format=True,
)
#: those before them, which never think
_GEMINI_BEFORE = replace(
    GEMINI_2_5, spelling="none", reasoning_forced=False, efforts={}, effort_tokens={}
)
GEMINI_2_5_PRO = replace(GEMINI_2_5, name="gemini-2.5-pro", effort_off=None, reasoning_forced=True)
#: not even the lowest level is without thinking
GEMINI_3 = replace(_GEMINI, name="gemini-3", reasoning_forced=True, reasoning_signed=True)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        KIMI_K2_5,
        KIMI_K2_6,
        KIMI_K2_7_CODE,
        KIMI_K3,
        KIMI_K2_THINKING,
        CLAUDE,
        GPT_4,
        GPT_5,
        GPT_5_1,
        GEMINI_2_5,
        GEMINI_2_5_PRO,
        GEMINI_3,
        GENERIC,
    )
}

#: upstream model id patterns, first match wins
_BY_UPSTREAM_MODEL = (
    ("kimi-k2.5*", KIMI_K2_5),
    ("kimi-k2.6*", KIMI_K2_6),
    ("kimi-k2.7-code*", KIMI_K2_7_CODE),
    ("kimi-k2-thinking*", KIMI_K2_THINKING),
    ("kimi-k3*", KIMI_K3),
    ("claude-*", CLAUDE),
    ("gpt-4*", GPT_4),
    ("gpt-5*-chat*", GPT_4),
    ("gpt-5.*", GPT_5_1),
    ("gpt-5*", GPT_5),
    ("o1*", _O_SERIES),
    ("o3*", _O_SERIES),
    ("o4*", _O_SERIES),
    ("gemini-1.*", _GEMINI_BEFORE),
    ("gemini-2.0*", _GEMINI_BEFORE),
    ("gemini-2.5-pro*", GEMINI_2_5_PRO),
    ("gemini-2.5*", GEMINI_2_5),
    ("gemini-*", GEMINI_3),
)


def profile_of_model(upstream_model: str) -> Profile | None:
    """The profile of the family that an upstream's model id names; None for another."""
    for pattern, profile in _BY_UPSTREAM_MODEL:
        if fnmatchcase(upstream_model, pattern):
            return profile
    return None
