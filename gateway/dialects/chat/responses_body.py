"""A body of the Responses API that was sent to `/chat/completions`, written again as one of chat.

    input, instructions ─▶ messages          max_output_tokens ─▶ max_completion_tokens
    text.format ─▶ response_format           what both dialects have ─▶ as it is

Cursor sends such bodies there, and reads answers of chat. Owns what becomes of each kind of item:
those that chat has no word for are left out and named. Source: OpenAI API reference, "Create a
model response".
"""

from typing import Any

from msgspec import Raw, Struct

from gateway.core.errors import UnsupportedParameter
from gateway.dialects.inline import shown_kind
from gateway.dialects.json import convert, decode, encode

Object = dict[str, Any]

_NOTHING = (b"", b"null", b"[]")
#: members by which a request refers to what is kept for `/responses`
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_REWRITTEN = ("input", "instructions", "max_output_tokens", "messages", "text")


class _Outline(Struct, frozen=True):
    messages: Raw = Raw()
    input: Raw = Raw()


def write_as_chat(body: bytes) -> tuple[bytes, list[str]]:
    """The body as one of chat, and the items that were left out; a body of chat stays as it is."""
    outline = decode(body, _Outline)
    if bytes(outline.messages) not in _NOTHING or bytes(outline.input) in _NOTHING:
        return body, []
    given = decode(body, Object)
    for name in _ELSEWHERE:
        if given.get(name) is not None:
            raise UnsupportedParameter(f"'{name}' is only supported at /responses.", param=name)
    left_out: list[str] = []
    members = {name: value for name, value in given.items() if name not in _REWRITTEN}
    members["messages"] = _messages(given, left_out)
    if given.get("max_output_tokens") is not None:
        members.setdefault("max_completion_tokens", given["max_output_tokens"])
    text = given.get("text")
    if isinstance(text, dict) and isinstance(text.get("format"), dict):
        format = text["format"]
        wanted = {"type": format.get("type", "text"), "json_schema": format}
        members.setdefault("response_format", wanted)
    return encode(members), list(dict.fromkeys(left_out))


def _messages(given: Object, left_out: list[str]) -> list[Object]:
    instructions = given.get("instructions")
    messages = [{"role": "system", "content": instructions}] if instructions else []
    items = convert(given["input"], str | Object | list[str | Object], "input")  # type: ignore[arg-type]  # a union is a type to msgspec
    for item in items if isinstance(items, list) else [items]:
        if isinstance(item, str):
            item = {"role": "user", "content": item}
        match item.get("type", "message"):
            case "message":
                messages.append({"role": item.get("role"), "content": item.get("content")})
            case "function_call":
                _add_call(messages, item)
            case "function_call_output":
                messages.append(_result(item))
            case kind:
                left_out.append(f"input.{shown_kind(str(kind))}")
    return messages


def _add_call(messages: list[Object], item: Object) -> None:
    """Calls of one turn, and the text before them, are one message."""
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", []).append(call)


def _result(item: Object) -> Object:
    output = item.get("output")
    if not isinstance(output, str | list):
        output = encode(output).decode()
    return {"role": "tool", "tool_call_id": item.get("call_id"), "content": output}
