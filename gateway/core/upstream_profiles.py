"""Profiles of providers and engines, for open models: what each takes beside a model's family.

They apply only where `upstreamModel` names no family, since a family is more precise. A provider is
known by the host of its base URL, an engine by its usual port, and each by its name in `profile`. A
provider refuses every member that is not in its schema; an engine ignores it. An upstream that is
not known gets `generic`.

Sources, each API reference, "Chat completions": console.groq.com, docs.fireworks.ai,
docs.mistral.ai, docs.together.ai, api-docs.deepseek.com, docs.x.ai, inference-docs.cerebras.ai,
openrouter.ai/docs; docs.vllm.ai, docs.sglang.ai, the server README of llama.cpp, lmstudio.ai/docs,
docs.ollama.com ("OpenAI compatibility"). Ids of calls and the order of roles at Mistral:
mistral-common, "Tool calling and messages"; reasoning beside calls at DeepSeek: "Thinking mode";
levels of each model at xAI: "Reasoning" and "Model retirements"; members of an assistant's message
at Groq: "Create chat completion"; tools at Cerebras: "Tool calling".
"""

from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import urlsplit

from msgspec.structs import replace

from gateway.core.profile import GENERIC, PROFILES, THREE_EFFORTS, Profile

_COMMON = frozenset({"stop", "temperature", "top_p", "parallel_tool_calls"})
_PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
_LOGPROBS = frozenset({"logprobs", "top_logprobs"})
#: what providers of open models have in common
_HOSTED = Profile(
    name="hosted",
    spelling="reasoning_effort",
    efforts=THREE_EFFORTS,
    effort_default="medium",
    off_is_silent=True,
    parameters=_COMMON,
    max_tokens_member="max_tokens",
    signatures_refused=True,
    instructions_first=True,
)


def _profile_of(name: str, parameters: frozenset[str], **differences: object) -> Profile:
    return replace(_HOSTED, name=name, parameters=parameters, **differences)


_PROFILES = (
    _profile_of(
        "groq", _COMMON | {"seed"}, max_tokens_member="max_completion_tokens", stop_count_max=4,
        tools_exclude_format=True, reasoning_member="reasoning",
    ),
    _profile_of(
        "fireworks", _COMMON | _PENALTIES | _LOGPROBS | {"top_k", "n", "logit_bias", "seed"},
        stop_count_max=4,
    ),
    _profile_of(
        "mistral", _COMMON | _PENALTIES | {"n"}, spelling="none", reasoning_forced=False,
        prefill_member="prefix", call_id_length=9, answers_results=True, stream_usage_implied=True,
        message_names=False, instructions_first=False,
    ),
    _profile_of("together", _COMMON | _PENALTIES | {"top_k", "n", "seed", "logit_bias"}),
    _profile_of(
        "deepseek", frozenset({"stop", "temperature", "top_p"}) | _PENALTIES | _LOGPROBS,
        spelling="thinking", stop_count_max=16, sees_images=False, reasoning_in_history=True,
        forced_tool_stops_reasoning=True, schema_as_instruction=True, instructions_first=False,
    ),
    _profile_of(
        "xai",
        frozenset({"temperature", "top_p", "n", "seed", "parallel_tool_calls"}) | _LOGPROBS,
        max_tokens_member="max_completion_tokens", instructions_first=False,
    ),
    _profile_of(
        "cerebras", _COMMON | _LOGPROBS | {"seed"}, max_tokens_member="max_completion_tokens",
        stop_count_max=4, tools_exclude_format=True, reasoning_member="reasoning",
        tools_alike=True,
    ),
    _profile_of(
        "openrouter",
        _COMMON | _PENALTIES | _LOGPROBS | {"top_k", "seed", "logit_bias", "min_p",
                                            "repetition_penalty"},
        signatures_refused=False,
    ),
    replace(GENERIC, name="vllm"),
    replace(
        GENERIC, name="sglang",
        parameters=GENERIC.parameters
        - {"guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"},
    ),
    replace(
        GENERIC, name="llama.cpp", prefill_member=None,
        parameters=_COMMON | _PENALTIES | _LOGPROBS
        | {"top_k", "n", "seed", "logit_bias", "min_p", "chat_template_kwargs"},
    ),
    _profile_of(
        "lm-studio", _COMMON | _PENALTIES | {"top_k", "seed", "logit_bias"},
        signatures_refused=False,
    ),
    _profile_of(
        "ollama", _COMMON - {"parallel_tool_calls"} | _PENALTIES | _LOGPROBS | {"seed"},
        signatures_refused=False,
    ),
)  # fmt: skip

UPSTREAM_PROFILES = {profile.name: profile for profile in _PROFILES}
ALL_PROFILES = PROFILES | UPSTREAM_PROFILES

_XAI = UPSTREAM_PROFILES["xai"]
#: ids of xAI's models, first match wins: a model refuses a level, or any, that it does not have.
#: One that is not here has three levels, and nothing is sent where nobody asks
_XAI_MODELS = (
    ("grok-3-mini*", replace(
        _XAI, reasoning_forced=True, effort_default="low",
        efforts={**dict.fromkeys(("minimal", "low", "medium"), "low"),
                 **dict.fromkeys(("high", "xhigh", "max"), "high")},
    )),
    ("grok-4.3*", replace(_XAI, effort_off="none")),
    ("grok-4.[5-9]*", replace(_XAI, reasoning_forced=True, effort_default="high")),
    ("grok-*-non-reasoning*", replace(_XAI, spelling="none", reasoning_forced=False)),
    ("grok-[23]*", replace(_XAI, spelling="none", reasoning_forced=False)),
    ("grok-4.20-multi-agent*", _XAI),
    ("grok-4*", replace(_XAI, spelling="none", reasoning_forced=True)),
    ("grok-code*", replace(_XAI, spelling="none", reasoning_forced=True)),
    ("grok-build*", replace(_XAI, spelling="none", reasoning_forced=True)),
)  # fmt: skip

#: hosts of base URLs; a name below one is the same provider's
_BY_HOST = {
    "groq.com": "groq",
    "fireworks.ai": "fireworks",
    "mistral.ai": "mistral",
    "together.xyz": "together",
    "together.ai": "together",
    "deepseek.com": "deepseek",
    "x.ai": "xai",
    "cerebras.ai": "cerebras",
    "openrouter.ai": "openrouter",
}
_BY_PORT = {1234: "lm-studio", 11434: "ollama", 30000: "sglang"}
#: the first one of a cluster's nodes too, at which anything may listen
_NODE_PORT = 30000


def profile_of_upstream(url: str, upstream_model: str) -> Profile | None:
    """The profile of the provider or engine at a base URL; None for an unknown one."""
    name = _name_of(url)
    if name == "xai":
        known = (each for ids, each in _XAI_MODELS if fnmatchcase(upstream_model, ids))
        return next(known, _XAI)
    return None if name is None else UPSTREAM_PROFILES[name]


def _name_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    labels = host.split(".")
    for start in range(len(labels) - 1):
        name = _BY_HOST.get(".".join(labels[start:]))
        if name is not None:
            return name
    if port == _NODE_PORT and _is_of_node(host):
        return None
    return _BY_PORT.get(port or 0)


def _is_of_node(host: str) -> bool:
    """True for an address of another machine, by which a service in a cluster has no name."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return False
