"""Puts tool results where models expect them: right behind the message that made the calls.

A Messages client may send results in any order, beside text, after a system message, twice, or not
at all; chat models take exactly one result per call, adjacent and in the calls' order. Owns that
repair. Must never look at the wire: it works on the internal messages.
"""

from collections.abc import Iterable

from gateway.core.request import (
    AssistantMessage,
    Message,
    Text,
    ToolMessage,
    UserMessage,
)

_INTERRUPTED = Text("(no result: the call was interrupted)")
_ORPHAN = Text("Result of an unknown tool call:")


def pair_results(messages: Iterable[Message], degraded: list[str]) -> list[Message]:
    """Order one conversation; what had to be invented or moved is named in `degraded`.

    Assistant messages in a row become one. Ids are matched within one turn only: some hosts use
    the same ids again in the next.
    """
    paired: list[Message] = []
    assistant: AssistantMessage | None = None
    turn: list[Message] = []
    for message in messages:
        if not isinstance(message, AssistantMessage):
            turn.append(message)
        elif assistant is not None and not turn:
            assistant = _joined(assistant, message)
        else:
            _close(paired, assistant, turn, degraded)
            assistant, turn = message, []
    _close(paired, assistant, turn, degraded)
    return paired


def _close(
    paired: list[Message],
    assistant: AssistantMessage | None,
    turn: list[Message],
    degraded: list[str],
) -> None:
    """Append an assistant's message, the results of its calls, then the rest of the turn.

    A message of reasoning alone says nothing to a model, and some upstreams refuse it.
    """
    if assistant is not None and (assistant.text or assistant.calls):
        paired.append(assistant)
        for call in assistant.calls:
            paired.append(_take(turn, call.id) or _missing(call.id, degraded))
    paired.extend(
        _orphan(left, degraded) if isinstance(left, ToolMessage) else left for left in turn
    )


def _take(turn: list[Message], call_id: str) -> ToolMessage | None:
    for position, message in enumerate(turn):
        if isinstance(message, ToolMessage) and message.call_id == call_id:
            del turn[position]
            return message
    return None


def _missing(call_id: str, degraded: list[str]) -> ToolMessage:
    degraded.append("tool_use without tool_result")
    return ToolMessage(call_id, (_INTERRUPTED,), is_error=True)


def _orphan(result: ToolMessage, degraded: list[str]) -> UserMessage:
    degraded.append("tool_result without tool_use")
    return UserMessage((_ORPHAN, *result.parts))


def _joined(first: AssistantMessage, second: AssistantMessage) -> AssistantMessage:
    return AssistantMessage(
        text=_concatenate("", first.text, second.text),
        reasoning=_concatenate("\n\n", first.reasoning, second.reasoning),
        calls=first.calls + second.calls,
        thoughts=first.thoughts + second.thoughts,
    )


def _concatenate(separator: str, first: str | None, second: str | None) -> str | None:
    return separator.join(part for part in (first, second) if part) or None
