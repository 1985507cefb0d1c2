"""Messages of the chat dialect, read into the internal conversation.

Owns roles and parts; does not repair what an upstream would refuse (unanswered calls, empty
messages): that is the upstream's part, for all dialects.
"""

from collections import deque
from typing import Any

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.core.request import Message as Internal
from gateway.core.request import Part as InternalPart
from gateway.dialects.chat.types import ChatMessage, ContentPart, File, Function, ImageURL
from gateway.dialects.inline import read_file, read_image_url
from gateway.dialects.json import encode


def read_messages(messages: list[ChatMessage]) -> tuple[Internal, ...]:
    """All messages in their order; raises `InvalidRequest` naming the message and the part."""
    legacy: deque[str] = deque()
    return tuple([_read(message, index, legacy) for index, message in enumerate(messages)])


def _read(message: ChatMessage, index: int, legacy: deque[str]) -> Internal:
    """One message; `legacy` holds the ids made up for function calls that await their result."""
    path = f"messages.{index}"
    match message.role:
        case "user":
            return UserMessage(_parts(message, path), message.name)
        case "assistant":
            return _assistant(message, index, legacy)
        case "system" | "developer":
            return SystemMessage(_text(message, path, "\n"))
        case "tool":
            if message.tool_call_id is None:
                path += ".tool_call_id"
                raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
            return ToolMessage(message.tool_call_id, _parts(message, path))
        case "function":
            call_id = legacy.popleft() if legacy else f"call_{index}_unknown"
            return ToolMessage(call_id, _parts(message, path))
    raise InvalidRequest(
        f"Unknown role '{message.role[:64]}'; use system, developer, user, assistant or tool.",
        param=f"{path}.role",
    )


def _assistant(message: ChatMessage, index: int, legacy: deque[str]) -> AssistantMessage:
    path = f"messages.{index}"
    calls = []
    for position, call in enumerate(message.tool_calls or ()):
        where = f"{path}.tool_calls.{position}"
        if call.function is None:
            raise InvalidRequest(
                "Only calls of type 'function' are supported.", param=f"{where}.function"
            )
        calls.append(
            _call(call.id or f"call_{index}_{position}", call.function, f"{where}.function")
        )
    if message.function_call is not None:
        legacy.append(f"call_{index}_function")
        calls.append(_call(legacy[-1], message.function_call, f"{path}.function_call"))
    return AssistantMessage(
        text=_text(message, path, "") or message.refusal or None,
        reasoning=_reasoning(message),
        calls=tuple(calls),
        name=message.name,
    )


def _call(call_id: str, function: Function, path: str) -> ToolCall:
    if not function.name:
        path += ".name"
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    arguments = function.arguments
    if isinstance(arguments, dict):
        arguments = encode(arguments).decode()
    return ToolCall(call_id, function.name, arguments or "")


def _reasoning(message: ChatMessage) -> str | None:
    """The chain of thought of an earlier turn, in the first spelling that holds text."""
    if message.reasoning_content:
        return message.reasoning_content
    if message.reasoning and isinstance(message.reasoning, str):
        return message.reasoning
    details: Any = message.reasoning_details
    if not isinstance(details, list):
        return None
    texts = [detail.get("text") for detail in details if isinstance(detail, dict)]
    return "".join(text for text in texts if isinstance(text, str)) or None


def _text(message: ChatMessage, path: str, separator: str) -> str:
    """Content that may only be text."""
    if isinstance(message.content, str):
        return message.content
    texts = []
    for position, part in enumerate(message.content or ()):
        for read in _part(part, f"{path}.content.{position}"):
            if isinstance(read, ImagePart | DocumentPart):
                raise InvalidRequest(
                    f"A message of role '{message.role}' may hold text only.",
                    param=f"{path}.content.{position}",
                )
            texts.append(read.text)
    return separator.join(texts)


def _parts(message: ChatMessage, path: str) -> tuple[InternalPart, ...]:
    if isinstance(message.content, str):
        return (TextPart(message.content),)
    return tuple(
        read
        for position, part in enumerate(message.content or ())
        for read in _part(part, f"{path}.content.{position}")
    )


def _part(part: str | ContentPart, path: str) -> tuple[InternalPart, ...]:
    if isinstance(part, str):
        return (TextPart(part),)
    match part.type:
        case "text" | "input_text" | "output_text":
            return (TextPart(_given(part.text, f"{path}.text")),)
        case "refusal":
            return (TextPart(_given(part.refusal, f"{path}.refusal")),)
        case "image_url" | "input_image":
            return (_image(part, f"{path}.image_url"),)
        case "file" | "input_file":
            file = part.file or File(part.file_data, part.filename)
            heading = TextPart(f"[file {file.filename or 'untitled'}]")
            return (heading, read_file(file.file_data, f"{path}.file"))
    raise UnsupportedParameter(
        f"Content of type '{part.type[:64]}' is not supported; use text, image_url or file.",
        param=path,
    )


def _given(text: str | None, path: str) -> str:
    if text is None:
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    return text


def _image(part: ContentPart, path: str) -> ImagePart:
    given = part.image_url
    image = ImageURL(given, part.detail) if isinstance(given, str) else given
    url = None if image is None else read_image_url(image.url)
    if image is None or url is None:
        raise InvalidRequest(
            "An image must be given inline, as a URL of the form data:image/png;base64,…; the "
            "gateway fetches nothing.",
            param=path,
        )
    return ImagePart(url, image.detail)
