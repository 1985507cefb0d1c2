"""A conversation put into the order that strict upstreams demand.

Clients cut, compact and edit histories. For every one of them, afterwards

  * every call is followed at once by exactly one result, in the order of the calls;
  * nothing stands between a call and its results, and no result stands without its call;
  * no message is empty, and images are only in user messages.

With `fill_reasoning` every assistant message with calls also carries its reasoning. Calls and
results are paired within a turn, by id and order: some servers use the same ids in every turn.

Sources: Moonshot, "Tool calls" and "Thinking models"; OpenAI API reference, "Create chat
completion".
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec.structs import replace

from gateway.core.request import (
    AssistantMessage,
    ImagePart,
    Message,
    Part,
    SystemMessage,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)

_INTERRUPTED = "[no result: the call was interrupted]"
NO_OUTPUT = "(no output)"
_IMAGE_BELOW = "(see the image below)"
_IMAGE_OMITTED = "[image omitted: this model sees no images]"
_ANSWERED = "Done."
_NO_REASONING = "[reasoning unavailable]"


def repair(messages: Sequence[Message], sees_images: bool) -> list[Message]:
    """The conversation with calls and results paired and empty messages dropped.

    Every `ToolMessage` of the result holds exactly one text. Images of tool results follow in a
    user message where the model sees images; where it does not, a note stands for every image.
    """
    repaired: list[Message] = []
    position = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        if not isinstance(message, AssistantMessage) or not message.calls:
            repaired += _keep(message, sees_images)
            continue
        following = position
        while following < len(messages) and not isinstance(messages[following], AssistantMessage):
            following += 1
        repaired += _repair_turn(message, messages[position:following], sees_images)
        position = following
    return repaired


def _keep(message: Message, sees_images: bool) -> list[Message]:
    """A message outside a tool turn: nothing if it is empty, and an orphan result as text."""
    match message:
        case SystemMessage():
            return [message] if message.text else []
        case AssistantMessage():
            return [message] if message.text or message.calls else []
        case UserMessage():
            parts = _kept_parts(message.parts, sees_images)
            if parts == message.parts:
                return [message] if parts else []
            return [UserMessage(parts, message.name)] if parts else []
        case ToolMessage():
            text = TextPart(f"[Result of a tool call]\n{_result_text(message, sees_images)}")
            return [UserMessage((text, *_images(message, sees_images)))]


def _kept_parts(parts: tuple[Part, ...], sees_images: bool) -> tuple[Part, ...]:
    """Images, or a note in the place of each, and texts that are not empty."""
    kept: list[Part] = []
    for part in parts:
        if isinstance(part, ImagePart):
            kept.append(part if sees_images else TextPart(_IMAGE_OMITTED))
        elif part.text:
            kept.append(part)
    return tuple(kept)


def _repair_turn(
    message: AssistantMessage, following: Sequence[Message], sees_images: bool
) -> list[Message]:
    """An assistant message with calls, its results, and then everything that stood among them."""
    waiting: dict[str, deque[tuple[int, ToolMessage]]] = {}
    for position, each in enumerate(following):
        if isinstance(each, ToolMessage):
            waiting.setdefault(each.call_id, deque()).append((position, each))
    calls: dict[str, ToolCall] = {}
    numbers: dict[str, int] = {}
    answers: list[Message] = []
    images: list[Part] = []
    paired: set[int] = set()
    for call in message.calls:
        results = waiting.get(call.id)
        call = replace(call, id=_distinct_id(call.id or "call", calls, numbers))
        calls[call.id] = call
        text = _INTERRUPTED
        if results:
            position, result = results.popleft()
            paired.add(position)
            text = _result_text(result, sees_images)
            images += _images(result, sees_images)
        answers.append(ToolMessage(call.id, (TextPart(text),)))
    repaired: list[Message] = [replace(message, calls=tuple(calls.values())), *answers]
    if images:
        repaired.append(UserMessage(tuple(images)))
    for position, each in enumerate(following):
        if position not in paired:
            repaired += _keep(each, sees_images)
    return repaired


def _distinct_id(call_id: str, taken: dict[str, ToolCall], numbers: dict[str, int]) -> str:
    """An id that no earlier call of the message has; `numbers` are those that were tried."""
    if call_id not in taken:
        return call_id
    number = max(len(taken), numbers.get(call_id, 0))
    while (distinct := f"{call_id}_{number}") in taken:
        number += 1
    numbers[call_id] = number + 1
    return distinct


def _images(result: ToolMessage, sees_images: bool) -> list[Part]:
    return [part for part in result.parts if sees_images and isinstance(part, ImagePart)]


def _result_text(result: ToolMessage, sees_images: bool) -> str:
    texts = [part.text for part in result.parts if isinstance(part, TextPart) and part.text]
    text = "\n".join(texts)
    if any(isinstance(part, ImagePart) for part in result.parts):
        note = _IMAGE_BELOW if sees_images else _IMAGE_OMITTED
        text = f"{text}\n{note}" if text else note
    text = text or NO_OUTPUT
    return f"Error: {text}" if result.is_error and not text.startswith("Error") else text


def answer_results(messages: Sequence[Message]) -> list[Message]:
    """Put words of the model between the results of its calls and the next speaker."""
    answered: list[Message] = []
    for message in messages:
        is_next = isinstance(message, UserMessage | SystemMessage) and bool(answered)
        if is_next and isinstance(answered[-1], ToolMessage):
            answered.append(AssistantMessage(_ANSWERED))
        answered.append(message)
    return answered


def lead_with_instructions(messages: Iterable[Message]) -> list[Message]:
    """One message of instructions at the beginning; later ones stand in a user's message.

    That is the one before them, else the one behind them, else one of their own.
    """
    led: list[Message] = []
    held = ""
    for is_system, run in groupby(messages, lambda message: isinstance(message, SystemMessage)):
        if is_system:
            texts = [each.text for each in run if isinstance(each, SystemMessage)]
            if not led:
                led.append(SystemMessage("\n\n".join(texts)))
                continue
            later = "\n\n".join(f"<system>\n{text}\n</system>" for text in texts)
            if isinstance(last := led[-1], UserMessage):
                led[-1] = replace(last, parts=_join(last.parts, (TextPart(later),)))
            else:
                held = later
            continue
        first, *others = run
        if held and isinstance(first, UserMessage):
            first = replace(first, parts=_join((TextPart(held),), first.parts))
        elif held:
            led.append(UserMessage((TextPart(held),)))
        held = ""
        led += [first, *others]
    return [*led, UserMessage((TextPart(held),))] if held else led


def _join(parts: tuple[Part, ...], more: tuple[Part, ...]) -> tuple[Part, ...]:
    """All parts; one text if there is but one on either side, which every server takes."""
    match parts, more:
        case (TextPart(text),), (TextPart(further),):
            return (TextPart(f"{text}\n\n{further}"),)
    return (*parts, *more)


def fill_reasoning(messages: Sequence[Message]) -> list[Message]:
    """Give every assistant message with calls a reasoning.

    It is the reasoning that the client kept, else the latest of the conversation, else the
    message's own text, else a placeholder. It is never an empty string, which counts as missing.
    """
    latest = ""
    filled: list[Message] = []
    for message in messages:
        if isinstance(message, AssistantMessage):
            own = message.reasoning or ""
            latest = own if own.strip() else latest
            if message.calls and not own.strip():
                text = message.text or ""
                reasoning = latest or (text if text.strip() else _NO_REASONING)
                message = replace(message, reasoning=reasoning)
        filled.append(message)
    return filled
