"""The simulated upstream's refusals, by family, before it looks at any directive.

`check_shape` holds for everyone; `check_request` for the strict families only. Stricter than the
real API on one point: a parameter outside Moonshot's schema (`seed`, `store`, `metadata`, …) is
refused where Moonshot may ignore it, so that a test sees what a gateway forgot to drop.
"""

import re
from typing import Any

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.families import Family
from gateway.upstream.simulated.history_rules import check_messages
from gateway.upstream.simulated.schema import check_schema

Body = dict[str, Any]

_PARAMETERS = frozenset({
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "temperature", "top_p", "n", "presence_penalty", "frequency_penalty", "stop", "tools",
    "tool_choice", "response_format", "thinking", "reasoning_effort", "prompt_cache_key",
    "safety_identifier",
})  # fmt: skip
_COUNTS = ("max_completion_tokens", "max_tokens", "n")
_NUMBERS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_STOP_COUNT_MAX = 5
_STOP_BYTES_MAX = 32
_CHOICES_MAX = 16
_TOOL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9-_]{0,127}\Z")
_OPENAI_MODELS = ("gpt-", "o3", "o4")
_OPENAI_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")


def check_shape(body: Any) -> None:
    """Refuse what no engine can read: what the rest of this package relies on."""
    if not isinstance(body, dict):
        raise Refused("Invalid request: the body must be a JSON object")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refused("Invalid request: model must not be empty")
    _check_message_shape(body.get("messages"))
    _check_tool_shape(body.get("tools") or [])
    if body["model"].startswith(_OPENAI_MODELS):
        _check_openai_names(body)
    if not isinstance(body.get("stop") or [], str | list):
        raise Refused("Invalid request: stop must be a string or a list")
    for member in _COUNTS:
        value = body.get(member)
        if value is not None and (type(value) is not int or value < 1):
            raise Refused(f"invalid {member}: must be a positive integer")
    for member in _NUMBERS:
        if type(body.get(member)) not in (int, float, type(None)):
            raise Refused(f"invalid {member}: must be a number")
    if (body.get("n") or 1) > _CHOICES_MAX:
        raise Refused(f"invalid n: at most {_CHOICES_MAX}")


def _check_message_shape(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("Invalid request: messages must not be empty")
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refused("Invalid request: a message must be an object with a role")
        if not isinstance(message.get("tool_calls") or [], list):
            raise Refused("Invalid request: tool_calls must be a list")


def _check_tool_shape(tools: Any) -> None:
    for tool in tools if isinstance(tools, list) else [tools]:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise Refused("Invalid request: a tool must have a function with a name")


def _check_openai_names(body: Body) -> None:
    """OpenAI's models take names of at most 64 letters, digits, "_" and "-", in a history too."""
    calls = [call for message in body["messages"] for call in message.get("tool_calls") or ()]
    for named in [*(body.get("tools") or ()), *calls]:
        function = named.get("function") if isinstance(named, dict) else None
        name = str(function.get("name")) if isinstance(function, dict) else ""
        if not _OPENAI_NAME.match(name):
            raise Refused(
                f"Invalid 'function.name': '{name[:64]}' does not match '^[a-zA-Z0-9_-]{{1,64}}$'."
            )


def check_request(body: Body, family: Family, *, thinking: bool, prompt_tokens: int) -> None:
    """Refuse what a strict family refuses. Raises `Refused`."""
    _check_parameters(body, family)
    _check_thinking(body, family)
    _check_sampling(body, family, thinking=thinking)
    _check_length(body, family, prompt_tokens)
    _check_stop(body.get("stop"))
    _check_tools(body.get("tools") or [])
    _check_tool_choice(body, family, thinking=thinking)
    _check_format(body.get("response_format"))
    check_messages(body["messages"], family, thinking=thinking)


def _check_parameters(body: Body, family: Family) -> None:
    unknown = sorted(body.keys() - _PARAMETERS)
    if not family.takes_effort and "reasoning_effort" in body:
        unknown.append("reasoning_effort")
    if unknown:
        raise Refused(f"Invalid request: unknown parameter: {', '.join(unknown)}")
    options = body.get("stream_options")
    if options is not None:
        if not body.get("stream"):
            raise Refused("Invalid request: stream_options is only allowed when stream is true")
        if not isinstance(options, dict) or options.keys() - {"include_usage"}:
            raise Refused("Invalid request: stream_options takes include_usage only")


def _check_thinking(body: Body, family: Family) -> None:
    if "thinking" not in body:
        return
    thinking = body["thinking"]
    if not isinstance(thinking, dict) or thinking.get("type") not in ("enabled", "disabled"):
        raise Refused("invalid thinking: type must be 'enabled' or 'disabled'")
    extra = thinking.keys() - ({"type", "keep"} if family.takes_keep else {"type"})
    if extra:
        raise Refused(
            f"invalid thinking: additional property not allowed: {', '.join(sorted(extra))}"
        )
    if thinking.get("keep") not in (None, "all"):
        raise Refused("invalid thinking: keep must be null or 'all'")
    if family.thinking == "always" and thinking["type"] == "disabled":
        raise Refused("invalid thinking: only type=enabled is allowed for this model")


def _check_sampling(body: Body, family: Family, *, thinking: bool) -> None:
    fixed = dict(family.fixed)
    if family.temperatures is not None:
        fixed["temperature"] = family.temperatures[0 if thinking else 1]
    for name, allowed in fixed.items():
        value = body.get(name)
        if value is not None and value != allowed:
            raise Refused(f"invalid {name}: only {allowed:g} is allowed for this model")
    if (body.get("n") or 1) > 1 and (body.get("temperature") or 1) < 0.3:
        raise Refused("invalid n: only 1 is allowed when temperature is close to 0")


def _check_length(body: Body, family: Family, prompt_tokens: int) -> None:
    if prompt_tokens > family.context_tokens:
        raise Refused("Invalid request: Input token length too long")
    cap = output_cap(body)
    if cap is not None and prompt_tokens + cap > family.context_tokens:
        raise Refused(
            "Invalid request: Your request exceeded model token limit: "
            f"{family.context_tokens} (requested: {prompt_tokens + cap})"
        )


def output_cap(body: Body) -> int | None:
    """The most tokens the answer may have, reasoning included; None without a cap."""
    cap: int | None = body.get("max_completion_tokens") or body.get("max_tokens")
    return cap


def _check_stop(stop: Any) -> None:
    stops = [stop] if isinstance(stop, str) else stop or []
    if len(stops) > _STOP_COUNT_MAX:
        raise Refused(f"invalid stop: at most {_STOP_COUNT_MAX} strings are allowed")
    for one in stops:
        if not isinstance(one, str) or len(one.encode()) > _STOP_BYTES_MAX:
            raise Refused(f"invalid stop: a string may have at most {_STOP_BYTES_MAX} bytes")


def _check_tools(tools: list[Body]) -> None:
    names: set[str] = set()
    for tool in tools:
        function = tool["function"]
        name: str = function["name"]
        if tool.get("type") == "builtin_function" and name.startswith("$"):
            continue
        if tool.get("type") != "function":
            raise Refused(f"Invalid request: unsupported tool type: {tool.get('type')}")
        if not _TOOL_NAME.match(name):
            raise Refused(
                "Invalid request: function name is invalid, must start with a letter and can "
                "contain letters, numbers, underscores, and dashes"
            )
        if name in names:
            raise Refused(f"Invalid request: function name {name} is duplicated")
        names.add(name)
        if function.get("parameters") is not None:
            check_schema(function["parameters"], "tools.function.parameters")


def _check_tool_choice(body: Body, family: Family, *, thinking: bool) -> None:
    choice = body.get("tool_choice")
    if choice in (None, "auto", "none"):
        return
    function = choice.get("function") if isinstance(choice, dict) else None
    named = function.get("name") if isinstance(function, dict) else None
    if choice != "required" and named is None:
        raise Refused("Invalid request: unsupported tool_choice")
    if thinking and family.forcing_stops_thinking:
        kind = "required" if choice == "required" else "specified"
        raise Refused(f"tool_choice '{kind}' is incompatible with thinking enabled")
    names = [tool["function"]["name"] for tool in body.get("tools") or ()]
    if not names or (named is not None and named not in names and not family.ignores_named_tool):
        raise Refused("Invalid request: tool_choice names a function that is not in tools")


def _check_format(response_format: Any) -> None:
    if response_format is None:
        return
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise Refused(f"Invalid request: unsupported response_format type: {kind}")
    if kind == "json_schema":
        wanted = response_format.get("json_schema")
        if not isinstance(wanted, dict) or not wanted.get("name") or "schema" not in wanted:
            raise Refused("Invalid request: response_format.json_schema needs a name and a schema")
        check_schema(wanted["schema"], "response_format.json_schema.schema")
