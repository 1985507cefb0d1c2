"""The items of a Responses input as the messages of chat.

Reasoning, a message and calls in a row are one assistant message. Refused are unknown items,
members and parts, calls without outputs and outputs without calls, reasoning without what it led
to, without its `summary`, or with a sealed content that does not fit. Nothing is stored, so
OpenAI's models refuse reasoning that is not sealed. Sources: OpenAI API reference, "Create a model
response", `input`; "Reasoning models".
"""

from typing import Any

from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.messages_thinking import sign

Item = dict[str, Any]

_MEMBERS = {
    "message": {"type", "id", "status", "role", "content"},
    "function_call": {"type", "id", "status", "call_id", "name", "arguments"},
    "function_call_output": {"type", "id", "status", "call_id", "output"},
    "reasoning": {"type", "id", "status", "summary", "content", "encrypted_content"},
}
_CALL_ID_LENGTH_MAX = 64


def read_items(given: Any, *, is_openais: bool) -> list[Item]:
    """The messages. Raises `Refused`."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(items, list) or not items:
        raise Refused("Missing required parameter: 'input'.")
    reader = _SimulatedItemReader(is_openais)
    for index, item in enumerate(items):
        reader.read(item, f"input[{index}]")
    reader.end()
    return reader.messages


class _SimulatedItemReader:
    def __init__(self, is_openais: bool) -> None:
        self.messages: list[Item] = []
        self._is_openais = is_openais
        self._is_thinking = False
        self._waiting: list[str] = []

    def read(self, item: Any, path: str) -> None:
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind not in _MEMBERS:
            raise Refused(f"Invalid value: '{kind}'. '{path}' is of no supported type.")
        if unknown := sorted(item.keys() - _MEMBERS[kind]):
            raise Refused(f"Unknown parameter: '{path}.{unknown[0]}'.")
        is_assistant_text = (
            kind != "function_call_output" and item.get("role", "assistant") == "assistant"
        )
        if not is_assistant_text:
            self._end_thinking()
        match kind:
            case "message":
                self._read_message(item, path)
            case "reasoning":
                self._read_reasoning(item, path)
            case "function_call":
                self._read_call(item, path)
            case "function_call_output":
                self._read_output(item, path)

    def end(self) -> None:
        self._end_thinking()
        if self._waiting:
            raise Refused(f"No tool output found for function call {self._waiting[0]}.")

    def _end_thinking(self) -> None:
        if self._is_thinking:
            raise Refused("A 'reasoning' item was provided without its required following item.")

    def _assistant(self) -> Item:
        """The assistant message under way."""
        self._is_thinking = False
        if not self.messages or self.messages[-1]["role"] != "assistant":
            self.messages.append({"role": "assistant", "content": None})
        return self.messages[-1]

    def _read_message(self, item: Item, path: str) -> None:
        role, content = item.get("role"), item.get("content")
        if role not in ("user", "assistant", "system", "developer"):
            raise Refused(f"Invalid value: '{path}.role'.")
        own = "output_text" if role == "assistant" else "input_text"
        parts = [{"type": own, "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list) or not parts:
            raise Refused(f"Missing required parameter: '{path}.content'.")
        if role == "assistant":
            texts = [_read_assistant_text(part, f"{path}.content") for part in parts]
            assistant = self._assistant()
            assistant["content"] = (assistant["content"] or "") + "".join(texts)
        else:
            read = [_read_part(part, f"{path}.content") for part in parts]
            is_system = role in ("system", "developer")
            self.messages.append({"role": "system" if is_system else role, "content": read})

    def _read_reasoning(self, item: Item, path: str) -> None:
        summary = item.get("summary")
        if not isinstance(summary, list):
            raise Refused(f"Missing required parameter: '{path}.summary'.")
        if any(part.get("type") != "summary_text" for part in summary):
            raise Refused(f"Invalid value: '{path}.summary'.")
        text = "".join(part["text"] for part in summary)
        sealed = item.get("encrypted_content")
        if self._is_openais and sealed is None:
            raise Refused(f"Item with id '{item.get('id')}' not found. Nothing is stored.")
        if self._is_openais and sealed != sign(text):
            raise Refused("The encrypted content could not be verified.")
        if not self._is_openais and (sealed is not None or "id" not in item):
            raise Refused(f"Invalid value: '{path}': an id is required, and nothing sealed.")
        self._assistant()["reasoning_content"] = text
        self._is_thinking = True

    def _read_call(self, item: Item, path: str) -> None:
        call_id, name, arguments = (item.get(one) for one in ("call_id", "name", "arguments"))
        if not isinstance(call_id, str) or not 0 < len(call_id) <= _CALL_ID_LENGTH_MAX:
            raise Refused(f"Invalid '{path}.call_id': string too long, or none.")
        if not name or not isinstance(arguments, str):
            raise Refused(f"Missing required parameter: '{path}.name' or '{path}.arguments'.")
        function = {"name": name, "arguments": arguments}
        call = {"id": call_id, "type": "function", "function": function}
        self._assistant().setdefault("tool_calls", []).append(call)
        self._waiting.append(call_id)

    def _read_output(self, item: Item, path: str) -> None:
        call_id, output = item.get("call_id"), item.get("output")
        if call_id not in self._waiting:
            raise Refused(f"No tool call found for function call output with call_id {call_id}.")
        if isinstance(output, list) and self._is_openais:
            output = [_read_part(part, f"{path}.output") for part in output]
        elif not isinstance(output, str):
            raise Refused(f"Invalid type for '{path}.output'.")
        self._waiting.remove(call_id)
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": output})


def _read_assistant_text(part: Any, path: str) -> str:
    member = {"output_text": "text", "refusal": "refusal"}
    kind = part.get("type") if isinstance(part, dict) else None
    if kind not in member or not isinstance(part.get(member[kind]), str):
        raise Refused(f"Invalid value: '{kind}'. '{path}' takes 'output_text' and 'refusal'.")
    text: str = part[member[kind]]
    return text


def _read_part(part: Any, path: str) -> Item:
    match part.get("type") if isinstance(part, dict) else None:
        case "input_text" if part.get("text"):
            return _text(part["text"])
        case "input_image" if str(part.get("image_url")).startswith("data:image/"):
            if part.get("detail") not in ("auto", "low", "high"):
                raise Refused(f"Missing required parameter: '{path}.detail'.")
            return {"type": "image_url", "image_url": {"url": part["image_url"]}}
        case kind:
            raise Refused(f"Invalid value: '{kind}'. '{path}' takes texts and inline images.")


def _text(text: str) -> Item:
    return {"type": "text", "text": text}
