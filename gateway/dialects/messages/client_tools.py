"""Anthropic's typed tools that the client itself runs, as plain functions.

Such a tool comes without a schema, because Anthropic's models know it. Other models get the
documented one. Owns those schemas. Source: Anthropic documentation, "Bash tool", "Text editor tool"
and "Memory tool"; the text editor of 2025-04 and later inserts `insert_text`, the earlier ones
insert `new_str` and can undo.
"""

import re
from typing import Any

from gateway.core.request import Tool

Schema = dict[str, Any]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _commands(names: list[str], members: Schema, required: list[str]) -> Schema:
    command = {"type": "string", "enum": names, "description": "What to do."}
    return {
        "type": "object",
        "properties": {"command": command, **members},
        "required": ["command", *required],
    }


_BASH = Tool(
    "bash",
    "Runs commands in a bash shell that keeps its state between calls.",
    {
        "type": "object",
        "properties": {
            "command": _text("The command to run."),
            "restart": {"type": "boolean", "description": "True restarts the shell instead."},
        },
        "required": [],
    },
)
#: the members of commands on files
_FILES: Schema = {
    "path": _text("Absolute path of the file or directory."),
    "view_range": {
        "type": "array",
        "items": {"type": "integer"},
        "description": (
            "For `view` of a file: first and last line, from 1; -1 as the last is the end."
        ),
    },
    "file_text": _text("For `create`: the content of the new file."),
    "old_str": _text("For `str_replace`: the text to replace; it must occur exactly once."),
    "new_str": _text("For `str_replace`: the text to put in its place."),
    "insert_line": {
        "type": "integer",
        "description": "For `insert`: the line after which to insert; 0 is the beginning.",
    },
    "insert_text": _text("For `insert`: the text to insert."),
}
_EARLY_FILES = _FILES | {
    "new_str": _text("For `str_replace` the text to put in its place, for `insert` the new text.")
}
del _EARLY_FILES["insert_text"]
_EDITING = "Views, creates and edits files."
_EDITS = ["view", "create", "str_replace", "insert"]
_EDITOR = Tool("str_replace_based_edit_tool", _EDITING, _commands(_EDITS, _FILES, ["path"]))
_EARLY_EDITOR = Tool(
    "str_replace_editor", _EDITING, _commands([*_EDITS, "undo_edit"], _EARLY_FILES, ["path"])
)
_MEMORY = Tool(
    "memory",
    "Keeps notes between conversations, as files in the directory /memories. Look there first.",
    _commands(
        [*_EDITS, "delete", "rename"],
        {
            **_FILES,
            "old_path": _text("For `rename`: the path now."),
            "new_path": _text("For `rename`: the path then."),
        },
        [],
    ),
)

#: an Anthropic tool's name before its date
_TOOLS = {"bash": _BASH, "text_editor": _EDITOR, "memory": _MEMORY}
_EARLY_EDITORS = ("text_editor_20241022", "text_editor_20250124")
_DATED = re.compile(r"([a-z_]+)_[0-9]{8}")


def client_tool(kind: str) -> Tool | None:
    """The function behind a typed tool that the client runs; None for any other kind."""
    if kind in _EARLY_EDITORS:
        return _EARLY_EDITOR
    dated = _DATED.fullmatch(kind)
    return None if dated is None else _TOOLS.get(dated[1])
