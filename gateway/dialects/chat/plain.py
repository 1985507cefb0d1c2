"""Messages that a chat upstream gets as their client wrote them, without the members nobody reads.

    narrow types ── they fit, and each call is followed at once by its result ──▶ as they are
          └── anything else ──▶ read, repaired, written in the upstream's dialect

Owns what needs no repair: what goes out is what the long way would have made of it. Must never let
an image, an empty message, reasoning or a call without its result go the short way.
"""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.core.request import Message, Written
from gateway.dialects.json import read_object
from gateway.dialects.values import PARTS_MAX, VALUES_MAX

Text = Annotated[str, Meta(min_length=1)]


class Part(Struct, gc=False, tag_field="type", tag="text"):
    """A piece of text."""

    text: Text


Parts = Annotated[list[Part], Meta(min_length=1, max_length=PARTS_MAX)]


class _Message(Struct, gc=False, omit_defaults=True, tag_field="role"):
    """The members that the long way reads, and the short way knows only as null."""

    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    tool_call_id: None = None
    partial: None = None
    reasoning_content: None = None
    reasoning: None = None
    reasoning_details: None = None
    extra_content: None = None


class System(_Message, kw_only=True, tag="system"):
    """Instructions."""

    content: Text | Parts


class User(_Message, kw_only=True, tag="user"):
    """A user's message."""

    content: Text | Parts
    name: Text | None = None


class PlainFunction(Struct, gc=False):
    """The function of a call."""

    name: Text
    #: in longer ones the values are counted
    arguments: Annotated[str, Meta(max_length=VALUES_MAX)]


class PlainCall(Struct, gc=False, omit_defaults=True, tag_field="type", tag="function"):
    """A call of a function."""

    id: Text
    function: PlainFunction
    extra_content: None = None


class Assistant(_Message, kw_only=True, tag="assistant"):
    """A model's message; a content that is not there goes out as null."""

    content: str | Parts | UnsetType | None = UNSET
    tool_calls: Annotated[list[PlainCall], Meta(min_length=1, max_length=PARTS_MAX)] | None = None  # type: ignore[assignment]  # narrower here
    name: Text | None = None


class Result(_Message, kw_only=True, tag="tool"):
    """The result of a call."""

    tool_call_id: Text  # type: ignore[assignment]  # narrower here
    content: Text | Parts


Plain = System | User | Assistant | Result


_id_of = attrgetter("id")
_name_of = attrgetter("function.name")
_NO_NAMES: frozenset[str] = frozenset()


def read_plain(messages: list[Plain], read: Callable[[], tuple[Message, ...]]) -> Written | None:
    """The messages as they may go out; None where they have to be read, by `read`."""
    #: calls whose results come next
    waiting: Iterator[PlainCall] | None = None
    called: list[PlainCall] = []
    for message in messages:
        if type(message.content) is list:
            _join(message)
        if type(message) is Result:
            call = None if waiting is None else next(waiting, None)
            if call is None or call.id != message.tool_call_id:
                return None
        elif waiting is not None and next(waiting, None) is not None:
            return None
        elif type(message) is Assistant:
            calls = message.tool_calls
            if calls:
                if not _are_whole(calls):
                    return None
                waiting = iter(calls)
                called += calls
            elif not message.content:
                return None
            message.content = message.content or None
    if waiting is not None and next(waiting, None) is not None:
        return None
    if not called:
        return Written(messages, 0, _NO_NAMES, read)
    longest = max(map(len, map(_id_of, called)))
    return Written(messages, longest, frozenset(map(_name_of, called)), read)


def _are_whole(calls: list[PlainCall]) -> bool:
    """True if their ids differ, and all have an object for arguments."""
    try:
        for call in calls:
            read_object(call.function.arguments)
    except (ValueError, RecursionError):
        return False
    return len(calls) == 1 or len(set(map(_id_of, calls))) == len(calls)


def _join(message: Plain) -> None:
    """Join texts, except those of a user, who may mean them apart."""
    texts = [part.text for part in message.content]  # type: ignore[union-attr]  # it is a list
    if type(message) is not User:
        message.content = ("" if type(message) is Assistant else "\n").join(texts)
    elif len(texts) == 1:
        message.content = texts[0]
