"""Clients of the three dialects, and the content that each makes of an answer; every JSON type."""

import json
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.dialects.base import Renderer
from tests.dialects.chat import support as chat
from tests.dialects.messages import support as messages
from tests.dialects.responses import support as responses

Object = dict[str, Any]

VALUES: tuple[Any, ...] = (None, True, False, 0, 5, 1.5, "", "x", [], ["x"], {}, {"a": 1})
#: a value as text
TEXTS = ("", "true", "", "0", "5", "1.5", "", "x", "", "x", "", '{"a":1}')

#: arguments as text that is no object -> what they mean
SPELLINGS: dict[str, Object] = {
    "null": {},
    "[]": {},
    " ": {},
    '""': {},
    '"{\\"at\\":1}"': {"at": 1},
    ' {"at":1}': {"at": 1},
}


class Got(Struct):
    """The content that a client makes of an answer."""

    text: str = ""
    reasoning: str = ""
    calls: list[list[str]] = []
    reason: str = ""

    @property
    def content(self) -> tuple[str, str, list[tuple[str, Any]]]:
        return self.text, self.reasoning, [(name, json.loads(at)) for name, at in self.calls]


# The clients: one for each dialect, streamed and whole.


def of_chat_message(got: Got, message: Object) -> None:
    got.text += (message.get("content") or "") + (message.get("refusal") or "")
    got.reasoning += message.get("reasoning_content") or ""
    for call in message.get("tool_calls") or ():
        if call.get("id"):
            got.calls.append([call["function"]["name"], ""])
        got.calls[-1 if call.get("id") else call["index"]][1] += call["function"]["arguments"]


def of_chat_stream(frames: list[bytes]) -> Got:
    got = Got()
    read = chat.read(frames)
    assert read.pop() == "[DONE]"
    assert len({event["id"] for event in read}) == 1
    for event in read:
        ChatCompletionChunk.model_validate_json(json.dumps(event), strict=True)
        for choice in event["choices"]:
            of_chat_message(got, choice["delta"])
            got.reason = choice["finish_reason"] or got.reason
    return got


def of_chat(body: Object) -> Got:
    ChatCompletion.model_validate_json(json.dumps(body), strict=True)
    [choice] = body["choices"]
    got = Got(reason=choice["finish_reason"])
    of_chat_message(got, choice["message"])
    return got


def of_response(body: Object) -> Got:
    details: Object = body["incomplete_details"] or {}
    got = Got(reason=details["reason"] if details else body["status"])
    for item in body["output"]:
        match item["type"]:
            case "message":
                for part in item["content"]:
                    got.text += part.get("text") or part.get("refusal") or ""
            case "reasoning":
                got.reasoning += "".join(part["text"] for part in item["summary"])
            case "function_call":
                got.calls.append([item["name"], item["arguments"]])
    return got


def of_response_stream(frames: list[bytes]) -> Got:
    ends = (b"event: response.completed", b"event: response.incomplete")
    [last] = [frame for frame in frames if frame.startswith(ends)]
    return of_response(json.loads(last.partition(b"data: ")[2])["response"])


def of_message(body: Object) -> Got:
    got = Got(reason=body["stop_reason"])
    for block in body["content"]:
        match block["type"]:
            case "text":
                got.text += block["text"]
            case "thinking":
                got.reasoning += block["thinking"]
            case "tool_use":
                got.calls.append([block["name"], json.dumps(block["input"])])
    return got


def of_message_stream(frames: list[bytes]) -> Got:
    got = Got()
    for frame in frames:
        event = json.loads(frame.partition(b"data: ")[2])
        delta = event.get("delta") or {}
        got.text += delta.get("text", "")
        got.reasoning += delta.get("thinking", "")
        if event.get("content_block", {}).get("type") == "tool_use":
            got.calls.append([event["content_block"]["name"], ""])
        if "partial_json" in delta:
            got.calls[-1][1] += delta["partial_json"]
        got.reason = delta.get("stop_reason") or got.reason
    return got


DIALECTS: dict[str, tuple[Callable[..., Renderer], Any, Any]] = {
    "chat": (chat.renderer, of_chat_stream, of_chat),
    "responses": (responses.renderer, of_response_stream, of_response),
    "messages": (messages.renderer_for, of_message_stream, of_message),
}


#: reasons for an end, as each client gets them
REASONS = {
    "chat": {"stop": "stop", "length": "length", "content_filter": "content_filter"},
    "responses": {
        "stop": "completed",
        "length": "max_output_tokens",
        "content_filter": "content_filter",
    },
    "messages": {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"},
}
