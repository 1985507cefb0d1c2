"""Requests in the Gemini dialect: what is refused, and the same request in chat.

Owns the way from one to the other, so that everything behind it knows chat only. It refuses what
Google refuses: unknown members and values, tools and modes that do not fit, thinking that the model
lacks, and for 2.5 an output format beside tools. `gemini_contents` reads the turns. Sources: Gemini
API reference, "Generating content" and "Counting tokens"; Gemini API, "Thinking", "Function
calling" and "Structured output"; the wording is the API's own where it is known.
"""

import re
from collections.abc import Collection
from typing import Any

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.gemini_contents import read_contents, read_instruction

Body = dict[str, Any]

_MEMBERS = ("contents", "systemInstruction", "tools", "toolConfig", "generationConfig")
_CONFIG = (
    "candidateCount", "frequencyPenalty", "maxOutputTokens", "presencePenalty",
    "responseJsonSchema", "responseMimeType", "seed", "stopSequences", "temperature",
    "thinkingConfig", "topK", "topP",
)  # fmt: skip
_THINKING = ("includeThoughts", "thinkingBudget", "thinkingLevel")
_DECLARATION = ("name", "description", "parameters", "parametersJsonSchema")
_LEVELS = ("minimal", "low", "medium", "high")
_MODES = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}\Z")
_STOPS_MAX = 5
_GOOGLES = "gemini-"
#: Google's models that take tokens for thinking, and have no levels
_WITH_TOKENS = "gemini-2.5"
_ALWAYS_THINKING = ("gemini-2.5-pro", "gemini-3")


def read_body(model: str, stream: bool, body: Any) -> Body:
    """The request in chat. Raises `Refused`."""
    request = _object(body, "", _MEMBERS)
    chat: Body = {"model": model, "stream": stream}
    chat["messages"] = read_instruction(request.get("systemInstruction"))
    chat["messages"] += read_contents(request.get("contents"), signs=model.startswith("gemini-3"))
    config = _object(request.get("generationConfig", {}), "generation_config", _CONFIG)
    _read_tools(chat, request)
    _read_format(chat, config)
    _read_sampling(chat, config, model)
    _read_thinking(chat, config, model)
    if chat.get("tools") and chat.get("response_format") and model.startswith(_WITH_TOKENS):
        raise Refused(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )
    return chat


def read_count(model: str, body: Any) -> Body:
    """A request whose tokens are to be counted, in chat: whole, or its contents alone."""
    wanted = _object(body, "", ("contents", "generateContentRequest"))
    if ("contents" in wanted) == ("generateContentRequest" in wanted):
        raise Refused("Exactly one of contents and generate_content_request must be set.")
    if "contents" in wanted:
        return read_body(model, False, wanted)
    request = _object(wanted["generateContentRequest"], "", (*_MEMBERS, "model"))
    if request.get("model") != f"models/{model}":
        raise Refused("The model of the generate_content_request has to be that of the path.")
    return read_body(model, False, {k: v for k, v in request.items() if k != "model"})


def _object(value: Any, path: str, members: Collection[str]) -> Body:
    """The object, which has no member but these."""
    if not isinstance(value, dict):
        raise Refused(f"Invalid value at '{path}'.")
    unknown = sorted(value.keys() - set(members))
    if unknown:
        at = f" at '{path}'" if path else ""
        raise Refused(
            f'Invalid JSON payload received. Unknown name "{unknown[0]}"{at}: Cannot find field.'
        )
    return value


def _read_tools(chat: Body, request: Body) -> None:
    names: list[str] = []
    for tool in request.get("tools", ()):
        declared = _object(tool, "tools[0]", ("functionDeclarations",)).get("functionDeclarations")
        for one in declared or ():
            function = _object(one, "tools[0].function_declarations", _DECLARATION)
            name = function.get("name")
            if not isinstance(name, str) or not _NAME.match(name):
                raise Refused(
                    "GenerateContentRequest.tools[0].function_declarations[0].name: Invalid "
                    "function name. Must start with a letter or an underscore."
                )
            if name in names:
                raise Refused(f"Duplicate function declaration found: {name}")
            if "parameters" in function and "parametersJsonSchema" in function:
                raise Refused("Only one of parameters and parameters_json_schema may be set.")
            names.append(name)
            schema = function.get("parametersJsonSchema", {"type": "object", "properties": {}})
            if not schema.get("properties") and "parametersJsonSchema" in function:
                raise Refused(f"{name}.parameters.properties: should be non-empty for OBJECT type")
            made = {"name": name, "parameters": schema}
            chat.setdefault("tools", []).append({"type": "function", "function": made})
    if "toolConfig" in request:
        _read_choice(chat, request["toolConfig"], names)


def _read_choice(chat: Body, config: Any, names: list[str]) -> None:
    calling = _object(config, "tool_config", ("functionCallingConfig",))["functionCallingConfig"]
    calling = _object(calling, "function_calling_config", ("mode", "allowedFunctionNames"))
    mode, allowed = calling.get("mode"), calling.get("allowedFunctionNames", [])
    if mode not in _MODES:
        raise Refused(f"Invalid value at 'tool_config.function_calling_config.mode', \"{mode}\"")
    if not names:
        raise Refused("Function calling config is set without function_declarations.")
    if allowed and mode not in ("ANY", "VALIDATED"):
        raise Refused(
            "Allowed function names should be set only when the mode is ANY or VALIDATED."
        )
    if set(allowed) - set(names):
        raise Refused("allowed_function_names should be a subset of the function_declarations.")
    if mode == "ANY" and len(allowed) == 1:
        chat["tool_choice"] = {"type": "function", "function": {"name": allowed[0]}}
    else:
        chat["tool_choice"] = _MODES[mode]


def _read_format(chat: Body, config: Body) -> None:
    kind, schema = config.get("responseMimeType"), config.get("responseJsonSchema")
    if kind not in (None, "text/plain", "application/json"):
        raise Refused("GenerateContentRequest.generation_config.response_mime_type: not allowed")
    if schema is not None and kind != "application/json":
        raise Refused(
            "GenerateContentRequest.generation_config.response_mime_type: a response schema is "
            "supported with application/json only"
        )
    if schema is not None:
        named = {"name": "response", "schema": schema}
        chat["response_format"] = {"type": "json_schema", "json_schema": named}
    elif kind == "application/json":
        chat["response_format"] = {"type": "json_object"}


def _read_sampling(chat: Body, config: Body, model: str) -> None:
    stops = config.get("stopSequences", [])
    if not isinstance(stops, list) or len(stops) > _STOPS_MAX:
        raise Refused(f"The number of stop_sequences must be from 0 to {_STOPS_MAX}.")
    if stops:
        chat["stop"] = stops
    cap = config.get("maxOutputTokens")
    if cap is not None and (type(cap) is not int or cap < 1):
        raise Refused("max_output_tokens must be positive.")
    if cap is not None:
        chat["max_completion_tokens"] = cap
    temperature = config.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        raise Refused("temperature must be in the range [0.0, 2.0].")
    if config.get("candidateCount", 1) != 1:
        raise Refused("Only one candidate can be specified.")
    if model.startswith(_GOOGLES) and config.keys() & {"presencePenalty", "frequencyPenalty"}:
        raise Refused(f"Penalty is not enabled for models/{model}")


def _read_thinking(chat: Body, config: Body, model: str) -> None:
    """Google's models think unless it is switched off, which only 2.5 without Pro allows."""
    given = config.get("thinkingConfig", {})
    thinking = _object(given, "generation_config.thinking_config", _THINKING)
    tokens, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if tokens is not None and level is not None:
        raise Refused("You can only set only one of thinking budget and thinking level.")
    if tokens is not None and (type(tokens) is not int or not -1 <= tokens <= 32_768):
        raise Refused("The thinking budget is invalid. Please choose a value between 0 and 32768.")
    if level is not None and level not in _LEVELS:
        raise Refused(f"Invalid value at 'thinking_level', \"{level}\"")
    if level is not None and model.startswith(_WITH_TOKENS):
        raise Refused("Thinking level is not supported for this model.")
    if tokens == 0 and model.startswith(_ALWAYS_THINKING):
        raise Refused("Budget 0 is invalid. This model only works in thinking mode.")
    is_googles = model.startswith(_GOOGLES)
    thinks = tokens != 0 if is_googles else bool(thinking.get("includeThoughts"))
    chat["thinking"] = {"type": "enabled" if thinks else "disabled"}
    if thinking.get("includeThoughts"):
        chat["include"] = ["thoughts"]
