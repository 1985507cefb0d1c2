"""Pieces of tool calls as upstreams stream them, put into the order that readers rely on.

Servers differ: arguments before the name, the id and name again in every piece, no index, one
index for several calls, no id at all. Readers want id and name once, in the first piece of a call.

    piece ──▶ held until the name is known ──▶ first piece (id, name, arguments) ──▶ arguments*

OpenAI's own readers also want one call to end before the next one begins.
"""

import re
from secrets import token_hex
from typing import Any

from msgspec import Struct

from gateway.core.errors import UpstreamBroken
from gateway.dialects.json import GrowingObject
from gateway.dialects.odd_values import first_arguments

_EMPTY = re.compile(r"\s*\{\s*\}\s*")
NAMELESS = "The upstream made a call without a name."


class Piece(Struct, frozen=True):
    """A piece that may be sent. `position` counts calls from 0 in order of appearance; `id` and
    `name` are there in a call's first piece only; `extra` is what an upstream put beside it."""

    position: int
    arguments: str
    id: str | None = None
    name: str | None = None
    extra: Any = None


class _PendingCall:
    __slots__ = (
        "_fresh",
        "_growing",
        "_is_whole",
        "extra",
        "has_arguments",
        "held",
        "id",
        "is_closed",
        "is_empty",
        "name",
        "position",
        "started",
    )

    def __init__(self, position: int) -> None:
        self.position = position
        self.id = ""
        self.name = ""
        #: arguments that came before the name
        self.held: list[str] = []
        self.started = False
        #: what came beside it before the name
        self.extra: Any = None
        self.has_arguments = False
        #: it got an empty object, which is not sent as long as another one may come in its place
        self.is_empty = False
        #: it got no other one, and has those of an empty object
        self.is_closed = False
        #: its arguments so far, and those of them that were not looked at
        self._growing: GrowingObject | None = None
        self._fresh: list[str] = []
        self._is_whole = False

    def add(self, arguments: str) -> None:
        """Note arguments."""
        self.has_arguments = True
        self._fresh.append(arguments)

    def begin(self, arguments: str, *, is_newest: bool) -> str:
        """Return the first arguments to send: nothing yet of the newest's empty object."""
        arguments = first_arguments(arguments)
        if is_newest and _EMPTY.fullmatch(arguments):
            self.is_empty = True
            return ""
        if self.is_empty and arguments:
            self.is_empty = False
            return arguments if arguments.lstrip().startswith("{") else "{}" + arguments
        return arguments

    def is_whole(self) -> bool:
        """True if its arguments are an object; asked only where a name comes again."""
        if self._fresh:
            self._growing = self._growing or GrowingObject()
            self._is_whole = self._growing.is_whole_with("".join(self._fresh))
            self._fresh.clear()
        return self._is_whole

    def is_followed_by(self, call_id: str | None, name: str, arguments: str | None) -> bool:
        """True if a piece with a name begins another call: one index may stand for several."""
        if name != self.name or (call_id and call_id != self.id):
            return True
        return bool(arguments) and (self.is_empty or self.is_whole())


class CallAssembly:
    """The calls of one choice."""

    def __init__(self) -> None:
        self.calls: list[_PendingCall] = []
        self._by_index: dict[int, _PendingCall] = {}
        #: those that were sent, each once: clients bring results back by them
        self._ids: set[str] = set()
        #: set once any call was sent
        self.any_started = False
        #: so many calls may have been cut off
        self._cut = 0
        #: positions of the calls with pieces since the last end
        self._touched: set[int] = set()

    def is_started(self, index: int | None) -> bool:
        """True if the call of this index was sent, with arguments, under the same position."""
        call = self._by_index.get(index) if index is not None else None
        if call is None or call.is_closed:
            return False
        return call.has_arguments and call.started and call.position == index

    def take(
        self,
        index: int | None,
        call_id: str | None,
        name: str | None,
        arguments: str | None,
        extra: Any = None,
    ) -> list[Piece]:
        """Take one piece of the upstream's; returns the pieces that may be sent now."""
        last = self._last()
        call = self._find(index, call_id, name, arguments)
        closed = self._close([last]) if last and call.position > last.position else []
        piece = self._add(call, call_id, name, arguments, extra)
        return closed if piece is None else [*closed, piece]

    def _add(
        self,
        call: _PendingCall,
        call_id: str | None,
        name: str | None,
        arguments: str | None,
        extra: Any,
    ) -> Piece | None:
        self._touched.add(call.position)
        if arguments and not call.has_arguments:
            arguments = call.begin(arguments, is_newest=call is self.calls[-1])
        if call.is_closed and arguments:
            if arguments.strip() != "{}":
                raise UpstreamBroken("The upstream sent arguments behind the end of a call.")
            arguments = None
        if arguments:
            call.add(arguments)
        if call.started:
            if not arguments and extra is None:
                return None
            return Piece(call.position, arguments or "", extra=extra)
        call.id = call.id or call_id or ""
        call.name = call.name or name or ""
        call.extra = extra if call.extra is None else call.extra
        if arguments:
            call.held.append(arguments)
        if not call.name:
            return None
        call.started = self.any_started = True
        made_id = call.id if call.id and call.id not in self._ids else make_call_id(call.position)
        self._ids.add(made_id)
        held = "".join(call.held)
        call.held.clear()
        return Piece(call.position, held, made_id, call.name, call.extra)

    def note(self, position: int, arguments: str) -> None:
        """Note arguments that were sent without `take`."""
        self.calls[position].add(arguments)

    def finish(self, *, is_cut: bool = False) -> list[Piece]:
        """The arguments of the calls that got none, once: a reason may come in every chunk.

        None are made up where the end may have cut them off. Raises `UpstreamBroken` for another
        call whose name never came: it cannot be made or left out.
        """
        touched = [self.calls[position] for position in sorted(self._touched)]
        self._touched.clear()
        if is_cut:
            self._cut = len(self.calls)
            return self._close(touched)
        for call in touched:
            if call.position < self._cut:
                continue
            if not call.name and (call.id or call.has_arguments or call.is_empty):
                raise UpstreamBroken(NAMELESS)
            call.is_empty = call.is_empty or not call.has_arguments
        return self._close(touched)

    def _close(self, calls: list[_PendingCall]) -> list[Piece]:
        """The empty objects of the calls that can get no other one."""
        pieces: list[Piece] = []
        for call in calls:
            if call.is_empty and call.started:
                call.is_empty, call.is_closed = False, True
                call.add("{}")
                pieces.append(Piece(call.position, "{}"))
        return pieces

    def _find(
        self, index: int | None, call_id: str | None, name: str | None, arguments: str | None
    ) -> _PendingCall:
        """The call a piece belongs to, made where it is new."""
        call = self._by_index.get(index) if index is not None else self._last()
        if call is not None and not (
            call.started and name and call.is_followed_by(call_id, name, arguments)
        ):
            return call
        following = _PendingCall(len(self.calls))
        self.calls.append(following)
        self._by_index[following.position if index is None else index] = following
        return following

    def _last(self) -> _PendingCall | None:
        return self.calls[-1] if self.calls else None


class CallSequence:
    """The calls of one choice, sent one after the other.

    A reader takes a call for done as soon as the next one begins, and parses its arguments. So an
    upstream's pieces of later calls wait until those of the call under way are a whole JSON object,
    or until the choice ends.
    """

    def __init__(self) -> None:
        self._assembly = CallAssembly()
        self._position = 0
        #: the arguments of the call under way, and the part of them that was sent and is not in it
        #: yet
        self._growing = GrowingObject()
        self._fresh: list[str] = []
        #: by position
        self._waiting: dict[int, list[Piece]] = {}

    @property
    def any_started(self) -> bool:
        """True if any call was sent, or waits to be."""
        return self._assembly.any_started

    def is_at(self, index: int | None) -> bool:
        """True if the upstream's index is that of the call under way, under the same position."""
        return index == self._position and self._assembly.is_started(index)

    def note(self, arguments: str) -> None:
        """Note that arguments of the call under way were sent without `take`."""
        if arguments:
            self._fresh.append(arguments)
            self._assembly.note(self._position, arguments)

    def take(
        self,
        index: int | None,
        call_id: str | None,
        name: str | None,
        arguments: str | None,
        extra: Any = None,
    ) -> list[Piece]:
        """Take one piece of the upstream's; returns what may be sent now."""
        pieces = self._assembly.take(index, call_id, name, arguments, extra)
        if not pieces:
            return []
        for piece in pieces:
            self._waiting.setdefault(piece.position, []).append(piece)
        emitted = self._emit()
        while self._position + 1 in self._waiting and self._is_whole():
            self._position += 1
            self._fresh.clear()
            self._growing = GrowingObject()
            emitted += self._emit()
        return emitted

    def finish(self, *, is_cut: bool = False) -> list[Piece]:
        """The pieces that still wait at the end of the choice.

        A call without arguments has those of an empty object, unless the end cut them off.
        """
        for piece in self._assembly.finish(is_cut=is_cut):
            self._waiting.setdefault(piece.position, []).append(piece)
        waiting = sorted(self._waiting)
        return [piece for position in waiting for piece in self._waiting.pop(position)]

    def _emit(self) -> list[Piece]:
        emitted = self._waiting.pop(self._position, [])
        self._fresh += [piece.arguments for piece in emitted if piece.arguments]
        return emitted

    def _is_whole(self) -> bool:
        fresh = "".join(self._fresh)
        self._fresh.clear()
        return bool(fresh) and self._growing.is_whole_with(fresh)


def make_call_id(position: int) -> str:
    """An id for a call to which the upstream gave none."""
    return f"call_{position}_{token_hex(8)}"
