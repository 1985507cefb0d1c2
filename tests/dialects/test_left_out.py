"""Content that cannot be served: refused where the user has just sent it, elsewhere left out and
named, for the client could not take it back and every later turn would fail."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.core.degraded import OTHER, feature_of
from gateway.core.errors import InvalidRequest
from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    Request,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from gateway.dialects.chat.request_writer import write_request as write_chat
from gateway.dialects.gemini.request_writer import write_request as write_gemini
from gateway.dialects.inline import IMAGE_OMITTED
from gateway.dialects.messages.request_writer import write_request as write_messages
from gateway.dialects.responses.request_writer import write_request as write_responses
from tests.dialects.chat.support import parse as parse_chat
from tests.dialects.messages.support import parse as parse_messages
from tests.dialects.responses.support import parse as parse_responses
from tests.dialects.support import request, resolve

AWAY = "https://example.com/a.png"
TEXT = {"chat": "text", "messages": "text", "responses": "input_text"}
IMAGES: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {"type": "image_url", "image_url": {"url": AWAY}},
        {"type": "image_url", "image_url": AWAY},
        {"type": "image_url"},
    ],
    "messages": [
        {"type": "image", "source": {"type": "url", "url": AWAY}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ],
    "responses": [
        {"type": "input_image", "image_url": AWAY},
        {"type": "input_image", "file_id": "file_1"},
    ],
}
UNKNOWN = ("thinking", "tool_use", "video_url", "input_audio", "made_up")
#: blocks that Messages reads itself
READ = ("thinking", "tool_use")

Part = dict[str, Any]


def message(dialect: str, role: str, *parts: Part) -> dict[str, Any]:
    content = [{"type": TEXT[dialect], "text": "see"}, *parts]
    if dialect == "responses" and role == "assistant":
        content[0] = {"type": "output_text", "text": "see"}
    return {"role": role, "content": content}


def called(dialect: str, *output: Part) -> list[dict[str, Any]]:
    """A call of a tool, with this result."""
    if dialect == "chat":
        function = {"name": "look", "arguments": "{}"}
        call = {"id": "c1", "type": "function", "function": function}
        return [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": list(output)},
        ]
    if dialect == "messages":
        result = {"type": "tool_result", "tool_use_id": "c1", "content": list(output)}
        return [
            message(dialect, "assistant", {"type": "tool_use", "id": "c1", "name": "look"}),
            {"role": "user", "content": [result]},
        ]
    return [
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": list(output)},
    ]


def parse(dialect: str, *messages: dict[str, Any]) -> Request:
    if dialect == "chat":
        return parse_chat(messages=list(messages))
    return parse_messages(*messages) if dialect == "messages" else parse_responses(list(messages))


def texts(message: object) -> list[str]:
    assert isinstance(message, UserMessage | ToolMessage)
    return [part.text for part in message.parts if isinstance(part, TextPart)]


EACH_UNKNOWN = [
    (dialect, kind)
    for dialect in IMAGES
    for kind in UNKNOWN
    if dialect != "messages" or kind not in READ
]
EACH_IMAGE = [(dialect, image) for dialect, images in IMAGES.items() for image in images]


@pytest.mark.parametrize(("dialect", "image"), EACH_IMAGE)
def test_an_image_from_elsewhere_is_refused_in_the_newest_message_only(
    dialect: str, image: Part
) -> None:
    sent = message(dialect, "user", image)
    more = message(dialect, "user")
    with pytest.raises(InvalidRequest):
        parse(dialect, more, message(dialect, "assistant"), sent)

    for later in ([more], [message(dialect, "assistant"), more], called(dialect)):
        got = parse(dialect, sent, *later)
        assert texts(got.messages[0]) == ["see", IMAGE_OMITTED]
        assert got.degraded == ["image"]
        assert got.raw is None, "nobody else is to fetch it"


@pytest.mark.parametrize(("dialect", "image"), EACH_IMAGE)
def test_an_image_from_elsewhere_in_a_result_is_left_out(dialect: str, image: Part) -> None:
    got = parse(dialect, message(dialect, "user"), *called(dialect, image))
    assert texts(got.messages[-1]) == [IMAGE_OMITTED]
    assert got.degraded == ["image"]
    assert feature_of("image") != OTHER


@pytest.mark.parametrize(("dialect", "kind"), EACH_UNKNOWN)
def test_a_part_of_an_unknown_kind_is_left_out_of_a_history(dialect: str, kind: str) -> None:
    odd = {"type": kind, kind: {"url": AWAY}}
    got = parse(dialect, message(dialect, "user", odd), message(dialect, "assistant"),
                message(dialect, "user"))  # fmt: skip
    assert texts(got.messages[0])[0] == "see"
    assert got.degraded == [f"input.{kind}"]
    assert feature_of(got.degraded[0]) != OTHER
    assert got.raw is None


@pytest.mark.parametrize("kind", [*UNKNOWN, "image_url", "file"])
def test_a_models_chat_message_is_read_without_what_is_no_text(kind: str) -> None:
    odd = {"type": kind, "thinking": "Hm.", "image_url": {"url": AWAY}}
    got = parse(
        "chat", message("chat", "user"), message("chat", "assistant", odd), message("chat", "user")
    )
    assert got.messages[1] == AssistantMessage("see")
    assert len(got.degraded) == 1


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("role", ["user", "system"])
def test_chat_refuses_an_unknown_part_where_it_can_be_repaired(role: str, kind: str) -> None:
    with pytest.raises(InvalidRequest):
        parse("chat", message("chat", role, {"type": kind}))


@pytest.mark.parametrize("write", [write_chat, write_messages, write_responses, write_gemini])
def test_a_model_without_eyes_refuses_only_the_newest_image(write: Callable[..., Any]) -> None:
    blind = resolve("kimi-k2-thinking")
    image = UserMessage((TextPart("look"), ImagePart("data:image/png;base64,aWk=")))
    more = UserMessage((TextPart("and now?"),))
    with pytest.raises(InvalidRequest):
        write(request(SystemMessage("Be brief."), image), blind)

    outgoing = write(request(image, AssistantMessage("A cat."), more), blind)
    assert outgoing.degraded == ("image",)
    assert b"aWk=" not in outgoing.body
    assert b"[image omitted: this model sees no images]" in outgoing.body
