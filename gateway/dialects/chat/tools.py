"""Tools and the choice among them: in the current form, in the flat ones of the Responses and the
Messages API that Cursor sends, and in the one of 2023 (`functions`)."""

from typing import Any, Literal

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import Tool, ToolChoice
from gateway.dialects.chat.types import (
    AllowedTools,
    ChatBody,
    ChatTool,
    Choice,
    FunctionTool,
    Named,
)
from gateway.dialects.inline import shown_kind

_CUSTOM = "custom"
_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}


def read_tools(body: ChatBody[Any], degraded: list[str]) -> tuple[Tool, ...]:
    """Every function on offer; tools of other kinds are left out and named in `degraded`.

    Raises `UnsupportedParameter` where those are the only ones, and a provider's to run: custom
    ones are the client's, which can do without.
    """
    tools = []
    unserved: list[tuple[int, str]] = []
    for index, tool in enumerate(body.tools or ()):
        if tool.type != "function" and tool.input_schema is None:
            unserved.append((index, tool.type))
            continue
        function = tool.function
        if function is None and tool.name is not None:
            function = _flat(tool, tool.name)
        if function is None:
            path = f"tools.{index}.function"
            raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
        tools.append(_tool(function))
    tools += [_tool(function) for function in body.functions or ()]
    for index, kind in unserved:
        if not tools and kind != _CUSTOM:
            raise UnsupportedParameter(
                f"Tools of type '{kind[:64]}' are not supported; use 'function'.",
                param=f"tools.{index}.type",
            )
        degraded.append(f"tools.{shown_kind(kind)}")
    return tuple(tools)


def _flat(tool: ChatTool, name: str) -> FunctionTool:
    given = tool.input_schema if tool.parameters is None else tool.parameters
    return FunctionTool(name, tool.description, given, tool.strict)


def _tool(function: FunctionTool) -> Tool:
    return Tool(function.name, function.description, function.parameters, function.strict)


def read_choice(
    body: ChatBody[Any], tools: tuple[Tool, ...]
) -> tuple[ToolChoice | None, tuple[Tool, ...]]:
    """The choice, and the tools that are left to choose from (`allowed_tools` filters them)."""
    wanted = body.tool_choice
    if wanted is None:
        return _read_legacy(body.function_call), tools
    if isinstance(wanted, str):
        return _mode(wanted, "tool_choice"), tools
    if wanted.type == "allowed_tools":
        return _read_allowed(wanted.allowed_tools or AllowedTools(wanted.mode, wanted.tools), tools)
    if wanted.type in _MODES:
        return _mode(wanted.type, "tool_choice"), tools
    return _read_named(wanted), tools


def _read_legacy(call: str | Named | None) -> ToolChoice | None:
    if call is None:
        return None
    if isinstance(call, Named):
        return ToolChoice("named", call.name)
    return _mode(call, "function_call")


def _mode(wanted: str, param: str) -> ToolChoice:
    mode = _MODES.get(wanted)
    if mode is None:
        raise InvalidRequest(
            f"Invalid value for '{param}': use auto, none, required or name a function.",
            param=param,
        )
    return ToolChoice(mode)


def _read_named(wanted: Choice) -> ToolChoice:
    if wanted.type not in ("function", "tool"):
        raise UnsupportedParameter(
            f"A tool choice of type '{wanted.type[:64]}' is not supported; use 'function'.",
            param="tool_choice.type",
        )
    name = wanted.name if wanted.function is None else wanted.function.name
    if name is None:
        path = "tool_choice.function"
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    return ToolChoice("named", name)


def _read_allowed(
    allowed: AllowedTools, tools: tuple[Tool, ...]
) -> tuple[ToolChoice, tuple[Tool, ...]]:
    given = (each.name if each.function is None else each.function.name for each in allowed.tools)
    names = {name for name in given if name is not None}
    left = tuple(tool for tool in tools if tool.name in names)
    if len(left) < len(names):
        raise InvalidRequest(
            "Every allowed tool must be among the tools.", param="tool_choice.allowed_tools.tools"
        )
    return _mode(allowed.mode, "tool_choice.allowed_tools.mode"), left
