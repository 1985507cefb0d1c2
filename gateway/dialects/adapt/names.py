"""Names of tools as an upstream takes them, and the way back to the client's.

    client's name ── the profile takes it ──▶ as it is
          └── too long, or of other characters ──▶ legible_part_of_it_<hash> ──▶ … ──▶ client's name

Tools of MCP servers have such names. Equal requests get equal names, and no two names of one
request become one. Must never keep anything: a name is cut to the same in every turn.
"""

import re
from hashlib import sha256

from msgspec.structs import replace

from gateway.core.profile import Profile
from gateway.core.request import AssistantMessage, Message, Request

#: what every provider takes, so that a name is the same before each
_LENGTH_MAX = 64
_OTHERS = re.compile(r"[^a-zA-Z0-9_-]")
_NO_BEGINNING = re.compile(r"[^a-zA-Z_]")
_DIGITS_MIN = 12


def fit_names(request: Request, profile: Profile) -> tuple[Request, dict[str, str]]:
    """The request with names that the profile takes, and the client's by those that were cut.

    Where a name is cut, the client's own bytes do not go to the upstream.
    """
    given = _names_of(request)
    takes = profile.tool_name.fullmatch
    cut = [name for name in sorted(given) if name and takes(name) is None]
    if not cut:
        return request, {}
    sent: dict[str, str] = {}
    for name in cut:
        sent[name] = _cut(name, given)
        given.add(sent[name])
    choice = request.tool_choice
    if choice is not None and choice.name in sent:
        choice = replace(choice, name=sent[choice.name])
    fitted = replace(
        request,
        messages=tuple([_rename(message, sent) for message in request.read()]),
        tools=tuple([replace(tool, name=sent.get(tool.name, tool.name)) for tool in request.tools]),
        tool_choice=choice,
        written=None,
        raw=None,
    )
    return fitted, {short: name for name, short in sent.items()}


def _names_of(request: Request) -> set[str]:
    """The names of all tools, and of all calls in the history."""
    names: set[str] = set()
    for tool in request.tools:
        names.add(tool.name)
    for message in request.messages:
        if type(message) is AssistantMessage:
            for call in message.calls:
                names.add(call.name)
    if request.written is not None:
        names |= request.written.call_names
    return names


def _cut(name: str, taken: set[str]) -> str:
    """A name that every provider takes, and that nothing in `taken` has."""
    legible = _OTHERS.sub("_", name)
    if _NO_BEGINNING.match(legible):
        legible = f"_{legible}"
    digest = sha256(name.encode()).hexdigest()
    size = _DIGITS_MIN
    while (short := f"{legible[: _LENGTH_MAX - 1 - size]}_{digest[:size]}") in taken:
        size += 1
    return short


def _rename(message: Message, sent: dict[str, str]) -> Message:
    if not isinstance(message, AssistantMessage) or not message.calls:
        return message
    calls = [replace(call, name=sent.get(call.name, call.name)) for call in message.calls]
    return replace(message, calls=tuple(calls))
