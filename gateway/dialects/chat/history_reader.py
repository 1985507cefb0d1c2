"""Messages of the chat dialect, read into the internal conversation.

Owns roles and parts. Images that are not inline and parts of unknown kinds are refused in the
user's newest message; in older messages, which the client can no longer change, they are left out.
Does not repair what an upstream would refuse (unanswered calls, empty messages): that is the
upstream's part, for all dialects.
"""

from collections import deque
from typing import Any

from msgspec import Struct

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    ImagePart,
    SignedReasoning,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.core.request import Message as Internal
from gateway.core.request import Part as InternalPart
from gateway.dialects.chat.signatures import read_signatures
from gateway.dialects.chat.types import (
    ChatMessage,
    ContentPart,
    CustomCall,
    File,
    Function,
    ImageURL,
)
from gateway.dialects.inline import (
    IMAGE_OMITTED,
    newest_user_message,
    read_file,
    read_image_url,
    shown_kind,
)
from gateway.dialects.json import convert, encode
from gateway.dialects.odd_values import object_of, read_parts

_TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "tool_result"})
#: what a part that is left out is called, where every dialect has it
_NAMES = {
    "image_url": "image",
    "input_image": "image",
    "file": "document",
    "input_file": "document",
}


class _Place(Struct, frozen=True):
    """The place of a content: its path in the body, and whether content that cannot be served is
    refused there; elsewhere it is named in `degraded`."""

    path: str
    is_strict: bool
    degraded: list[str]

    def inside(self, member: object) -> "_Place":
        return _Place(f"{self.path}.{member}", self.is_strict, self.degraded)


def read_messages(messages: list[ChatMessage], degraded: list[str]) -> tuple[Internal, ...]:
    """All messages in their order; raises `InvalidRequest` naming the message and the part."""
    legacy: deque[str] = deque()
    newest = newest_user_message([message.role for message in messages])
    return tuple(
        [
            _read(message, index, legacy, _content(message, index, newest, degraded))
            for index, message in enumerate(messages)
        ]
    )


def _content(message: ChatMessage, index: int, newest: int | None, degraded: list[str]) -> _Place:
    # Instructions are the developer's to mend; without a part they would mean something else.
    is_strict = index == newest or message.role in ("system", "developer")
    return _Place(f"messages.{index}.content", is_strict, degraded)


def _read(message: ChatMessage, index: int, legacy: deque[str], content: _Place) -> Internal:
    """One message; `legacy` holds the ids made up for function calls that await their result."""
    path = f"messages.{index}"
    match message.role:
        case "user":
            return UserMessage(_parts(message, content), message.name)
        case "assistant":
            return _assistant(message, index, legacy, content)
        case "system" | "developer":
            return SystemMessage(_text(message, content, "\n"))
        case "tool":
            if message.tool_call_id is None:
                path += ".tool_call_id"
                raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
            return ToolMessage(message.tool_call_id, _parts(message, content))
        case "function":
            call_id = legacy.popleft() if legacy else f"call_{index}_unknown"
            return ToolMessage(call_id, _parts(message, content))
    raise InvalidRequest(
        f"Unknown role '{message.role[:64]}'; use system, developer, user, assistant or tool.",
        param=f"{path}.role",
    )


def _assistant(
    message: ChatMessage, index: int, legacy: deque[str], content: _Place
) -> AssistantMessage:
    path = f"messages.{index}"
    calls = []
    for position, call in enumerate(message.tool_calls or ()):
        where = f"{path}.tool_calls.{position}"
        function, member = call.function, "function"
        if function is None and call.custom is not None:
            function, member = _written_custom(call.custom), "custom"
        if function is None:
            raise InvalidRequest(
                "Only calls of type 'function' are supported.", param=f"{where}.function"
            )
        calls.append(_call(call.id or f"call_{index}_{position}", function, f"{where}.{member}"))
    if message.function_call is not None:
        legacy.append(f"call_{index}_function")
        calls.append(_call(legacy[-1], message.function_call, f"{path}.function_call"))
    return AssistantMessage(
        text=_text(message, content, "") or message.refusal or None,
        reasoning=_reasoning(message, f"{path}.reasoning_content"),
        calls=tuple(calls),
        name=message.name,
        signed_blocks=_signatures(message, calls),
    )


def _signatures(message: ChatMessage, calls: list[ToolCall]) -> tuple[SignedReasoning, ...]:
    """The signatures that the message, or any of its calls, has beside its words."""
    extras = [call.extra_content for call in message.tool_calls or ()]
    if message.reasoning_details is message.extra_content is None and not any(extras):
        return ()
    called = zip([call.id for call in calls], extras, strict=False)
    return read_signatures(message.reasoning_details, message.extra_content, called)


def _written_custom(call: CustomCall) -> Function:
    """The call of a custom tool as one of a function, with its words as the only argument."""
    return Function(call.name, {"input": call.input or ""})


def _call(call_id: str, function: Function, path: str) -> ToolCall:
    if not function.name:
        path += ".name"
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    arguments = function.arguments
    if isinstance(arguments, dict):
        arguments = encode(arguments).decode()
    return ToolCall(call_id, function.name, arguments or "")


def _read_odd(value: Any, path: str) -> tuple[str, str]:
    """Text and reasoning of a model's words in any shape that an answer had once."""
    try:
        return read_parts(value)
    except (RecursionError, ValueError):
        raise InvalidRequest("A message is nested too deeply.", param=path) from None


def _reasoning(message: ChatMessage, path: str) -> str | None:
    """The chain of thought of an earlier turn, in the first spelling that holds text."""
    if message.reasoning_content:
        return "".join(_read_odd(message.reasoning_content, path))
    if message.reasoning and isinstance(message.reasoning, str):
        return message.reasoning
    details: Any = message.reasoning_details
    if not isinstance(details, list):
        return None
    texts = [detail.get("text") for detail in details if isinstance(detail, dict)]
    return "".join(text for text in texts if isinstance(text, str)) or None


def _text(message: ChatMessage, place: _Place, separator: str) -> str:
    """Content that may only be text."""
    if isinstance(message.content, str):
        return message.content
    if isinstance(message.content, dict):
        return _read_odd(message.content, place.path)[0]
    texts = []
    for position, part in enumerate(message.content or ()):
        inner = place.inside(position)
        if not (place.is_strict or isinstance(part, str) or part.type in _TEXTS):
            _leave_out(part, place.degraded)
            continue
        for read in _part(part, inner):
            if isinstance(read, ImagePart | DocumentPart):
                raise InvalidRequest(
                    f"A message of role '{message.role}' may hold text only.", param=inner.path
                )
            texts.append(read.text)
    return separator.join(texts)


def _parts(message: ChatMessage, place: _Place) -> tuple[InternalPart, ...]:
    if isinstance(message.content, str):
        return (TextPart(message.content),)
    if isinstance(message.content, dict):
        return _part(convert(message.content, ContentPart, place.path), place)
    return tuple(
        read
        for position, part in enumerate(message.content or ())
        for read in _part(part, place.inside(position))
    )


def _part(part: str | ContentPart, place: _Place) -> tuple[InternalPart, ...]:
    if isinstance(part, str):
        return (TextPart(part),)
    match part.type:
        case "text" | "input_text" | "output_text":
            return (TextPart(_given(part.text, f"{place.path}.text")),)
        case "refusal":
            return (TextPart(_given(part.refusal, f"{place.path}.refusal")),)
        case "image_url" | "input_image":
            return (_image(part, place),)
        case "tool_result":
            return (TextPart(_result(part, place)),)
        case "file" | "input_file":
            file = part.file or File(part.file_data, part.filename)
            heading = TextPart(f"[file {file.filename or 'untitled'}]")
            return (heading, read_file(file.file_data, f"{place.path}.file"))
    if place.is_strict:
        raise UnsupportedParameter(
            f"Content of type '{part.type[:64]}' is not supported; use text, image_url or file.",
            param=place.path,
        )
    _leave_out(part, place.degraded)
    return (TextPart(f"[{shown_kind(part.type)} omitted: not supported]"),)


def _result(part: ContentPart, place: _Place) -> str:
    """The text of a result in the form of Messages, which has it among the user's parts."""
    content = part.content if isinstance(part.content, list) else [part.content]
    given = [one if isinstance(one, str) else object_of(one).get("text") for one in content]
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) < len(given):
        _leave_out(part, place.degraded)
    return "\n".join(texts)


def _leave_out(part: ContentPart, degraded: list[str]) -> None:
    degraded.append(_NAMES.get(part.type) or f"input.{shown_kind(part.type)}")


def _given(text: str | None, path: str) -> str:
    if text is None:
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    return text


def _image(part: ContentPart, place: _Place) -> InternalPart:
    given = part.image_url
    image = ImageURL(given, part.detail) if isinstance(given, str) else given
    url = None if image is None else read_image_url(image.url)
    if image is not None and url is not None:
        return ImagePart(url, image.detail)
    if place.is_strict:
        raise InvalidRequest(
            "An image must be given inline, as a URL of the form data:image/png;base64,…; the "
            "gateway fetches nothing.",
            param=f"{place.path}.image_url",
        )
    _leave_out(part, place.degraded)
    return TextPart(IMAGE_OMITTED)
