"""Chat as strict providers read it: what each refuses of a request.

The simulated upstream judges Moonshot's models. This judges the others, with what it knows of
messages: roles, empty texts, calls and their results. Sources: OpenAI API reference, "Create chat
completion", and "Function calling"; the chat template of Qwen3.5; the references in
`test_provider_requests`; Mistral's mistral-common, "Tool calling and messages"; DeepSeek, "Thinking
mode", "Tool calls".
"""

import re
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from gateway.core.profile import Profile
from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.families import GENERIC, MODELS
from gateway.upstream.simulated.history_rules import check_messages
from tests.dialects.chat.test_provider_requests import REFERENCES

Object = dict[str, Any]

_EVERYONE = {"model", "messages", "stream", "stream_options", "tools", "tool_choice",
             "response_format"}  # fmt: skip
_OPENAIS = _EVERYONE | {"max_completion_tokens", "parallel_tool_calls", "prompt_cache_key",
                        "safety_identifier"}  # fmt: skip
_MEMBERS = {
    **REFERENCES,
    "gpt-4": _OPENAIS | {"temperature", "top_p", "stop", "n", "seed", "logit_bias", "logprobs",
                         "top_logprobs", "presence_penalty", "frequency_penalty"},
    "gpt-5": _OPENAIS | {"reasoning_effort"},
    "gpt-5.1": _OPENAIS | {"reasoning_effort"},
    "claude": _EVERYONE | {"max_completion_tokens", "thinking", "stop", "temperature", "top_p",
                           "parallel_tool_calls"},
    "gemini-2.5": _EVERYONE | {"max_completion_tokens", "reasoning_effort", "stop", "temperature",
                               "top_p"},
}  # fmt: skip
_MEMBERS |= dict.fromkeys(("gemini-2.5-pro", "gemini-3"), _MEMBERS["gemini-2.5"])
#: the longest id of a call; Mistral takes one form only
_CALL_IDS = {name: re.compile(r".{1,40}", re.DOTALL) for name in ("gpt-4", "gpt-5", "gpt-5.1")}
_CALL_IDS["mistral"] = re.compile(r"[a-zA-Z0-9]{9}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NAMES = {
    "claude": re.compile(r"[a-zA-Z0-9_-]{1,128}"),
    **dict.fromkeys(
        ("gemini-2.5", "gemini-2.5-pro", "gemini-3"), re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
    ),
}
#: no choice and no union at the root of a tool's schema
_PLAIN_ROOT = {"gpt-4", "gpt-5", "gpt-5.1", "claude"}
_COMBINED = {"anyOf", "oneOf", "allOf", "enum", "not"}
_IMAGE_DETAIL = {"gpt-4", "gpt-5", "gpt-5.1", "generic", "vllm", "sglang", "llama.cpp"}
_NAMED_REASONING = {"groq", "cerebras"}
_BLIND = {"kimi-k2-thinking", "deepseek"}


def check_chat(body: Object, profile: Profile, thinking: bool) -> None:
    """Refuse what the provider of that profile refuses. Raises `Refused`."""
    name = profile.name
    if (known := _MEMBERS.get(name)) and (unknown := body.keys() - known):
        raise Refused(f"unknown members: {sorted(unknown)}")
    strict = replace(MODELS.get(name, GENERIC), sees_images=name not in _BLIND)
    if name == "deepseek":
        strict = replace(strict, wants_reasoning_back=True)
    check_messages(body["messages"], strict, thinking=thinking)
    if profile.instructions_first and any(one["role"] == "system" for one in body["messages"][1:]):
        raise Refused("System message must be at the beginning.")
    _check_images(body["messages"], name)
    _check_calls(body["messages"], name)
    if not name.startswith("kimi-"):
        _check_names(body, _NAMES.get(name, _NAME))
    if name in _NAMED_REASONING and any("reasoning_content" in one for one in body["messages"]):
        raise Refused("messages.reasoning_content: property is unsupported")
    if name == "mistral":
        _check_order(body["messages"])
        if any("name" in message for message in body["messages"]):
            raise Refused("messages.name: extra inputs are not permitted")
    names = [_check_tool(tool, name) for tool in body.get("tools", ())]
    if len(set(names)) < len(names):
        raise Refused("a function is declared twice")
    stricts = {tool["function"].get("strict", False) for tool in body.get("tools", ())}
    if name == "cerebras" and len(stricts) > 1:
        raise Refused("Tools with mixed values for 'strict' are not allowed")
    _check_choice(body.get("tool_choice"), names)
    if name == "deepseek" and thinking and body.get("tool_choice") not in (None, "auto", "none"):
        raise Refused("Thinking mode does not support this tool_choice")
    _check_format(body.get("response_format"), name, bool(names))


def _check_format(format: Object | None, name: str, beside_tools: bool) -> None:
    if format is None:
        return
    if name == "deepseek" and format["type"] == "json_schema":
        raise Refused("This response_format type is unavailable now")
    if beside_tools and name in ("groq", "cerebras"):
        raise Refused("json mode cannot be combined with tool/function calling")


def _check_images(messages: list[Object], name: str) -> None:
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if "detail" in part.get("image_url", ()) and name not in _IMAGE_DETAIL:
                raise Refused("image_url.detail: extra inputs are not permitted")


def _check_calls(messages: list[Object], name: str) -> None:
    wanted = _CALL_IDS.get(name)
    for message in messages:
        ids = [call["id"] for call in message.get("tool_calls", ())]
        if len(set(ids)) < len(ids):
            raise Refused("two calls have one id")
        ids += [message["tool_call_id"]] if "tool_call_id" in message else []
        if wanted and any(not wanted.fullmatch(one) for one in ids):
            raise Refused(f"a call's id has not the form {wanted.pattern}: {ids}")


def _check_names(body: Object, takes: re.Pattern[str]) -> None:
    calls = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
    for one in [*body.get("tools", ()), *calls]:
        if not takes.fullmatch(one["function"]["name"]):
            raise Refused(f"a name is not of the form {takes.pattern}")


def _check_order(messages: list[Object]) -> None:
    """Mistral: an assistant's message stands between results and the next message of the user."""
    roles = [message["role"] for message in messages]
    for before, role in pairwise(roles):
        if before == "tool" and role in ("user", "system"):
            raise Refused(f"Unexpected role '{role}' after role 'tool'")


def _check_tool(tool: Object, name: str) -> str:
    function = tool["function"]
    schema = function.get("parameters")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise Refused(f"schema of '{function['name']}' must have type 'object'")
    if not isinstance(schema.get("properties"), dict) and "anyOf" not in schema:
        raise Refused("object schema missing properties")
    if name in _PLAIN_ROOT and schema.keys() & _COMBINED:
        raise Refused("schema must not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level")
    if name.startswith("gpt-") and any(map(_lacks_items, schema["properties"].values())):
        raise Refused("array schema missing items")
    named: str = function["name"]
    return named


def _lacks_items(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "array" and "items" not in schema


def _check_choice(choice: Any, names: list[str]) -> None:
    if choice is None:
        return
    if not names:
        raise Refused("tool_choice is only allowed when tools are specified")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        raise Refused("tool_choice names a function that is not in tools")
