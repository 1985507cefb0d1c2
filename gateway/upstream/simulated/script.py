"""Directives: from the user's text to a plan for the answer.

Owns the grammar, which is described in the package's docstring and in docs/reference/simulated.md.
It must never look at anything but that text, its turn and what of the request is `Asked` about.
"""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from gateway.upstream.simulated.conversation import UserText
from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.exchange import HELD

_CHUNKS_MAX = 100_000
_CHOICES_MAX = 128
_SECONDS_MAX = 3600.0
_USAGE_PLACES = ("final", "choice", "both", "finish", "none")
_REASON_MEMBERS = ("reasoning_content", "reasoning", "reasoning_details")


class Asked(Struct, frozen=True):
    """The facts that a scope may depend on: the model's id, the names of the tools, stream
    or not."""

    model: str
    tools: frozenset[str] = frozenset()
    stream: bool = False


class ScriptedCall(Struct, frozen=True):
    """One `!tool`: `arguments` is sent as it is, valid or not."""

    name: str
    arguments: str


class ScriptedError(Struct, frozen=True):
    """One `!error`."""

    status: int
    type: str | None = None
    retry_after_seconds: int | None = None


class Script(Struct, frozen=True, kw_only=True):
    """The directives of one turn. Counts are of chunks, from 1 for the role."""

    answer: str | None = None
    chunks: int | None = None
    delay_seconds: float = 0.0
    tools: tuple[ScriptedCall, ...] = ()
    interleave: bool = False
    late_name: bool = False
    reason: str | None = None
    reason_as: str = "reasoning_content"
    think_tags: bool = False
    finish: str | None = None
    choices: int | None = None
    block: str | None = None
    end_early: bool = False
    no_done: bool = False
    error: ScriptedError | None = None
    error_event: bool = False
    cut: int | None = None
    hang_up: bool = False
    silence_seconds: float = 0.0
    stall_after: int | None = None
    stall_seconds: float = 0.0
    usage: str | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_hour: bool = False
    split: bool = False
    coalesce: bool = False
    spaces: bool = False
    tight: bool = False
    comments: bool = False


UNSCRIPTED = Script()


def read_script(user_texts: Sequence[UserText], asked: Asked) -> tuple[Script, str]:
    """The script of this turn, and the newest text without its directives.

    The newest message with directives is the script, so that what a client adds behind it (a
    tool's image, a reminder) does not end it. Raises `Refused` when a known directive has a bad
    argument.
    """
    newest = user_texts[-1].text if user_texts else ""
    for message in reversed(user_texts):
        if message.text.startswith("!") or "\n!" in message.text:
            script, speech, is_script = _read(message, asked)
            if is_script:
                return script, speech if message is user_texts[-1] else newest
    return UNSCRIPTED, newest


def _read(message: UserText, asked: Asked) -> tuple[Script, str, bool]:
    """Script and speech of one message, and whether it holds any directive."""
    fields: dict[str, Any] = {}
    lines = message.text.replace("\r\n", "\n").split("\n")
    speech: list[str] = []
    turn, scopes = 0, dict.fromkeys(SCOPES, True)
    for line in lines:
        name, _, argument = line.partition(" ")
        if name == "!then":
            turn, scopes = turn + 1, dict.fromkeys(SCOPES, True)
        elif name in SCOPES:
            scopes[name] = SCOPES[name](argument.strip(), asked)
        elif name not in DIRECTIVES:
            speech.append(line)
        elif turn == message.turn and all(scopes.values()):
            _merge(fields, DIRECTIVES[name](argument))
    return Script(**fields), "\n".join(speech).strip(), len(speech) < len(lines)


def _merge(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    """Repeated lines of text are joined, repeated tools listed; for the rest the last counts."""
    for name, value in changes.items():
        if name in ("answer", "reason") and name in fields:
            fields[name] += "\n" + value
        elif name == "tools":
            fields[name] = (*fields.get(name, ()), *value)
        else:
            fields[name] = value


def _bad(directive: str, wanted: str) -> Refused:
    return Refused(f"simulated upstream: {directive} wants {wanted}")


def _count(directive: str, text: str, largest: int = _CHUNKS_MAX) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > largest:
        raise _bad(directive, f"a number from 0 to {largest}")
    return int(text)


def _seconds(directive: str, text: str, unit: float = 1.0) -> float:
    try:
        seconds = float(text) * unit
    except ValueError:
        raise _bad(directive, "a duration") from None
    if not 0 <= seconds <= _SECONDS_MAX:
        raise _bad(directive, f"at most {_SECONDS_MAX:g} seconds")
    return seconds


def _pause(directive: str, text: str) -> float:
    return HELD if text.strip() == "hold" else _seconds(directive, text)


def _one_of(directive: str, text: str, values: tuple[str, ...]) -> str:
    if text not in values:
        raise _bad(directive, f"one of {', '.join(values)}")
    return text


def _text(field: str) -> Callable[[str], dict[str, Any]]:
    return lambda argument: {field: argument.replace("\\n", "\n")}


def _flag(**changes: Any) -> Callable[[str], dict[str, Any]]:
    return lambda _argument: changes


def _read_chunks(argument: str) -> dict[str, Any]:
    count, *delay = argument.split() or [""]
    chunks = _count("!chunks", count)
    return {
        "chunks": chunks,
        "delay_seconds": _seconds("!chunks", delay[0], 0.001) if delay else 0.0,
    }


def _read_tool(argument: str) -> dict[str, Any]:
    name, _, arguments = argument.strip().partition(" ")
    if not name:
        raise _bad("!tool", "a name")
    return {"tools": (ScriptedCall(name, arguments.strip() or "{}"),)}


def _read_error(argument: str) -> dict[str, Any]:
    words = argument.split()
    status = _count("!error", words[0] if words else "", 599)
    if status < 400:
        raise _bad("!error", "a status from 400 to 599")
    numbers = [word for word in words[1:] if word.isdigit()]
    types = [word for word in words[1:] if not word.isdigit()]
    retry_after = _count("!error", numbers[0]) if numbers else None
    return {"error": ScriptedError(status, types[0] if types else None, retry_after)}


def _read_stall(argument: str) -> dict[str, Any]:
    after, _, seconds = argument.strip().partition(" ")
    return {
        "stall_after": _count("!stall", after),
        "stall_seconds": _pause("!stall", seconds),
    }


def _is_when(argument: str, asked: Asked) -> bool:
    kind, _, name = argument.partition(" ")
    match kind:
        case "*" | "stream" | "whole" | "no-tools" if not name:
            return {
                "*": True,
                "stream": asked.stream,
                "whole": not asked.stream,
                "no-tools": not asked.tools,
            }[kind]
        case "tool" if name:
            return name in asked.tools
    raise _bad("!when", "stream, whole, no-tools, tool NAME or *")


def _read_finish(argument: str) -> dict[str, Any]:
    if not argument.strip():
        raise _bad("!finish", "a finish_reason")
    return {"finish": argument.strip()}


DIRECTIVES: dict[str, Callable[[str], dict[str, Any]]] = {
    "!answer": _text("answer"),
    "!chunks": _read_chunks,
    "!tool": _read_tool,
    "!interleave": _flag(interleave=True),
    "!late-name": _flag(late_name=True),
    "!reason": _text("reason"),
    "!reason-as": lambda member: {
        "reason_as": _one_of("!reason-as", member.strip(), _REASON_MEMBERS)
    },
    "!think-tags": _flag(think_tags=True),
    "!refuse": _flag(finish="content_filter"),
    "!length": _flag(finish="length"),
    "!finish": _read_finish,
    "!block": lambda reason: {"block": reason.strip() or "SAFETY"},
    "!choices": lambda count: {"choices": _count("!choices", count.strip(), _CHOICES_MAX)},
    "!end-early": _flag(end_early=True),
    "!no-done": _flag(no_done=True),
    "!error": _read_error,
    "!error-event": _flag(error_event=True),
    "!cut": lambda count: {"cut": _count("!cut", count.strip())},
    "!hang-up": _flag(hang_up=True),
    "!silence": lambda seconds: {"silence_seconds": _pause("!silence", seconds)},
    "!stall": _read_stall,
    "!usage": lambda place: {"usage": _one_of("!usage", place.strip(), _USAGE_PLACES)},
    "!cached": lambda count: {"cached_tokens": _count("!cached", count.strip(), 10_000_000)},
    "!cache-write": lambda count: {
        "cache_write_tokens": _count(
            "!cache-write", count.removesuffix(" hour").strip(), 10_000_000
        ),
        "cache_write_hour": count.endswith(" hour"),
    },
    "!split": _flag(split=True),
    "!coalesce": _flag(coalesce=True),
    "!spaces": _flag(spaces=True),
    "!tight": _flag(tight=True),
    "!comments": _flag(comments=True),
}

#: directives that choose the requests for which the following ones count
SCOPES: dict[str, Callable[[str, Asked], bool]] = {
    "!only": lambda argument, asked: argument in ("*", asked.model),
    "!when": _is_when,
}
