"""Signatures of chat upstreams, which want them back as they came, and where they stood.

    tool_calls[].extra_content, extra_content (Gemini)       reasoning_details (OpenRouter)

    answer ─▶ Signature ─▶ sealed for the account ─▶ SignedReasoning ─▶ the upstream that made it
    answer ─▶ a chat client, as it came ─▶ SignedReasoning FROM_CLIENT ─▶ an upstream that takes it

A client of chat brings back what it got in the open, so nothing shows which upstream made it: it is
never taken for one that we sealed. Must never fail for what a client or an upstream wrote.

Sources: Gemini API, "OpenAI compatibility" and "Thought signatures"; OpenRouter, "Reasoning
tokens", "Preserving reasoning blocks".
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.core.request import AssistantMessage, SignedReasoning
from gateway.dialects.json import encode
from gateway.dialects.odd_values import objects_in

Object = dict[str, Any]

#: stands for the upstream of what a chat client brought back; no upstream has this name
FROM_CLIENT = ""
#: members of details that come in pieces
_PIECES = ("text", "summary")
_CALL, _MESSAGE, _DETAILS = "call", "message", "details"

_decode = msgspec.json.Decoder(list[Any]).decode


def sign_call(position: int, call_id: str, extra: Any) -> str:
    """A signature that belongs to a call; clients may know the call by another id."""
    return _write([_CALL, position, call_id, extra]) if isinstance(extra, dict) and extra else ""


def sign_message(extra: Any) -> str:
    """The signature that belongs to a text; empty where `extra_content` holds none."""
    google = extra.get("google") if isinstance(extra, dict) else None
    if not isinstance(google, dict) or not google.get("thought_signature"):
        return ""
    return _write([_MESSAGE, {"google": {"thought_signature": google["thought_signature"]}}])


def sign_details(details: list[Object]) -> str:
    """The signature that details of reasoning make; empty where they are only its text."""
    return _write([_DETAILS, details]) if any(one.get("type") for one in details) else ""


class DetailAssembly:
    """Details of reasoning, put together from their pieces; a text that came in many is joined
    once."""

    def __init__(self) -> None:
        #: those so far; the newest lacks what of a text came later
        self.found: list[Object] = []
        #: the pieces of the newest one's texts, where there are several
        self._pieces: dict[str, list[str]] = {}

    def add(self, given: Any) -> None:
        """Add what a chunk brought: pieces of a text go to the detail that they belong to."""
        for one in objects_in(given):
            if self.found and _goes_on(self.found[-1], one):
                self._add_piece(self.found[-1], one)
            else:
                self._join()
                self.found.append(dict(one))

    def take(self) -> list[Object]:
        """The details so far; there are none from then on."""
        self._join()
        details, self.found = self.found, []
        return details

    def _add_piece(self, last: Object, one: Object) -> None:
        for name, value in one.items():
            if name in _PIECES and isinstance(value, str) and isinstance(last.get(name), str):
                self._pieces.setdefault(name, [last[name]]).append(value)
            elif value is not None:
                self._pieces.pop(name, None)
                last[name] = value

    def _join(self) -> None:
        for name, pieces in self._pieces.items():
            self.found[-1][name] = "".join(pieces)
        self._pieces.clear()


def _goes_on(last: Object, one: Object) -> bool:
    """True if `one` is a further piece of the text, or the signature, of the detail before it."""
    if not any(isinstance(last.get(name), str) for name in _PIECES) or last.get("signature"):
        return False
    return all(one.get(name) == last.get(name) for name in ("type", "index")) and (
        one.get("id") is None or one["id"] == last.get("id")
    )


def read_signatures(
    details: Any, extra: Any, calls: Iterable[tuple[str, Any]]
) -> tuple[SignedReasoning, ...]:
    """The signatures that a chat client brought back; `calls` are ids, and what is beside each."""
    whole = DetailAssembly()
    whole.add(details)
    signed = [sign_details(whole.take()), sign_message(extra)]
    signed += [sign_call(index, call_id, extra) for index, (call_id, extra) in enumerate(calls)]
    return tuple([SignedReasoning("", one, FROM_CLIENT) for one in signed if one])


def write_signatures(
    written: Object, message: AssistantMessage, upstream: str, *, takes_clients: bool
) -> None:
    """Put into a written message what `upstream` signed of it, each at its place.

    With `takes_clients` also what a chat client brought back.
    """
    details = DetailAssembly()
    places: dict[str, int] = {}
    for index, call in enumerate(message.calls):
        places.setdefault(call.id, index)
    for block in message.signed_blocks:
        if block.upstream == upstream or (takes_clients and block.upstream == FROM_CLIENT):
            match _read(block.signature):
                case ["details", given]:
                    details.add(given)
                case ["message", dict(extra)]:
                    written["extra_content"] = extra
                case ["call", int(position), str(call_id), dict(extra)]:
                    index = places.get(call_id, position)
                    if 0 <= index < len(message.calls):
                        written["tool_calls"][index]["extra_content"] = extra
    if whole := details.take():
        written["reasoning_details"] = whole


def _write(signature: list[Any]) -> str:
    try:
        return encode(signature).decode()
    except (ValueError, OverflowError, RecursionError):
        return ""


def _read(signature: str) -> list[Any]:
    """Read what we wrote; a signature of another dialect is empty."""
    try:
        return _decode(signature)
    except (ValueError, RecursionError):
        return []
