"""Requests in the Responses dialect: what is refused, and the same request in chat.

Owns the way from one to the other, so that everything behind it knows chat only. It refuses what
OpenAI, Moonshot's endpoint or vLLM refuses: unknown members, items and parts, a request to store, a
strict tool whose schema is not strict. OpenAI's models also refuse sampling parameters and levels
that they lack, Moonshot's refuse forced tools, free JSON and requests without reasoning. Other
refusals of a strict family are in `rules`. Sources: OpenAI API reference, "Create a model
response"; Moonshot, "Responses"; vLLM, "Responses API".
"""

from typing import Any

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.responses_items import read_items

Body = dict[str, Any]

_MEMBERS = frozenset({
    "model", "input", "instructions", "stream", "store", "tools", "tool_choice",
    "parallel_tool_calls", "text", "reasoning", "include", "max_output_tokens", "prompt_cache_key",
    "safety_identifier",
})  # fmt: skip
_SAMPLING = ("temperature", "top_p")
_MOONSHOT = "kimi-"
_OPENAI = ("gpt-", "o3", "o4")
_WITHOUT_REASONING = "gpt-4"
_TOOL_MEMBERS = frozenset({"type", "name", "description", "parameters", "strict"})
_COMBINED = frozenset({"oneOf", "anyOf", "allOf", "enum", "not"})
_CAP_MIN = 16
_SEALED = "reasoning.encrypted_content"


def is_openais(model: str) -> bool:
    """True for one of OpenAI's models."""
    return model.startswith(_OPENAI)


def seals(model: str) -> bool:
    """True if it reasons as OpenAI's models do, and seals its reasoning."""
    return is_openais(model) and not model.startswith(_WITHOUT_REASONING)


def is_an_engines(model: str) -> bool:
    """True if an engine such as vLLM serves it, which shows its reasoning as it is."""
    return not is_openais(model) and not model.startswith(_MOONSHOT)


def read_body(body: Any) -> Body:
    """The request in chat. Raises `Refused`."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str) or not body["model"]:
        raise Refused("Missing required parameter: 'model'.")
    model: str = body["model"]
    known = _MEMBERS if seals(model) else _MEMBERS | set(_SAMPLING)
    known = known | {"chat_template_kwargs"} if is_an_engines(model) else known
    unknown = sorted(body.keys() - known)
    if unknown:
        raise Refused(f"Unsupported parameter: '{unknown[0]}' is not supported with this model.")
    if body.get("store") is not False:
        raise Refused("store: nothing is stored here, so it must be false")
    messages = read_items(body.get("input"), is_openais=is_openais(model))
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    chat: Body = {"model": model, "messages": messages}
    if body.get("stream"):
        chat["stream"] = True
    chat |= {name: body[name] for name in (*_SAMPLING, "chat_template_kwargs") if name in body}
    _read_cap(chat, body)
    _read_tools(chat, body)
    _read_format(chat, body)
    _read_reasoning(chat, body)
    return chat


def _read_cap(chat: Body, body: Body) -> None:
    if (cap := body.get("max_output_tokens")) is None:
        return
    if type(cap) is not int or cap < (_CAP_MIN if is_openais(body["model"]) else 1):
        raise Refused("Invalid 'max_output_tokens': integer below minimum value.")
    chat["max_completion_tokens"] = cap


def _read_tools(chat: Body, body: Body) -> None:
    for index, tool in enumerate(body.get("tools") or []):
        path = f"tools[{index}]"
        if not isinstance(tool, dict) or tool.get("type") != "function" or not tool.get("name"):
            raise Refused(f"Missing required parameter: '{path}.name'.")
        if unknown := sorted(tool.keys() - _TOOL_MEMBERS):
            raise Refused(f"Unknown parameter: '{path}.{unknown[0]}'.")
        parameters = tool.get("parameters")
        if not isinstance(parameters, dict):
            raise Refused(f"Missing required parameter: '{path}.parameters'.")
        if is_openais(body["model"]):
            _check_root(tool["name"], parameters)
        is_strict = tool.get("strict") and is_openais(body["model"])
        if is_strict and parameters.get("additionalProperties") is not False:
            raise Refused(
                f"Invalid schema for function '{tool['name']}': In context=(), "
                "'additionalProperties' is required to be supplied and to be false."
            )
        function = {"name": tool["name"], "parameters": parameters}
        chat.setdefault("tools", []).append({"type": "function", "function": function})
    choice = body.get("tool_choice")
    if choice is None:
        return
    if choice != "auto" and body["model"].startswith(_MOONSHOT):
        raise Refused("invalid tool_choice: only 'auto' is supported")
    if isinstance(choice, dict) and choice.keys() == {"type", "name"}:
        chat["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif choice in ("auto", "none", "required"):
        chat["tool_choice"] = choice
    else:
        raise Refused("Invalid value for 'tool_choice'.")


def _check_root(name: str, schema: Body) -> None:
    """OpenAI takes one object with its properties."""
    refused = f"Invalid schema for function '{name}': "
    if schema.get("type") != "object" or schema.keys() & _COMBINED:
        raise Refused(
            f"{refused}schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/"
            "'not' at the top level."
        )
    if not isinstance(schema.get("properties"), dict):
        raise Refused(f"{refused}In context=(), object schema missing properties.")


def _read_format(chat: Body, body: Body) -> None:
    text = body.get("text") or {}
    format = text.get("format") if isinstance(text, dict) else None
    if format is None:
        return
    match format.get("type"):
        case "json_schema" if format.get("name") and isinstance(format.get("schema"), dict):
            schema = {"name": format["name"], "schema": format["schema"]}
            chat["response_format"] = {"type": "json_schema", "json_schema": schema}
        case "json_object" if not body["model"].startswith(_MOONSHOT):
            chat["response_format"] = {"type": "json_object"}
        case kind:
            raise Refused(f"Invalid value: 'text.format' of type '{kind}'.")


def _read_reasoning(chat: Body, body: Body) -> None:
    """OpenAI's models reason unless it is switched off, and only the newer ones allow that."""
    model, reasoning = body["model"], body.get("reasoning") or {}
    if not isinstance(reasoning, dict) or reasoning.keys() - {"effort", "summary"}:
        raise Refused("Unknown parameter in 'reasoning'.")
    if reasoning.get("summary") not in (None, "auto", "concise", "detailed"):
        raise Refused("Invalid value for 'reasoning.summary'.")
    effort = reasoning.get("effort")
    if effort is not None and effort not in _levels(model):
        raise Refused(f"Unsupported value: 'reasoning.effort' does not support '{effort}'.")
    if seals(model):
        effort = effort or "medium"
    elif is_an_engines(model) and "summary" in reasoning:
        effort = effort or "high"
    if effort is not None:
        chat["reasoning_effort"] = effort
    include = body.get("include") or []
    if include and (include != [_SEALED] or not seals(model)):
        raise Refused("Invalid value for 'include'.")
    if include:
        chat["include"] = include


def _levels(model: str) -> tuple[str, ...]:
    if model.startswith(_MOONSHOT):
        return ("low", "high", "max")
    if model.startswith(_WITHOUT_REASONING):
        return ()
    if is_an_engines(model) or model.startswith("gpt-5."):
        return ("none", "low", "medium", "high", "xhigh")
    return ("minimal", "low", "medium", "high")
