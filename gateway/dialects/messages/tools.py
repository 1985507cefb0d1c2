"""Tools and the choice among them, from the wire to the internal request.

Owns what happens to tools that only Anthropic's servers can run: refused where the request is
about nothing else, left out and named otherwise. Must never let such a request pass in silence, for
the model would invent the results. Source: Anthropic API reference, "Messages", `tools`.
"""

from collections.abc import Sequence

import msgspec

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import Tool, ToolChoice
from gateway.dialects.inline import shown_kind
from gateway.dialects.messages.client_tools import client_tool
from gateway.dialects.messages.types import MessagesTool, ToolChoiceParam


def read_tools(
    params: Sequence[MessagesTool], choice: ToolChoiceParam | None, degraded: list[str]
) -> tuple[Tool, ...]:
    """The functions a model may call.

    A later definition replaces an earlier one of the same name, as the one found by a tool search
    replaces its placeholder. Raises `UnsupportedParameter` when a tool that cannot be served is
    the only kind given, or the one that `choice` forces.
    """
    tools: dict[str, Tool] = {}
    unserved: list[int] = []
    for index, param in enumerate(params):
        tool = read_tool(param)
        if tool is None:
            unserved.append(index)
        elif not tool.name:
            raise InvalidRequest(f"tools.{index}.name: Field required", param=f"tools.{index}.name")
        else:
            tools[tool.name] = tool
    forced = choice.name if choice is not None and choice.type == "tool" else None
    for index in unserved:
        if not tools or (forced is not None and params[index].name == forced):
            raise UnsupportedParameter(
                f"tools.{index}: {params[index].type} is not supported by this model",
                param=f"tools.{index}",
            )
        degraded.append(f"tools.{shown_kind(params[index].type or '')}")
    return tuple(tools.values())


def read_tool(param: MessagesTool) -> Tool | None:
    """The function behind one tool, or None for a tool that only Anthropic's servers can run."""
    if param.type in (None, "custom"):
        return Tool(param.name or "", param.description, param.input_schema, param.strict)
    known = client_tool(param.type)
    if known is None or not param.name:
        return known
    return msgspec.structs.replace(known, name=param.name)


def read_choice(choice: ToolChoiceParam, tools: Sequence[Tool]) -> ToolChoice | None:
    """The tool that must be called, if any; raises `InvalidRequest` for one that is not there."""
    match choice.type:
        case "auto" | "none":
            return ToolChoice(choice.type) if tools else None
        case "any" if tools:
            return ToolChoice("required")
        case "tool" if any(tool.name == choice.name for tool in tools):
            return ToolChoice("named", choice.name)
        case "any" | "tool":
            raise InvalidRequest(
                f"tool_choice: Tool '{choice.name or 'any'}' not found in provided tools",
                param="tool_choice",
            )
    raise InvalidRequest(
        "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'",
        param="tool_choice.type",
    )
