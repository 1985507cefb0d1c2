"""Tools, their choice and schemas as a profile allows them."""

from typing import Any

from msgspec import Raw

from gateway.core.errors import InvalidRequest
from gateway.core.profile import Profile
from gateway.core.request import Request, Tool, ToolChoice
from gateway.dialects.adapt.array_items import complete_arrays
from gateway.dialects.adapt.schema import normalise
from gateway.dialects.adapt.schema_root import COMBINED, flatten, resolve

Object = dict[str, Any]

_ANY_PARAMETERS: Object = {"type": "object", "properties": {}}


def fit_choice(
    request: Request, profile: Profile, degraded: list[str]
) -> tuple[tuple[Tool, ...], ToolChoice | None, str | None]:
    """The tools to offer, the choice among them, and the instruction that stands in for a choice.

    Raises `InvalidRequest` for tools that cannot be offered, and for the choice of a tool that is
    not there.
    """
    choice, tools = request.tool_choice, request.tools
    if tools:
        _check_names(tools)
    if choice is None or not choice.is_forced:
        return tools, choice if tools else None, None
    if not tools:
        raise InvalidRequest("A tool is required, but no tools are given.", param="tool_choice")
    named = tuple(tool for tool in tools if tool.name == choice.name)
    if choice.mode == "named" and not named:
        raise InvalidRequest(
            f"The tool '{(choice.name or '')[:128]}' is required, but not among the tools.",
            param="tool_choice",
        )
    if profile.forced_tool_refused:
        degraded.append("tool_choice")
        wanted = f"the tool `{choice.name}`" if named else "one of the tools"
        return named or tools, None, f"Answer by calling {wanted}, and with nothing else."
    if named and profile.named_tool_ignored:
        return named, ToolChoice("required"), None
    return tools, choice, None


def _check_names(tools: tuple[Tool, ...]) -> None:
    seen: set[str] = set()
    for tool in tools:
        if tool.name in seen:
            raise InvalidRequest(f"Two tools are named '{tool.name[:128]}'.", param="tools")
        if not tool.name:
            raise InvalidRequest("A tool has no name.", param="tools")
        seen.add(tool.name)


def fit_parameters(tool: Tool, profile: Profile) -> Raw | Object:
    """The schema of a tool's parameters: an object's, with members, as many providers demand.

    Arguments are always an object, so its schema is one where it does not name its type.
    """
    given = resolve(tool.parameters or _ANY_PARAMETERS)
    if profile.plain_schema_root and not COMBINED.isdisjoint(given):
        given = flatten(given)
    if given.get("type") != "object" or not isinstance(given.get("properties"), dict):
        properties = given.get("properties")
        fitted = {**given, "type": "object"}
        fitted["properties"] = properties if isinstance(properties, dict) else {}
        given = fitted
    return fit_schema(given, profile)


def are_fit(tools: tuple[Tool, ...], profile: Profile, *, need_properties: bool) -> bool:
    """True if the provider takes the schemas of all parameters as their client wrote them."""
    for tool in tools:
        given = tool.parameters
        if given is None or given.get("type") != "object" or "$ref" in given:
            return False
        if need_properties and not isinstance(given.get("properties"), dict):
            return False
        if profile.plain_schema_root and not COMBINED.isdisjoint(given):
            return False
        if fit_schema(given, profile) is not given:
            return False
    return True


def fit_schema(schema: Object, profile: Profile) -> Raw | Object:
    """A schema in the subset that the family takes."""
    if profile.moonshot_schema:
        return normalise(schema)
    return complete_arrays(schema) if profile.arrays_need_items else schema
