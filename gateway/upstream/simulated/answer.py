"""The content of an answer: reasoning, text, tool calls, why it ends, and the tokens it took.

Owns the words; how they are cut into events is `stream`'s. The same request gives the same answer.
A token is a word. A cap on the output is obeyed, and reasoning counts inside it, so a small cap
with thinking on gives an empty answer that ends with `length`, as it does in real life.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from gateway.upstream.simulated.conversation import Conversation
from gateway.upstream.simulated.families import Family
from gateway.upstream.simulated.rules import Body, output_cap
from gateway.upstream.simulated.schema import make_instance
from gateway.upstream.simulated.script import Script

_ECHO_CHARACTERS_MAX = 400
_PIECES = 6
_PIECE_CHARACTERS_MIN = 4


class Call(Struct, frozen=True):
    """One tool call of the answer."""

    id: str
    name: str
    arguments: str

    @property
    def argument_object(self) -> dict[str, Any]:
        """The arguments for a dialect that has no way to hold anything but an object."""
        try:
            return msgspec.json.decode(self.arguments, type=dict[str, Any])
        except ValueError:
            return {}


class SimulatedUsage(Struct, frozen=True):
    """Tokens. `completion` includes `reasoning`, `prompt` includes `cached` and `cache_write`."""

    prompt: int
    completion: int
    reasoning: int
    cached: int
    cache_write: int


class Answer(Struct, frozen=True):
    """A whole answer, reasoning and content cut into the pieces a stream sends."""

    reasoning: list[str]
    content: list[str]
    calls: list[Call]
    finish_reason: str
    usage: SimulatedUsage


def build_answer(
    body: Body,
    family: Family,
    conversation: Conversation,
    script: Script,
    speech: str,
    *,
    thinking: bool,
) -> Answer:
    """The answer to a request. `speech` is the last user message without its directives."""
    calls = _choose_calls(body, family, conversation, script)
    reasoning = _choose_reasoning(script, speech, thinking=thinking)
    text = _choose_text(body, conversation, script, speech, has_calls=bool(calls))
    reasoning_tokens, text_tokens = _count(reasoning), _count(text)
    cap = output_cap(body)
    is_cut = cap is not None and reasoning_tokens + text_tokens > cap
    if cap is not None and is_cut:
        reasoning_tokens = min(reasoning_tokens, cap)
        text_tokens = cap - reasoning_tokens
        reasoning = _first_words(reasoning, reasoning_tokens)
        text, calls = _first_words(text, text_tokens), []
    reasoning_pieces, pieces = _cut(reasoning), _cut_text(text, script)
    if script.think_tags and reasoning:
        pieces = ["<think>", *reasoning_pieces, "</think>", *pieces]
        text_tokens += reasoning_tokens
        reasoning_pieces, reasoning_tokens = [], 0
    finish = "length" if is_cut else "tool_calls" if calls else "stop"
    usage = SimulatedUsage(
        prompt=max(conversation.prompt_tokens, script.cached_tokens + script.cache_write_tokens),
        completion=(
            reasoning_tokens + text_tokens + sum(1 + _count(call.arguments) for call in calls)
        ),
        reasoning=reasoning_tokens,
        cached=script.cached_tokens,
        cache_write=script.cache_write_tokens,
    )
    return Answer(reasoning_pieces, pieces, calls, script.finish or finish, usage)


def _choose_calls(
    body: Body, family: Family, conversation: Conversation, script: Script
) -> list[Call]:
    """Scripted calls, else the forced one, with ids numbered as Kimi does."""
    wanted = [(tool.name, tool.arguments) for tool in script.tools]
    if not wanted and script.answer is None and script.chunks is None:
        function = _find_forced_function(body, family)
        if function is not None:
            arguments = make_instance(function.get("parameters") or {"type": "object"})
            wanted = [(function["name"], _encode(arguments))]
    return [
        Call(f"functions.{name}:{index}", name, arguments)
        for index, (name, arguments) in enumerate(wanted, conversation.calls)
    ]


def _find_forced_function(body: Body, family: Family) -> dict[str, Any] | None:
    choice = body.get("tool_choice")
    functions: list[dict[str, Any]] = [tool["function"] for tool in body.get("tools") or ()]
    if choice == "required":
        return functions[0] if functions else None
    if not isinstance(choice, dict) or family.ignores_named_tool:
        return None
    named = choice.get("function")
    name = named.get("name") if isinstance(named, dict) else None
    return next((function for function in functions if function["name"] == name), None)


def _choose_reasoning(script: Script, speech: str, *, thinking: bool) -> str:
    if script.reason is not None:
        return script.reason
    if not thinking and not script.think_tags:
        return ""
    return f"The last message has {_count(speech)} words. A plain answer will do."


def _choose_text(
    body: Body, conversation: Conversation, script: Script, speech: str, *, has_calls: bool
) -> str:
    """The content: scripted, or none beside calls, or made from the request."""
    if script.answer is not None:
        return script.answer
    if script.chunks is not None:
        return "".join([f"word{index} " for index in range(1, script.chunks + 1)])
    return "" if has_calls else _make_text(body, conversation, speech)


def _make_text(body: Body, conversation: Conversation, speech: str) -> str:
    response_format = body.get("response_format")
    kind = response_format.get("type") if isinstance(response_format, dict) else None
    if kind == "json_schema" and isinstance(response_format, dict):
        wanted = response_format.get("json_schema")
        return _encode(make_instance(wanted.get("schema") if isinstance(wanted, dict) else None))
    if conversation.results is not None:
        text = "\n".join(conversation.results) or "The tool gave nothing."
    else:
        text = f"You said: {speech[:_ECHO_CHARACTERS_MAX]}" if speech else "Hello."
        if conversation.images:
            plural = "" if conversation.images == 1 else "s"
            text = f"I see {conversation.images} image{plural}. {text}"
    return _encode({"answer": text}) if kind == "json_object" else text


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _count(text: str) -> int:
    return len(text.split())


def _first_words(text: str, count: int) -> str:
    """The beginning of a text that holds so many words."""
    ends = [word.end() for word in re.finditer(r"\S+", text)]
    return text[: ends[count - 1]] if count else ""


def _cut(text: str) -> list[str]:
    """Up to six pieces of at least four characters, as a model's tokens fall: anywhere."""
    return _cut_by(text, max(_PIECE_CHARACTERS_MIN, -(-len(text) // _PIECES)))


def _cut_text(text: str, script: Script) -> list[str]:
    """The content's pieces; `!chunks` sets how many, as far as there are characters."""
    if script.chunks is None:
        return _cut(text)
    if script.answer is None:
        return re.findall(r"\S+\s*", text)
    return _cut_by(text, max(1, -(-len(text) // max(script.chunks, 1))))


def _cut_by(text: str, characters: int) -> list[str]:
    return [text[start : start + characters] for start in range(0, len(text), characters)]
