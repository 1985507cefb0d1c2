"""Trap 11: what Codex sends, and what it looks for in an answer.

The bodies are small, with the features of what released clients send.
"""

import json
from typing import Any

from tests.harness.dialects import events
from tests.traps.support import Client, every_model, function, read

Object = dict[str, Any]

PATCH = "*** Begin Patch\n*** Add File: a.txt\n+42\n*** End Patch"
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "*** Begin Patch" LF'}
CODEX_TOOLS: list[Object] = [
    {
        "type": "function",
        "name": "exec_command",
        "description": "Runs a command.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {"cmd": {"type": "string"}, "yield_time_ms": {"type": "number"}},
            "required": ["cmd"],
            "additionalProperties": False,
        },
    },
    {"type": "custom", "name": "apply_patch", "description": "Edits files.", "format": GRAMMAR},
    {
        "type": "namespace",
        "name": "mcp__files",
        "description": "Files.",
        "tools": [function("responses", "read"), function("responses", "write")],
    },
    {"type": "local_shell"},
    {"type": "tool_search", "execution": "client", "description": "Finds tools."},
    {"type": "web_search", "external_web_access": False},
]


def codex(input: list[Object], **more: Any) -> Object:
    """Codex' requests: no instructions but developer messages, no state, sealed reasoning."""
    developer = {
        "type": "message",
        "role": "developer",
        "id": "msg_1",
        "content": [{"type": "input_text", "text": "You are a coding agent."}],
    }
    return {
        "model": "kimi-k2.5",
        "input": [developer, *input],
        "tools": CODEX_TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": None,
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "thread-1",
        "text": {"verbosity": "low"},
        "client_metadata": {"session_id": "s"},
        **more,
    }


def user_message(text: str) -> Object:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "id": "msg_2", "content": content}


def done_items(content: str) -> list[Object]:
    """The only place where Codex looks for items."""
    return [data["item"] for name, data in events(content) if name == "response.output_item.done"]


@every_model
def test_trap_11_codex_is_served_by_every_family(client: Client, model: str) -> None:
    sent = client.send("responses", codex([user_message("Hi")], model=model))
    names = [tool["function"]["name"] for tool in sent.upstream["tools"]]
    assert names == [
        "exec_command",
        "apply_patch",
        "mcp__files__read",
        "mcp__files__write",
        "local_shell",
        "tool_search",
    ]
    assert sent.degraded - {"parallel_tool_calls"} == {"tools.web_search"}
    assert sent.upstream["messages"][0]["role"] == "system"
    assert read("responses", sent.response).whole["store"] is False


def test_trap_11_calls_come_back_as_the_client_named_its_tools(client: Client) -> None:
    arguments = {
        "exec_command": {"cmd": "ls"},
        "apply_patch": {"input": PATCH},
        "mcp__files__read": {"at": "a.txt"},
        "local_shell": {"command": ["ls"]},
        "tool_search": {"query": "files"},
    }
    script = "\n".join(f"!tool {name} {json.dumps(value)}" for name, value in arguments.items())
    sent = client.send("responses", codex([user_message(script)]))
    read("responses", sent.response)  # the sequence is judged
    function_call, custom, namespaced, shell, search = done_items(sent.response.text)
    assert function_call["type"] == "function_call"
    assert json.loads(function_call["arguments"]) == {"cmd": "ls"}
    assert (custom["type"], custom["name"], custom["input"]) == (
        "custom_tool_call",
        "apply_patch",
        PATCH,
    )
    assert namespaced["type"] == "function_call"
    assert (namespaced["namespace"], namespaced["name"]) == ("mcp__files", "read")
    assert shell["type"] == "local_shell_call"
    assert shell["action"]["command"] == ["ls"]
    assert (search["type"], search["arguments"]) == ("tool_search_call", {"query": "files"})


def test_trap_11_the_next_turn_holds_what_was_called_and_what_came_of_it(client: Client) -> None:
    asked = user_message(
        "!reason Hm.\n"
        '!tool exec_command {"cmd":"ls"}\n'
        '!tool mcp__files__read {"at":"a"}\n'
        f"!tool apply_patch {json.dumps({'input': PATCH})}"
    )
    wish = {"reasoning": {"effort": "medium", "summary": "auto"}}
    first = client.send("responses", codex([asked], **wish))
    items = done_items(first.response.text)
    reasoning, *calls = items
    assert reasoning["encrypted_content"]
    outputs = [
        {
            "type": f"{call['type']}_output",
            "call_id": call["call_id"],
            "output": [{"type": "input_text", "text": f"result {index}"}],
        }
        for index, call in enumerate(calls)
    ]
    blind = {**reasoning, "summary": [], "content": None}
    second = client.send("responses", codex([asked, blind, *calls, *outputs], **wish))
    given, *results = second.upstream["messages"][2:]
    assert given["reasoning_content"] == "Hm."
    assert [call["function"]["name"] for call in given["tool_calls"]] == [
        "exec_command",
        "mcp__files__read",
        "apply_patch",
    ]
    assert json.loads(given["tool_calls"][2]["function"]["arguments"]) == {"input": PATCH}
    assert [result["content"] for result in results] == ["result 0", "result 1", "result 2"]


def test_trap_11_a_tool_that_nobody_runs_is_refused_where_it_is_the_only_one(
    client: Client,
) -> None:
    sent = client.send(
        "responses", codex([user_message("Hi")], tools=[{"type": "image_generation"}])
    )
    assert sent.response.status_code == 400
    assert sent.response.json()["error"]["code"] == "unsupported_parameter"
    assert sent.bodies == []
