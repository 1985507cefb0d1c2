"""The facts that the gateway needs of every chunk, which fits narrow types or is put into them.

    fits ── neither usage, error nor finish reason ──▶ plain
      │  └─ any of them ──▶ remembered
      └─ does not ──▶ straightened, then as above

Choices that nobody asked for are left out here, before anybody reads them.

Readers and writers behind this get the reference's types in every member they read, so that one
odd member neither breaks an answer nor reaches a client.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct, field

from gateway.core.errors import UpstreamBroken
from gateway.core.events import Usage
from gateway.dialects.chat.asked_choices import join_calls, keep_choices
from gateway.dialects.chat.odd_answers import Known, straighten
from gateway.dialects.chat.tables import read_more_usage
from gateway.dialects.finish_reasons import FAILED, FINISH_REASONS, NO_REASON
from gateway.dialects.odd_values import INDEX_MAX

T = TypeVar("T")
Choice = TypeVar("Choice", bound="_ScannedEnd")

_Id = Annotated[str, Meta(min_length=1)]
_Index = Annotated[int, Meta(ge=0, le=INDEX_MAX)]
#: no reason is null, and neither empty nor a word for it
_Reason = Annotated[str, Meta(pattern=f"^(?!({'|'.join(NO_REASON)})?$)")]


class _ScannedFunction(Struct, gc=False):
    #: neither this nor a call's id is null: clients put that in place of what came before
    name: str = ""
    arguments: str | None = None
    #: other names of the arguments
    input: None = None
    parameters: None = None
    args: None = None


class _ScannedCall(Struct, gc=False, kw_only=True):
    index: _Index | None = None
    id: str = ""
    type: str = ""
    function: _ScannedFunction


class _ScannedDelta(Struct, gc=False):
    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_text: None = None
    thinking: None = None
    reasoning_details: list[Raw] | None = None
    refusal: str | None = None
    tool_calls: list[_ScannedCall] | None = None
    function_call: _ScannedFunction | None = None

    def has_content(self) -> bool:
        return bool(
            self.content
            or self.reasoning_content
            or self.reasoning
            or self.reasoning_details
            or self.refusal
            or self.has_calls()
        )

    def has_calls(self) -> bool:
        return bool(self.tool_calls or self.function_call)


class _ScannedEnd(Struct, gc=False, kw_only=True):
    index: _Index
    finish_reason: str | None = None
    #: the provider's own word behind a router, which may call every end a stop
    native_finish_reason: str | None = None
    logprobs: dict[str, Raw] | None = None
    usage: Any = None
    #: why it failed, as OpenRouter has it
    error: Any = None


class _ScannedChoice(_ScannedEnd, gc=False, kw_only=True):
    delta: _ScannedDelta
    finish_reason: _Reason | None = None


class _ScannedWholeChoice(_ScannedEnd, gc=False, kw_only=True):
    message: _ScannedDelta


class _Succeeded(Struct, gc=False):
    """The outcome that MiniMax puts beside an answer."""

    status_code: Literal[0] = 0


class _Scanned(Struct, gc=False, kw_only=True):
    id: _Id
    created: int
    model: str | None = None
    usage: Any = None
    error: Any = None
    outcome: _Succeeded | None = field(default=None, name="base_resp")


class _ScannedChunk(_Scanned, gc=False, kw_only=True):
    object: Literal["chat.completion.chunk"]
    choices: list[_ScannedChoice]


class _ScannedCompletion(_Scanned, gc=False, kw_only=True):
    object: Literal["chat.completion"]
    choices: list[_ScannedWholeChoice]


_encode = msgspec.json.Encoder().encode
_decode_chunk = msgspec.json.Decoder(_ScannedChunk).decode
_decode_completion = msgspec.json.Decoder(_ScannedCompletion).decode


class ChunkScanner:
    """The facts that one answer has shown so far.

    `choices` is how many were asked for; the upstream may give fewer, and those above are left out.
    Only where there may be several is it looked at which have begun.
    """

    def __init__(self, choices: int) -> None:
        self._choices = choices
        #: begun, and not finished
        self._open: set[int] = set()
        self._finished: set[int] = set()
        #: a choice went on beside its reason or behind it, so no reason proves the answer's end
        self._goes_on = False
        #: a delta had content, so a message behind it is the same once more
        self._has_content = False
        #: choices with calls behind their reason, and no reason behind those
        self._late: set[int] = set()
        #: the upstream's index of the only choice that was asked for
        self._only = 0
        self.usage: Usage | None = None
        self.unknown_reason: str | None = None
        self.error: Any = None
        #: of the chunks so far; Azure's first one has neither choices nor these
        self._id = ""
        self._created = 0

    def repeat_reasons(self) -> bytes:
        """A last chunk for the choices whose reason came before their calls.

        Readers judge calls, and end them, at a reason. One that cut an answer off stays.
        """
        ends = [{"index": i, "delta": {}, "finish_reason": "stop"} for i in sorted(self._late)]
        kind = "chat.completion.chunk"
        return _encode({"id": self._id, "object": kind, "created": self._created, "choices": ends})

    @property
    def complete(self) -> bool:
        """True if there is an answer, and every choice of it has its finish reason."""
        return bool(self._finished) and not self._open

    @property
    def needs_no_more(self) -> bool:
        """True if even a connection that breaks now takes nothing from the answer.

        Some servers write a reason into every chunk: their answers must end as a body does.
        """
        return len(self._finished) >= self._choices and not (self._open or self._goes_on)

    def add(self, data: bytes) -> tuple[bytes, bool]:
        """Remember the facts of a chunk; returns it as it goes on, and whether it is plain."""
        given = data
        try:
            chunk = _decode_chunk(data)
        except (ValueError, RecursionError):
            chunk = None
        if chunk is None or (self._id and chunk.id != self._id):
            data, straight = self._straighten(data, _decode_chunk, is_whole=False)
            chunk = straight
        if chunk.choices:
            if chunk.choices[0].index and self._choices == 1 and not self._id:
                self._only = min(choice.index for choice in chunk.choices)
            self._id, self._created = chunk.id, chunk.created
        is_plain = chunk.usage is None and chunk.error is None and self._choices == 1
        is_odd = self._only > 0
        for choice in chunk.choices:
            delta = choice.delta
            if delta.content or delta.reasoning_content or delta.tool_calls:
                self._has_content = data is given or b'"delta"' in given
            is_odd = is_odd or choice.index >= self._choices
            if choice.finish_reason or choice.usage is not None or choice.error is not None:
                is_plain = False
        if is_plain and not (is_odd or (self._finished and chunk.choices)):
            return data, True
        if is_odd:
            data = self._leave_out(data, chunk.choices)
        self._follow(chunk.choices)
        return data, self._note(chunk) and not is_odd

    def add_whole(self, body: bytes) -> bytes:
        """Remember the facts of a completion; returns it as it goes on."""
        try:
            answer = _decode_completion(body)
        except (ValueError, RecursionError):
            body, answer = self._straighten(body, _decode_completion, is_whole=True)
        choices = answer.choices
        is_odd = len(choices) > self._choices
        for position, choice in enumerate(choices):
            is_odd = is_odd or choice.index != position
            choice.index = position
        if is_odd:
            if self._choices == 1 and _is_split(choices):
                body = join_calls(body)
            body = self._leave_out(body, choices)
        for choice in choices:
            if not choice.finish_reason:
                self._open.add(choice.index)
        self._note(answer)
        return body

    def _follow(self, choices: Sequence[_ScannedChoice]) -> None:
        """Note which choices go on beside a reason or behind it."""
        for choice in choices:
            if choice.finish_reason or choice.index in self._finished:
                self._goes_on = self._goes_on or choice.delta.has_content()
            if choice.finish_reason:
                self._late -= {choice.index}
            elif choice.index in self._finished and choice.delta.has_calls():
                self._late |= {choice.index}

    def _leave_out(self, data: bytes, choices: list[Choice]) -> bytes:
        """The answer without the choices that nobody asked for; those go from `choices` too."""
        most = self._choices
        if most == 1:
            for choice in choices:
                choice.index = 0 if choice.index == self._only else 1
        data = keep_choices(data, [each.index if each.index < most else None for each in choices])
        choices[:] = [choice for choice in choices if choice.index < most]
        return data

    def _straighten(
        self, data: bytes, decode: Callable[[bytes], T], *, is_whole: bool
    ) -> tuple[bytes, T]:
        try:
            known = Known(self._id, self._created, self._has_content)
            straight = straighten(data, known, is_whole=is_whole)
            return straight, decode(straight)
        except (ValueError, OverflowError, RecursionError):
            kind = "no answer" if is_whole else "not a chunk"
            raise UpstreamBroken(f"The upstream sent something that is {kind}.") from None

    def _note(self, chunk: _ScannedChunk | _ScannedCompletion) -> bool:
        self.error = self.error or chunk.error
        usage = chunk.usage
        is_plain = usage is None and chunk.error is None
        for choice in chunk.choices:
            usage = usage or choice.usage
            reason = choice.finish_reason
            if reason or choice.usage is not None:
                is_plain = False
            self.error = self.error or choice.error
            if self.error:
                return False
            for word in (reason, choice.native_finish_reason):
                if reason and word in FAILED:
                    raise UpstreamBroken(f"The upstream broke off its answer: {word}.")
            if reason:
                if reason not in FINISH_REASONS:
                    self.unknown_reason = reason
                self._finished.add(choice.index)
                if self._open:
                    self._open.discard(choice.index)
            elif self._choices > 1 and choice.index not in self._finished:
                self._open.add(choice.index)
        if usage:
            self.usage = read_more_usage(self.usage, usage)
        return is_plain


def _is_split(choices: Sequence[_ScannedWholeChoice]) -> bool:
    """True if the answer ends with calls that the first choice does not hold."""
    first, *others = choices
    if first.message.tool_calls:
        return False
    for choice in others:
        if choice.message.tool_calls:
            reasons = (first.finish_reason, choice.finish_reason)
            return any(FINISH_REASONS.get(reason or "") == "tool_calls" for reason in reasons)
    return False


class _FirstChoice(Struct):
    delta: dict[str, Any] | None = None
    finish_reason: str | None = None


class _FirstChunk(Struct):
    choices: list[_FirstChoice] | None = None


_decode_first = msgspec.json.Decoder(_FirstChunk).decode


def has_content(data: bytes) -> bool:
    """True if a chunk holds more than the role."""
    try:
        choices = _decode_first(data).choices or ()
    except (ValueError, RecursionError):
        return True
    return any(
        choice.finish_reason or any(v for k, v in (choice.delta or {}).items() if k != "role")
        for choice in choices
    )
