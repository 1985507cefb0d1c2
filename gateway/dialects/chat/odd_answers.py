"""Puts an upstream's odd chunk or completion into the shape of the reference, before it is read.

    content, reasoning: a list of parts, an object, a number ─▶ text, and reasoning apart
    calls: an object, flat, foreign types ─▶ a list of calls, their arguments as JSON text
    id, object, created that are not there ─▶ filled in, one id for the whole stream
    half characters, numbers that are none ─▶ what JSON can carry

Only what does not fit the narrow types of `chunk_scanner` comes here. Must never lose text,
reasoning or a call that can be made out. Source: OpenAI API reference, "The chat completion chunk
object".
"""

import time
from secrets import token_hex
from typing import Any

import msgspec
from msgspec import Struct

from gateway.dialects.finish_reasons import NO_REASON
from gateway.dialects.odd_values import (
    Object,
    arguments_of,
    decode_odd,
    listed,
    number_of,
    objects_in,
    read_parts,
    text_of,
)
from gateway.dialects.upstream_errors import find_error

_decode_object = msgspec.json.Decoder(Object).decode
_encode = msgspec.json.Encoder().encode
_CREATED_MAX = 2**53
#: names of a call's arguments, the reference's first
_ARGUMENTS = ("arguments", "input", "parameters", "args")
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
#: reasoning of Copilot, and of engines with Ollama's name for it
_THOUGHTS = ("reasoning_text", "thinking")
#: members of a choice, one of which it has
_CHOICE = ("delta", "message", "text", "finish_reason")


class Known(Struct, frozen=True):
    """The facts of an answer's earlier chunks: their `id` and `created`, if there were any.

    `has_content`: a message now is the same once more.
    """

    id: str = ""
    created: int = 0
    has_content: bool = False


def straighten(data: bytes, known: Known, *, is_whole: bool) -> bytes:
    """A chunk or completion in the reference's shape.

    Raises `ValueError` for what is no object, and as the encoder does for numbers too large.
    """
    answer = decode_odd(data)
    if (error := find_error(answer, ("choices",))) is not None:
        answer = {"error": error}
    if not isinstance(answer, dict):
        raise ValueError("an object was expected")
    created = number_of(answer.get("created"), _CREATED_MAX) or known.created
    answer["id"] = known.id or text_of(answer.get("id")) or f"chatcmpl-{token_hex(12)}"
    answer["created"] = created or int(time.time())
    answer["object"] = "chat.completion" if is_whole else "chat.completion.chunk"
    if not isinstance(answer.get("model"), str):
        answer.pop("model", None)
    answer["choices"] = objects_in(listed(answer.get("choices"), *_CHOICE))
    for position, choice in enumerate(answer["choices"]):
        if not is_whole and known.has_content and choice.get("delta") is None:
            choice.pop("message", None)
        _straighten_choice(choice, position, is_whole)
    return _encode(answer)


def _straighten_choice(choice: Object, position: int, is_whole: bool) -> None:
    index = number_of(choice.get("index"))
    choice["index"] = position if index is None else index
    reason = text_of(choice.get("finish_reason"))
    is_none = not reason or (reason in NO_REASON and not is_whole)
    choice["finish_reason"] = None if is_none else reason
    if not isinstance(choice.get("native_finish_reason"), str):
        choice.pop("native_finish_reason", None)
    if not isinstance(choice.get("logprobs"), dict):
        choice.pop("logprobs", None)
    wanted, other = ("message", "delta") if is_whole else ("delta", "message")
    message, spare = choice.pop(wanted, None), choice.pop(other, None)
    if message is None:
        message = spare
    if message is None:  # as completions have it
        message = choice.pop("text", None)
    if not isinstance(message, dict):
        message = {"content": message}
    choice[wanted] = message
    _straighten_message(message)


def _straighten_message(message: Object) -> None:
    if message.get("role") != "assistant":
        message.pop("role", None)
    for name in _THOUGHTS:
        thoughts = message.pop(name, None)
        if thoughts and isinstance(thoughts, str | list | dict):
            message["reasoning_content"] = message.get("reasoning_content") or thoughts
    for name in _TEXTS:
        if not isinstance(message.get(name, ""), str | None):
            texts, thoughts = read_parts(message[name])
            message[name] = texts + ("" if name == "content" else thoughts) or None
            if name == "content" and thoughts:
                message["reasoning_content"] = text_of(message.get("reasoning_content")) + thoughts
    details = message.get("reasoning_details")
    if isinstance(details, str | dict):
        message["reasoning_details"] = [{"text": details} if isinstance(details, str) else details]
    elif not isinstance(details, list):
        message.pop("reasoning_details", None)
    if "tool_calls" in message:
        calls = objects_in(listed(message["tool_calls"], "function", "name"))
        message["tool_calls"] = [_straighten_call(call) for call in calls] or None
    if "function_call" in message:
        message["function_call"] = _straighten_function(message["function_call"])


def _straighten_call(call: Object) -> Object:
    call["index"] = number_of(call.get("index"))
    call["id"] = text_of(call.get("id")) or None
    call["function"] = _straighten_function(call.get("function") or call) or {}
    is_first = call["id"] or "name" in call["function"]
    call["type"] = "function" if is_first else None
    return {name: value for name, value in call.items() if value is not None}


def _straighten_function(function: Any) -> Object | None:
    if isinstance(function, str) and function:
        function = _read_object(function) or {"name": function}
    if not isinstance(function, dict):
        return None
    straight: Object = {}
    if name := text_of(function.get("name")):
        straight["name"] = name
    given = [function[name] for name in _ARGUMENTS if function.get(name) is not None]
    if given:
        straight["arguments"] = arguments_of(next(filter(None, given), given[0]))
    return straight


def _read_object(text: str) -> Object | None:
    """A function that was written as JSON; None for its name."""
    try:
        return _decode_object(text) if text.lstrip()[:1] == "{" else None
    except (ValueError, RecursionError):
        return None
