"""Puts tool results where models expect them: right behind the message that made the calls.

A Messages client may send results in any order, beside text, after a system message, twice, or not
at all; chat models take exactly one result per call, adjacent and in the calls' order. Owns that
repair. Must never look at the wire: it works on the internal messages.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from gateway.core.request import (
    AssistantMessage,
    Message,
    TextPart,
    ToolMessage,
    UserMessage,
)

_INTERRUPTED = TextPart("(no result: the call was interrupted)")
_ORPHAN = TextPart("Result of an unknown tool call:")


def pair_results(messages: Iterable[Message], degraded: list[str]) -> list[Message]:
    """Order one conversation; what had to be invented or moved is named in `degraded`.

    Assistant messages in a row become one. Ids are matched within one turn only: some hosts use
    the same ids again in the next.
    """
    paired: list[Message] = []
    consecutive: list[AssistantMessage] = []
    turn: list[Message] = []
    for message in messages:
        if not isinstance(message, AssistantMessage):
            turn.append(message)
        elif turn:
            _close(paired, consecutive, turn, degraded)
            consecutive, turn = [message], []
        else:
            consecutive.append(message)
    _close(paired, consecutive, turn, degraded)
    return paired


def follow_calls(messages: Iterable[Message]) -> bool:
    """True if nothing stands between a model's message and the results that follow it."""
    before: type[Message] | None = None
    for kind in map(type, messages):
        if kind is ToolMessage and before not in (AssistantMessage, ToolMessage):
            return False
        before = kind
    return True


def _close(
    paired: list[Message],
    consecutive: Sequence[AssistantMessage],
    turn: Sequence[Message],
    degraded: list[str],
) -> None:
    """Append an assistant's message, the results of its calls, then the rest of the turn.

    A message of reasoning alone means nothing to a model, and some upstreams refuse it.
    """
    assistant = _joined(consecutive)
    if assistant is not None and (assistant.text or assistant.calls):
        paired.append(assistant)
    if (assistant is None or not assistant.calls) and ToolMessage not in map(type, turn):
        paired.extend(turn)
        return
    results = _Results(turn)
    if assistant is not None:
        for call in assistant.calls:
            paired.append(results.take(call.id) or _missing(call.id, degraded))
    paired.extend(
        _orphan(left, degraded) if isinstance(left, ToolMessage) else left
        for left in results.rest()
    )


class _Results:
    """The results of one turn by the id of their call, the first of an id first."""

    def __init__(self, turn: Sequence[Message]) -> None:
        self._turn = turn
        self._places: dict[str, deque[int]] = {}
        self._taken: set[int] = set()
        for place, message in enumerate(turn):
            if isinstance(message, ToolMessage):
                self._places.setdefault(message.call_id, deque()).append(place)

    def take(self, call_id: str) -> Message | None:
        places = self._places.get(call_id)
        if not places:
            return None
        self._taken.add(places[0])
        return self._turn[places.popleft()]

    def rest(self) -> Iterator[Message]:
        """The results that nobody took, in their order."""
        return (each for place, each in enumerate(self._turn) if place not in self._taken)


def _missing(call_id: str, degraded: list[str]) -> ToolMessage:
    degraded.append("tool_use without tool_result")
    return ToolMessage(call_id, (_INTERRUPTED,), is_error=True)


def _orphan(result: ToolMessage, degraded: list[str]) -> UserMessage:
    degraded.append("tool_result without tool_use")
    return UserMessage((_ORPHAN, *result.parts))


def _joined(consecutive: Sequence[AssistantMessage]) -> AssistantMessage | None:
    if len(consecutive) < 2:
        return consecutive[0] if consecutive else None
    return AssistantMessage(
        text="".join(each.text for each in consecutive if each.text) or None,
        reasoning="\n\n".join(each.reasoning for each in consecutive if each.reasoning) or None,
        calls=tuple(call for each in consecutive for call in each.calls),
        signed_blocks=tuple(
            signed_block for each in consecutive for signed_block in each.signed_blocks
        ),
    )
