"""Calls of tools that are no plain functions: how they travel as functions, and back.

    client's item               what the model sees               what the client gets back
    custom_tool_call.input      {"input": "…"}                    custom_tool_call.input
    local_shell_call.action     the action without its type       local_shell_call.action
    shell_call.action           the action                        shell_call.action
    apply_patch_call.operation  {type, path, diff}                apply_patch_call.operation
    tool_search_call.arguments  the arguments                     tool_search_call.arguments

Owns that table. Must never fail on what a model wrote: arguments that do not fit give an empty
action. Source: OpenAI API reference, "Responses", output items.
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from gateway.core.request import Tool
from gateway.dialects.json import encode, is_part
from gateway.dialects.responses.types import CallItem, Object, ResponsesTool

Kind = Literal["function", "custom", "local_shell", "shell", "apply_patch", "tool_search"]


class Binding(Struct, frozen=True):
    """The client's name of a tool that a model knows under one flat name."""

    kind: Kind
    name: str
    namespace: str | None = None


#: kind -> the item's type and the prefix of its id
ITEMS: dict[Kind, tuple[str, str]] = {
    "function": ("function_call", "fc"),
    "custom": ("custom_tool_call", "ctc"),
    "local_shell": ("local_shell_call", "lsh"),
    "shell": ("shell_call", "sh"),
    "apply_patch": ("apply_patch_call", "apc"),
    "tool_search": ("tool_search_call", "tsc"),
}
#: an item's type in a history -> the kind of its tool
CALLS: dict[str, Kind] = {item: kind for kind, (item, _) in ITEMS.items()}
OUTPUTS = frozenset(f"{item}_output" for item in CALLS) | {"tool_search_output"}

_STRINGS = {"type": "array", "items": {"type": "string"}}


def _object(required: list[str], **properties: Any) -> Object:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


#: the tools whose schema OpenAI's models know by heart
TYPED: dict[str, Tool] = {
    "local_shell": Tool(
        "local_shell",
        "Runs one command on the user's machine and returns its output.",
        _object(
            ["command"],
            command={**_STRINGS, "description": "The program and its arguments."},
            working_directory={"type": "string", "description": "Where to run it."},
            timeout_ms={"type": "integer", "description": "Milliseconds until it is stopped."},
        ),
    ),
    "shell": Tool(
        "shell",
        "Runs shell commands, one after the other, and returns what each of them prints.",
        _object(
            ["commands"],
            commands={**_STRINGS, "description": "The commands, each one line of shell."},
            timeout_ms={"type": "integer", "description": "Milliseconds until they are stopped."},
            max_output_length={
                "type": "integer",
                "description": "At most so many characters of each output are returned.",
            },
        ),
    ),
    "apply_patch": Tool(
        "apply_patch",
        "Creates, changes or deletes one file.",
        _object(
            ["type", "path"],
            type={"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            path={"type": "string", "description": "The file, relative to the workspace."},
            diff={
                "type": "string",
                "description": "For create_file and update_file: a V4A diff of the file's lines.",
            },
        ),
    ),
}


def custom_tool(param: ResponsesTool, name: str) -> Tool:
    """A free-form tool as a function of one text; a grammar stands in its description."""
    description = param.description or ""
    grammar = param.format or {}
    if grammar.get("type") == "grammar" and isinstance(grammar.get("definition"), str):
        description += (
            f"\n\n`input` must match this {grammar.get('syntax', '')} grammar:\n"
            f"{grammar['definition']}"
        )
    text = {"type": "string", "description": "The tool's whole input, as it is."}
    return Tool(name, description.strip() or None, _object(["input"], input=text), strict=False)


def tool_search(param: ResponsesTool) -> Tool:
    """A search for further tools that the client runs."""
    schema = param.parameters or _object(
        ["query"], query={"type": "string", "description": "What the tool should do."}
    )
    return Tool("tool_search", param.description, schema, strict=False)


def wrap(kind: Kind, item: CallItem) -> str:
    """The JSON arguments by which a model made this call."""
    match kind:
        case "custom":
            return _text({"input": item.input or ""})
        case "local_shell":
            action = item.action or {}
            return _text({name: value for name, value in action.items() if name != "type"})
        case "shell":
            return _text(item.action or {})
        case "apply_patch":
            return _text(item.operation or {})
    if isinstance(item.arguments, str):
        return item.arguments or "{}"
    return _text(item.arguments)


def unwrap(kind: Kind, arguments: str) -> Object:
    """The members by which an item of this kind names what was called; `""` gives empty ones."""
    if kind == "function":
        return {"arguments": arguments}
    members = _members(arguments)
    match kind:
        case "custom":
            text = members.get("input")
            if text is None or not _begins(text, _STRING):
                return {"input": arguments}
            return {"input": msgspec.json.decode(text)}
        case "local_shell":
            action: Object = {"command": [], "env": {}}
            action |= _fitting(members, command=_LIST, env=_MAP)
            return {"action": {**action, "type": "exec"}}
        case "shell":
            return {"action": {"commands": []} | _fitting(members, commands=_LIST)}
        case "apply_patch":
            operation: Object = {"type": "update_file", "path": "", "diff": ""}
            operation |= _fitting(members, type=_STRING, path=_STRING, diff=_STRING)
            return {"operation": operation}
    return {"arguments": members, "execution": "client"}


#: the first byte of a value of each kind
_STRING, _LIST, _MAP = b'"', b"[", b"{"


def _fitting(members: dict[str, Raw], **kinds: bytes) -> Object:
    """The members whose values are of the kinds their names ask for; others as they are."""
    return {
        name: value
        for name, value in members.items()
        if name not in kinds or _begins(value, kinds[name])
    }


def _begins(value: Raw, kind: bytes) -> bool:
    return memoryview(value)[:1] == kind


def _members(arguments: str) -> dict[str, Raw]:
    """The members of an object, each as it was written, so that no later encoding can fail."""
    data = arguments.encode()
    try:
        return _MEMBERS.decode(data) if is_part(data) else {}
    except ValueError:
        return {}


_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def _text(value: Any) -> str:
    return encode({} if value is None else value).decode()
