"""Tools and the choice among them, from the wire to the internal request, with the way back.

Models know flat names only: a namespace's tool becomes `namespace__tool`. Owns what happens to
tools that only OpenAI's servers can run: refused where the request is about nothing else or forces
one, left out and named otherwise.
Source: OpenAI API reference, "Create a model response", `tools` and `tool_choice`.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import Tool, ToolChoice
from gateway.dialects.inline import shown_kind
from gateway.dialects.json import convert
from gateway.dialects.responses.calls import TYPED, Binding, Kind, custom_tool, tool_search
from gateway.dialects.responses.types import ChoiceParam, Object, ResponsesTool
from gateway.dialects.values import TOOLS_MAX


class Toolbox:
    """The tools of one request: `tools` for the model, `bindings` to name them as the client does.

    `echo` are the served tools as the response object repeats them.
    """

    def __init__(self) -> None:
        self.tools: dict[str, Tool] = {}
        self.bindings: dict[str, Binding] = {}
        self.echo: list[Object] = []


class _FoundTool(Struct, frozen=True):
    binding: Binding
    tool: Tool
    path: str


def flat_name(name: str, namespace: str | None = None) -> str:
    """The name by which the model knows a tool; always the same, so that histories fit."""
    if namespace:
        return f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"
    return name


def read_tools(
    tools: list[Object], additional: Iterable[tuple[str, list[Object]]], degraded: list[str]
) -> Toolbox:
    """The tools a model may call.

    `additional` are the lists that items of the input brought along, each with its path; where a
    name is there already, the first definition counts. Raises `UnsupportedParameter` when tools
    that cannot be served are the only ones.
    """
    box = Toolbox()
    unserved: list[tuple[str, str]] = []
    for index, raw in enumerate(tools):
        path = f"tools.{index}"
        found = list(_read_tool(raw, path))
        _add(box, raw, found, is_additional=False)
        if not found:
            unserved.append((path, str(raw.get("type"))))
    for path, lists in additional:
        for index, raw in enumerate(lists):
            _add(box, raw, list(_read_tool(raw, f"{path}.{index}")), is_additional=True)
    for path, kind in unserved:
        # Coding agents always offer the web search; they do well without it.
        if not box.tools and not _is_dropped_quietly(kind):
            raise _unsupported(kind, path)
        degraded.append(f"tools.{shown_kind(kind)}")
    return box


def read_choice(
    raw: str | Object | None, box: Toolbox
) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """The tools that may be called and the choice among them.

    Raises `InvalidRequest` for a choice that cannot be met.
    """
    tools = tuple(box.tools.values())
    if raw is None:
        return tools, None
    param = ChoiceParam(raw) if isinstance(raw, str) else convert(raw, ChoiceParam, "tool_choice")
    match param.type:
        case "auto" | "none":
            return tools, ToolChoice(param.type) if tools else None
        case "required":
            return tools, _required(tools)
        case "allowed_tools":
            return _allowed(param, box)
        case "function" | "custom" if param.name:
            name = flat_name(param.name, param.namespace)
        case "local_shell" | "shell" | "apply_patch" | "tool_search":
            name = param.type
        case kind:
            raise _unsupported(kind, "tool_choice")
    if name not in box.tools:
        raise InvalidRequest(
            f"Tool choice '{param.name or param.type}' not found in 'tools' parameter.",
            param="tool_choice",
        )
    return tools, ToolChoice("named", name)


def _required(tools: tuple[Tool, ...]) -> ToolChoice:
    if not tools:
        raise InvalidRequest(
            "Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice"
        )
    return ToolChoice("required")


def _allowed(param: ChoiceParam, box: Toolbox) -> tuple[tuple[Tool, ...], ToolChoice | None]:
    """A hard limit: the model is not shown the others."""
    allowed: set[str] = set()
    namespaces: set[str | None] = set()
    for index, raw in enumerate(param.tools):
        entry = convert(raw, ChoiceParam, f"tool_choice.tools.{index}")
        if entry.type == "namespace":
            namespaces.add(entry.name)
        else:
            allowed.add(flat_name(entry.name or entry.type, entry.namespace))
    tools = tuple(
        tool
        for name, tool in box.tools.items()
        if name in allowed or box.bindings[name].namespace in namespaces
    )
    if param.mode == "required":
        return tools, _required(tools)
    return tools, ToolChoice(param.mode) if tools else None


def _add(box: Toolbox, raw: Object, found: list[_FoundTool], *, is_additional: bool) -> None:
    for one in found:
        name = one.tool.name
        if name not in box.tools:
            if len(box.tools) == TOOLS_MAX:
                raise InvalidRequest(f"At most {TOOLS_MAX} tools may be given.", param="tools")
            box.tools[name] = one.tool
            box.bindings[name] = one.binding
        elif not is_additional:
            raise InvalidRequest(
                f"Duplicate tool name '{one.binding.name}'.", param=f"{one.path}.name"
            )
    if found and not is_additional:
        box.echo.append(_echoed(raw))


def _read_tool(raw: Object, path: str) -> Iterator[_FoundTool]:
    """The functions behind one tool: none for a tool that only OpenAI's servers can run."""
    match raw.get("type"):
        case "function" | "custom":
            yield _named(convert(raw, ResponsesTool, path), path, None)
        case "namespace":
            param = convert(raw, ResponsesTool, path)
            for index, inner in enumerate(param.tools or ()):
                inner_path = f"{path}.tools.{index}"
                yield _named(convert(inner, ResponsesTool, inner_path), inner_path, param.name)
        case "tool_search" if raw.get("execution") == "client":
            param = convert(raw, ResponsesTool, path)
            yield _FoundTool(Binding("tool_search", "tool_search"), tool_search(param), path)
        case "local_shell" | "shell" | "apply_patch" as kind:
            yield _FoundTool(Binding(kind, kind), TYPED[kind], path)


def _named(param: ResponsesTool, path: str, namespace: str | None) -> _FoundTool:
    if not param.name:
        raise InvalidRequest(f"Missing required parameter: '{path}.name'.", param=f"{path}.name")
    name = flat_name(param.name, namespace)
    kind: Kind = "custom" if param.type == "custom" else "function"
    if kind == "custom":
        tool = custom_tool(param, name)
    else:
        # Absent means "strict where the schema allows it", which no upstream has a word for.
        tool = Tool(name, param.description, param.parameters, strict=param.strict or False)
    return _FoundTool(Binding(kind, param.name, namespace), tool, path)


def _echoed(raw: Object) -> Object:
    """A tool as the response object repeats it; a function's members are all required there."""
    if raw.get("type") != "function":
        return raw
    return {"description": None, "parameters": None, **raw, "strict": raw.get("strict") or False}


def _is_dropped_quietly(kind: str) -> bool:
    return kind.startswith("web_search") or kind in ("tool_search", "namespace")


def _unsupported(kind: str, path: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"'{path}': tools of type '{kind[:64]}' are not supported by this model.", param=path
    )
