"""Repairs of an upstream's choices, decoded, before an OpenAI client reads them.

One place for streamed deltas and whole messages, so that both are alike: reasoning under the name
clients read, calls with id, type and name, and a finish reason the SDKs know.
"""

from typing import Any

from gateway.core.errors import UpstreamBroken
from gateway.dialects.chat.calls import NAMELESS, CallSequence, Piece, make_call_id
from gateway.dialects.finish_reasons import CUT, FINISH_REASONS
from gateway.dialects.odd_values import first_arguments, object_of, objects_in


def repair_finish(reason: Any, called: bool, legacy: bool) -> str:
    """A known finish reason: an unknown one is `stop`, and `stop` after a call is `tool_calls`."""
    known = FINISH_REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"
    if called and known == "stop":
        known = "tool_calls"
    return "function_call" if legacy and known == "tool_calls" else known


def is_cut(reason: Any) -> bool:
    """True if an answer that ends so may hold a call whose arguments were cut off."""
    return FINISH_REASONS.get(reason) in CUT if isinstance(reason, str) else False


def repair_reasoning(holder: dict[str, Any]) -> None:
    """Give reasoning as `reasoning_content`, under any name of the upstream's.

    Its details stay as well: some upstreams want them back.
    """
    reasoning = _string(holder.pop("reasoning", None)) or join_details(
        holder.get("reasoning_details")
    )
    if reasoning and not holder.get("reasoning_content"):
        holder["reasoning_content"] = reasoning


def join_details(details: Any) -> str:
    """The text of `reasoning_details: [{text}]`."""
    if not isinstance(details, list):
        return ""
    texts = [detail.get("text") for detail in details if isinstance(detail, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def repair_delta_calls(
    delta: dict[str, Any], calls: CallSequence, *, legacy: bool, reason: Any
) -> None:
    """Replace the pieces of calls in a delta by those that may be sent now."""
    pieces: list[Piece] = []
    for given in _pop_calls(delta):
        function = object_of(given.get("function"))
        pieces += calls.take(
            _integer(given.get("index")),
            _string(given.get("id")),
            _string(function.get("name")),
            _string(function.get("arguments")),
            given.get("extra_content"),
        )
    if reason:
        pieces += calls.finish(is_cut=is_cut(reason))
    write_pieces(delta, pieces, legacy=legacy)


def write_pieces(delta: dict[str, Any], pieces: list[Piece], *, legacy: bool) -> None:
    """Put pieces of calls into a delta; readers of the legacy spelling know of one call."""
    if legacy:
        pieces = [piece for piece in pieces if piece.position == 0]
    if pieces and legacy:
        delta["function_call"] = _function(pieces[0])
    elif pieces:
        delta["tool_calls"] = [_call(piece) for piece in pieces]


def _call(piece: Piece) -> dict[str, Any]:
    call: dict[str, Any] = {"index": piece.position}
    if piece.id is not None:
        call |= {"id": piece.id, "type": "function"}
    call["function"] = _function(piece)
    if piece.extra is not None:
        call["extra_content"] = piece.extra
    return call


def _function(piece: Piece) -> dict[str, Any]:
    if piece.name is None:
        return {"arguments": piece.arguments}
    return {"name": piece.name, "arguments": piece.arguments}


def repair_message(message: dict[str, Any], legacy: bool, reason: Any = "stop") -> bool:
    """Put right a whole message that ended for `reason`; returns True if it holds a call."""
    message["role"] = message.get("role") or "assistant"
    message.setdefault("content", None)
    repair_reasoning(message)
    calls = []
    ids: set[str] = set()
    for position, call in enumerate(_pop_calls(message)):
        function = object_of(call.get("function"))
        arguments = first_arguments(function.get("arguments"))
        if not function.get("name"):
            if (call.get("id") or arguments) and not is_cut(reason):
                raise UpstreamBroken(NAMELESS)
            continue
        call_id = _string(call.get("id"))
        if not call_id or call_id in ids:
            call_id = make_call_id(position)
        ids.add(call_id)
        function["arguments"] = arguments or ("" if is_cut(reason) else "{}")
        calls.append({**call, "id": call_id, "type": "function", "function": function})
    if calls and legacy:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return bool(calls)


def _pop_calls(holder: dict[str, Any]) -> list[dict[str, Any]]:
    """Take out the calls; the one of the legacy spelling has neither index nor id."""
    calls = objects_in(holder.pop("tool_calls", None))
    if not isinstance(holder.get("function_call"), dict):
        return calls
    return calls or [{"index": 0, "function": holder.pop("function_call")}]


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) else None
