"""Requests in the Messages dialect: what is refused, and the same request in chat.

Owns the way from one to the other, so that everything behind it knows chat only. Refused is what
Anthropic or Moonshot's endpoint refuses: unknown members, roles and blocks, empty texts, call ids
outside the alphabet, calls without results, forced tools against thinking, and for `claude-`
thinking that was changed or lost. Other refusals of a strict family are in `rules`. Sources:
Anthropic API reference, "Messages"; Moonshot, "Messages".
"""

import re
from typing import Any

import msgspec

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.messages_thinking import blocks_of, check_thinking

Body = dict[str, Any]

_MEMBERS = frozenset({
    "model", "max_tokens", "messages", "system", "stream", "tools", "tool_choice", "thinking",
    "output_config", "stop_sequences", "temperature", "top_p", "top_k", "metadata",
})  # fmt: skip
_ANTHROPIC = "claude-"
#: taken by Anthropic only
_ANTHROPIC_MEMBERS = _MEMBERS | {"cache_control", "context_management", "output_format"}
_ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
#: tools of the client whose schema Anthropic's models know
_TYPED = ("bash_", "text_editor_", "memory_")
_NO_SCHEMA: Body = {"type": "object", "properties": {}}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def count_body(body: Any) -> Body:
    """A request whose tokens are to be counted, in chat; it needs no cap on its answer."""
    return read_body({"max_tokens": 1, **body} if isinstance(body, dict) else body)


def read_body(body: Any) -> Body:
    """The request in chat. Raises `Refused`."""
    if not isinstance(body, dict) or not isinstance(body.get("model"), str) or not body["model"]:
        raise Refused("model: Field required")
    is_anthropic = body["model"].startswith(_ANTHROPIC)
    if is_anthropic:
        body = {**body, "messages": _combine(body.get("messages"))}
    unknown = sorted(body.keys() - (_ANTHROPIC_MEMBERS if is_anthropic else _MEMBERS))
    if unknown:
        raise Refused(f"{unknown[0]}: Extra inputs are not permitted")
    cap = body.get("max_tokens")
    if type(cap) is not int or cap < 1:
        raise Refused("max_tokens: Field required")
    chat: Body = {"model": body["model"], "messages": _read_messages(body), "max_tokens": cap}
    if body.get("stream"):
        chat["stream"] = True
    _read_tools(chat, body)
    _read_thinking(chat, body)
    if is_anthropic:
        manual = "budget_tokens" in body.get("thinking", {})
        check_thinking(body["messages"], manual=manual)
    thinks = chat.get("thinking") == {"type": "enabled"}
    is_forced = chat.get("tool_choice") not in (None, "auto", "none")
    if thinks and is_forced and is_anthropic:
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")
    output = _object(body.get("output_config") or {}, "output_config")
    if output.get("format"):
        schema = {"name": "response", "schema": output["format"].get("schema")}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        raise Refused("temperature: range: 0..1")
    if thinks and temperature not in (None, 1) and is_anthropic:
        raise Refused("temperature may only be set to 1 when thinking is enabled")
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    return chat


def _combine(turns: Any) -> Any:
    """Turns of one role in a row are one at Anthropic's."""
    if not isinstance(turns, list):
        return turns
    combined: list[Any] = []
    for turn in turns:
        before = combined[-1] if combined else None
        if (
            not isinstance(turn, dict)
            or not isinstance(before, dict)
            or turn.get("role") != before.get("role")
            or not (turn.get("content") and before.get("content"))
        ):
            combined.append(turn)
        else:
            both = [*blocks_of(before["content"]), *blocks_of(turn["content"])]
            combined[-1] = {**before, "content": both}
    return combined


def _read_thinking(chat: Body, body: Body) -> None:
    if "thinking" not in body:
        return
    thinking = _object(body["thinking"], "thinking")
    kind = thinking.get("type")
    if kind not in ("enabled", "disabled", "adaptive"):
        raise Refused("thinking: Input tag should be 'enabled', 'disabled' or 'adaptive'")
    if kind == "enabled" and type(thinking.get("budget_tokens")) is not int:
        raise Refused("thinking.enabled.budget_tokens: Field required")
    if kind != "enabled" and "budget_tokens" in thinking:
        raise Refused(f"thinking.{kind}.budget_tokens: Extra inputs are not permitted")
    chat["thinking"] = {"type": "disabled" if kind == "disabled" else "enabled"}


def _read_tools(chat: Body, body: Body) -> None:
    tools = body.get("tools") or []
    for index, tool in enumerate(tools):
        is_known = isinstance(tool, dict) and str(tool.get("type")).startswith(_TYPED)
        is_known = is_known and body["model"].startswith(_ANTHROPIC)
        if not is_known and not (
            isinstance(tool, dict) and tool.get("name") and "input_schema" in tool
        ):
            raise Refused(f"tools.{index}.custom.input_schema: Field required")
        if not _NAME.match(tool["name"]):
            pattern = "^[a-zA-Z0-9_-]{1,128}$"
            raise Refused(f"tools.{index}.custom.name: String should match pattern '{pattern}'")
        if body["model"].startswith(_ANTHROPIC) and not is_known:
            _check_root(tool["input_schema"], f"tools.{index}.custom.input_schema")
        function = {"name": tool["name"], "parameters": tool.get("input_schema") or _NO_SCHEMA}
        chat.setdefault("tools", []).append({"type": "function", "function": function})
    choice = body.get("tool_choice")
    if choice is None:
        return
    kind = _object(choice, "tool_choice").get("type")
    if not tools:
        raise Refused("tool_choice: may only be specified while providing tools")
    if kind == "tool":
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif kind in _CHOICES:
        chat["tool_choice"] = _CHOICES[kind]
    else:
        raise Refused("tool_choice: Input tag should be 'auto', 'any', 'tool' or 'none'")


def _read_messages(body: Body) -> list[Body]:
    messages: list[Body] = []
    system = body.get("system")
    if system:
        messages.append({"role": "system", "content": system})
    turns = body.get("messages")
    if not isinstance(turns, list) or not turns:
        raise Refused("messages: at least one message is required")
    asked: set[str] = set()
    for index, turn in enumerate(turns):
        role = turn.get("role") if isinstance(turn, dict) else None
        path = f"messages.{index}"
        if role not in ("user", "assistant"):
            raise Refused(f"{path}: role must be user or assistant")
        if index == 0 and role != "user":
            raise Refused("messages: first message must use the user role")
        blocks = _read_blocks(turn.get("content"), path)
        if role == "user":
            messages += _read_user(blocks, asked, path, body["model"].startswith(_ANTHROPIC))
            asked = set()
        else:
            message = _read_assistant(blocks, path)
            asked = {call["id"] for call in message.get("tool_calls", ())}
            messages.append(message)
    if asked:
        raise Refused("messages: tool_use ids were found without tool_result blocks")
    return messages


def _read_blocks(content: Any, path: str) -> list[Body]:
    blocks = blocks_of(content)
    if not isinstance(blocks, list) or not blocks:
        raise Refused(f"{path}: content must not be empty")
    for block in blocks:
        if _object(block, path).get("type") == "text" and not str(block.get("text", "")).strip():
            raise Refused(f"{path}: text content blocks must contain non-whitespace text")
    return blocks


def _read_user(blocks: list[Body], asked: set[str], path: str, takes_documents: bool) -> list[Body]:
    """Results first, each a message of its own, then the user's text."""
    results: list[Body] = []
    parts: list[Body] = []
    for block in blocks:
        match block["type"]:
            case "tool_result" if not parts:
                call_id = block.get("tool_use_id")
                if call_id not in asked:
                    raise Refused(f"{path}: unexpected tool_use_id {call_id} in tool_result")
                asked = asked - {call_id}
                given = block.get("content")
                inner = [] if takes_documents and not given else _read_blocks(given, path)
                content = "\n".join(one["text"] for one in inner if one["type"] == "text")
                results.append({"role": "tool", "tool_call_id": call_id, "content": content})
            case "text":
                parts.append({"type": "text", "text": block["text"]})
            case "image":
                parts.append(_read_image(block, path))
            case "document" if takes_documents:
                data = _object(block.get("source"), path).get("data")
                parts.append({"type": "text", "text": f"[document {data}]"})
            case kind:
                raise Refused(f"{path}: Input tag '{kind}' found where it is not expected")
    if asked:
        raise Refused(f"{path}: tool_use ids were found without tool_result blocks: {asked}")
    return [*results, {"role": "user", "content": parts}] if parts else results


def _read_image(block: Body, path: str) -> Body:
    source = _object(block.get("source"), path)
    if source.get("type") != "base64" or not source.get("data"):
        raise Refused(f"{path}: an image must have a base64 source")
    url = f"data:{source.get('media_type')};base64,{source['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def _read_assistant(blocks: list[Body], path: str) -> Body:
    message: Body = {"role": "assistant", "content": None}
    for block in blocks:
        match block["type"]:
            case "text":
                message["content"] = (message["content"] or "") + block["text"]
            case "thinking":
                message["reasoning_content"] = block.get("thinking")
            case "redacted_thinking" if block.get("data"):
                pass
            case "tool_use":
                message.setdefault("tool_calls", []).append(_read_call(block, path))
            case kind:
                raise Refused(f"{path}: Input tag '{kind}' is not known")
    return message


def _read_call(block: Body, path: str) -> Body:
    if not _ID.match(str(block.get("id", ""))):
        raise Refused(f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not _NAME.match(block.get("name") or "") or not isinstance(block.get("input"), dict):
        raise Refused(f"{path}.tool_use.input: Input should be a valid dictionary")
    arguments = msgspec.json.encode(block["input"]).decode()
    function = {"name": block["name"], "arguments": arguments}
    return {"id": block["id"], "type": "function", "function": function}


def _check_root(schema: Any, path: str) -> None:
    """Anthropic takes one object."""
    if _object(schema, path).get("type") != "object":
        raise Refused(f"{path}.type: Field required")
    if schema.keys() & {"oneOf", "allOf", "anyOf"}:
        raise Refused(
            f"{path}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )


def _object(value: Any, path: str) -> Body:
    if not isinstance(value, dict):
        raise Refused(f"{path}: Input should be an object")
    return value
