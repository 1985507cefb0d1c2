"""Anthropic's typed tools that the client itself runs, as plain functions.

Such a tool comes without a schema, because Anthropic's models know it. Other models get the
documented one. Owns those schemas. Source: Anthropic documentation, "Bash tool", "Text editor tool"
and "Memory tool"; the text editor of 2025-04 and later inserts `insert_text`, the earlier ones
insert `new_str` and can undo.
"""

import re
from typing import Any

from gateway.core.request import Tool

_PATH = {"type": "string", "description": "Absolute path of the file or directory."}
_VIEW_RANGE = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "For `view` of a file: first and last line, from 1; -1 as the last is the end.",
}
_FILE_TEXT = {"type": "string", "description": "For `create`: the content of the new file."}
_OLD_STR = {
    "type": "string",
    "description": "For `str_replace`: the text to replace; it must occur exactly once.",
}
_INSERT_LINE = {
    "type": "integer",
    "description": "For `insert`: the line after which to insert; 0 is the beginning.",
}
_INSERT_TEXT = {"type": "string", "description": "For `insert`: the text to insert."}
_NEW_STR = {"type": "string", "description": "For `str_replace`: the text to put in its place."}
_NEW_STR_OR_INSERTED = {
    "type": "string",
    "description": "For `str_replace` the text to put in its place, for `insert` the new text.",
}


def _commands(names: list[str], members: dict[str, Any], required: list[str]) -> dict[str, Any]:
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
            "command": {"type": "string", "description": "The command to run."},
            "restart": {"type": "boolean", "description": "True restarts the shell instead."},
        },
        "required": [],
    },
)
_EDITING = "Views, creates and edits files."
_EDITOR = Tool(
    "str_replace_based_edit_tool",
    _EDITING,
    _commands(
        ["view", "create", "str_replace", "insert"],
        {
            "path": _PATH,
            "view_range": _VIEW_RANGE,
            "file_text": _FILE_TEXT,
            "old_str": _OLD_STR,
            "new_str": _NEW_STR,
            "insert_line": _INSERT_LINE,
            "insert_text": _INSERT_TEXT,
        },
        ["path"],
    ),
)
_EARLY_EDITOR = Tool(
    "str_replace_editor",
    _EDITING,
    _commands(
        ["view", "create", "str_replace", "insert", "undo_edit"],
        {
            "path": _PATH,
            "view_range": _VIEW_RANGE,
            "file_text": _FILE_TEXT,
            "old_str": _OLD_STR,
            "new_str": _NEW_STR_OR_INSERTED,
            "insert_line": _INSERT_LINE,
        },
        ["path"],
    ),
)
_MEMORY = Tool(
    "memory",
    "Keeps notes between conversations, as files in the directory /memories. Look there first.",
    _commands(
        ["view", "create", "str_replace", "insert", "delete", "rename"],
        {
            "path": _PATH,
            "view_range": _VIEW_RANGE,
            "file_text": _FILE_TEXT,
            "old_str": _OLD_STR,
            "new_str": _NEW_STR,
            "insert_line": _INSERT_LINE,
            "insert_text": _INSERT_TEXT,
            "old_path": {"type": "string", "description": "For `rename`: the path now."},
            "new_path": {"type": "string", "description": "For `rename`: the path then."},
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
