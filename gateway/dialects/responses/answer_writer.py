"""Turns the internal events of one answer into a response: frames of a stream, or one object.

    created → in_progress → items → completed | incomplete → [DONE]
                              └──── error → failed

At most one reasoning or message item is open; the next kind of event closes it. Calls stay open
until the end, since their arguments may interleave, and since an agent runs a tool as soon as it
sees its call done: no call is done before the upstream's answer is whole. Must never write `[DONE]`
after a failure. Source: OpenAI API reference, "Responses", streaming events.
"""

import time
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from itertools import count
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import FaregateError
from gateway.core.events import (
    CallArguments,
    CallStarted,
    Citation,
    Event,
    Finished,
    FinishReason,
    MessageStarted,
    Reasoning,
    Refusal,
    Signature,
    Text,
    Usage,
)
from gateway.core.request import SignedReasoning
from gateway.core.seal import Sealer
from gateway.dialects.base import Chunk, Completion, Exchange
from gateway.dialects.errors import render_openai
from gateway.dialects.responses.calls import ITEMS, Binding
from gateway.dialects.responses.logprobs import read_logprobs
from gateway.dialects.responses.output_items import (
    CallOutput,
    MessageOutput,
    OutputItem,
    PartKind,
    ReasoningOutput,
    frame,
)
from gateway.dialects.responses.request_reader import ResponsesSource
from gateway.dialects.responses.response_object import ErrorObject, IncompleteDetails, new_object
from gateway.dialects.responses.stored_responses import ResponseState, StoredResponse, stored_input
from gateway.dialects.responses.tables import (
    CALL_ID_LENGTH_MAX,
    INCOMPLETE_REASONS,
    error_code,
    write_usage,
)
from gateway.dialects.sse import DONE_FRAME, KEEP_ALIVE
from gateway.dialects.values import COUNTED_BYTES

_encode = msgspec.json.Encoder().encode
#: of the object: itself, and the two events that a stream begins with, until they are read
_COPIES = 3


class ResponseRenderer:
    """One answer. `state` is where it is kept, if it is to be kept.

    Making one raises `InvalidRequest` for what no response object can repeat.
    """

    def __init__(
        self,
        source: ResponsesSource,
        exchange: Exchange,
        sealer: Sealer,
        state: ResponseState | None,
        worker_thread: WorkerThread,
    ) -> None:
        self._worker_thread = worker_thread
        self._bindings = source.toolbox.bindings
        self._wants_logprobs = source.logprobs
        self._caller = exchange.caller
        self._sealer = sealer
        self._state = state
        self._tail = exchange.request_id.rpartition("_")[2]
        self._numbers = count()
        self._items: list[OutputItem] = []
        self._talking: ReasoningOutput | MessageOutput | None = None
        #: of the message under way, or to come
        self._phase: str | None = None
        #: of the text to come
        self._citations: list[Citation] = []
        self._calls: dict[int, CallOutput] = {}
        self._reason: FinishReason = "stop"
        # Tried now: what is kept once the content is out must not be able to fail.
        self._input: list[Raw] | None = None
        if source.keep and state is not None:
            self._input = stored_input(source.context, self._tail, state.bytes_max)
        self._object = new_object(
            source.body,
            source.toolbox.echo,
            id=f"resp_{self._tail}",
            model=exchange.model,
            created=exchange.created,
            store=self._input is not None,
        )
        self.kept_bytes = self._size() if source.size > COUNTED_BYTES else 0

    def open(self) -> list[bytes]:
        """The response is announced, and marked as in progress."""
        return [self._lifecycle("created"), self._lifecycle("in_progress")]

    def keep_alive(self) -> bytes:
        """A comment; it takes no sequence number."""
        return KEEP_ALIVE

    def feed(self, chunk: Chunk | Completion, events: Sequence[Event] | None = None) -> list[bytes]:
        """The frames of one chunk's events; `events` are these, if they were read already."""
        frames: list[bytes] = []
        data = chunk.data
        logprobs = read_logprobs(data) if self._wants_logprobs and data else []
        for event in chunk.events() if events is None else events:
            if type(event) is not Text:
                self._take(event, frames)
                continue
            message = self._talking
            if type(message) is not MessageOutput or message.part_kind != "output_text":
                message = self._message("output_text", frames)
            if logprobs:
                frames.append(message.add_with_logprobs(event.text, logprobs))
                logprobs = []
            else:
                frames.append(message.add(event.text))
            if self._citations:
                frames += map(message.annotate, self._citations)
                self._citations = []
        return frames

    async def close(self, usage: Usage | None) -> list[bytes]:
        """Close all items, keep the response, and only then report that it is complete."""
        frames = self._finish(usage)
        await self._keep()
        frames.append(self._lifecycle(self._object.status))
        frames.append(DONE_FRAME)
        return frames

    def fail(self, error: FaregateError) -> list[bytes]:
        """The error event and the failed response; what was open stays undone.

        The event carries its members twice: beside its type, as OpenAI documents them, and in
        `error`, as the Open Responses specification does and as the SDKs raise on.
        """
        envelope: Any = render_openai(error)["error"]
        self._object.status = "failed"
        self._object.error = ErrorObject(error_code(error), envelope["message"])
        self._object.output = self._output()
        self._object.store = False
        event = frame(
            "error",
            next(self._numbers),
            code=envelope["code"],
            message=envelope["message"],
            param=envelope["param"],
            error=envelope,
        )
        return [event, self._lifecycle("failed")]

    async def complete(self, answer: Completion) -> bytes:
        """The response object, kept before it is given away."""
        size = answer.size
        await self._worker_thread.run(
            self._caller.holder, size, partial(self._absorb_whole, answer)
        )
        await self._keep()
        return await self._worker_thread.run(
            self._caller.holder, size, partial(_encode, self._object)
        )

    def _absorb_whole(self, answer: Completion) -> None:
        match events := answer.events():
            case [Text(text), Finished(reason)] if not self._wants_logprobs:
                self._fill(text, reason)
            case _:  # their frames cost less than a second way to build every kind of item would
                self.feed(answer, events)
        self._finish(answer.usage)

    def _fill(self, text: str, reason: FinishReason) -> None:
        """The items of an answer that is one text."""
        self._reason = reason
        message = MessageOutput(self._item_id("msg", 0), 0, self._numbers, None)
        message.fill(text, "incomplete" if reason in INCOMPLETE_REASONS else "completed")
        self._items.append(message)

    def _take(self, event: Event, frames: list[bytes]) -> None:
        match event:
            case Reasoning(text=text):
                frames.append(self._reasoning(frames).add(text))
            case CallArguments(index=index, fragment=fragment):
                frames.extend(self._calls[index].add(fragment))
            case CallStarted():
                self._start_call(event, frames)
            case Refusal(text=text):
                frames.append(self._message("refusal", frames).add(text))
            case Finished(reason=reason):
                self._reason = reason
            case Signature():
                self._sign(event, frames)
            case Citation():
                self._cite(event, frames)
            case MessageStarted(phase=phase):
                self._phase = phase
                if isinstance(self._talking, MessageOutput):
                    self._close_current(frames)

    def _cite(self, citation: Citation, frames: list[bytes]) -> None:
        """Annotate the text under way, or the next one: some servers cite before they answer."""
        message = self._talking
        if isinstance(message, MessageOutput) and message.part_kind == "output_text":
            frames.append(message.annotate(citation))
        else:
            self._citations.append(citation)

    def _message(self, kind: PartKind, frames: list[bytes]) -> MessageOutput:
        """The open message with a part of this kind under way."""
        message = self._talking
        if not isinstance(message, MessageOutput):
            self._close_current(frames)
            index = len(self._items)
            item_id = self._item_id("msg", index)
            message = MessageOutput(item_id, index, self._numbers, self._phase)
            self._talking = message
            self._begin(message, frames)
        if message.part_kind != kind:
            frames.extend(message.switch(kind))
        return message

    def _reasoning(self, frames: list[bytes]) -> ReasoningOutput:
        reasoning = self._talking
        if not isinstance(reasoning, ReasoningOutput):
            self._close_current(frames)
            index = len(self._items)
            reasoning = ReasoningOutput(
                self._item_id("rs", index), index, self._numbers, self._seal
            )
            self._talking = reasoning
            self._begin(reasoning, frames)
        return reasoning

    def _sign(self, event: Signature, frames: list[bytes]) -> None:
        """End the reasoning under way; what is redacted is an item of its own."""
        if event.is_redacted:
            self._close_current(frames)
        self._reasoning(frames).signed = event
        self._close_current(frames)

    def _start_call(self, event: CallStarted, frames: list[bytes]) -> None:
        self._close_current(frames)
        # A name that nobody declared is a function's.
        binding = self._bindings.get(event.name) or Binding("function", event.name)
        index = len(self._items)
        item_id = self._item_id(ITEMS[binding.kind][1], index)
        call_id = self._call_id(event.id, index)
        call = CallOutput(item_id, index, self._numbers, call_id, binding)
        self._calls[event.index] = call
        self._begin(call, frames)

    def _begin(self, item: OutputItem, frames: list[bytes]) -> None:
        self._items.append(item)
        frames.extend(item.open())

    def _close_current(self, frames: list[bytes]) -> None:
        """Close the reasoning or message item that is open, if one is."""
        if self._talking is not None:
            frames.extend(self._talking.close("completed"))
            self._talking = None

    def _size(self) -> int:
        stored = sum(map(len, self._input)) if self._input is not None else 0
        return _COPIES * len(_encode(self._object)) + stored

    def _item_id(self, prefix: str, index: int) -> str:
        return f"{prefix}_{self._tail}_{index}"

    def _call_id(self, upstream_id: str, index: int) -> str:
        """The upstream's id, unless it is too long."""
        if 0 < len(upstream_id) <= CALL_ID_LENGTH_MAX:
            return upstream_id
        digest = sha256(f"{self._tail} {index} {upstream_id}".encode()).hexdigest()
        return f"call_{digest[:24]}"

    def _seal(self, text: str, signed: Signature | None) -> str:
        if signed is None:
            return self._sealer.seal(self._caller.account_id, text.encode())
        signed_block = SignedReasoning(text, signed.signature, signed.upstream, signed.is_redacted)
        return self._sealer.seal_reasoning(self._caller.account_id, signed_block)

    def _finish(self, usage: Usage | None) -> list[bytes]:
        """Close every item and fill in the object; only the last item can be incomplete."""
        frames: list[bytes] = []
        word = INCOMPLETE_REASONS.get(self._reason)
        details = None if word is None else IncompleteDetails(word)
        if not self._items:
            self._message("output_text", frames)
        for item in self._items:
            if item.raw is None:
                cut = details is not None and item is self._items[-1]
                frames.extend(item.close("incomplete" if cut else "completed"))
        self._talking = None
        self._object.incomplete_details = details
        self._object.status = "completed" if details is None else "incomplete"
        self._object.completed_at = int(time.time()) if details is None else None
        self._object.output = self._output()
        self._object.usage = write_usage(usage) if usage is not None else None
        return frames

    def _output(self) -> list[Raw]:
        return [item.raw for item in self._items if item.raw is not None]

    async def _keep(self) -> None:
        if self._input is None or self._state is None:
            return
        stored = StoredResponse(
            id=self._object.id,
            input=self._input,
            response=Raw(_encode(self._object)),
            created=self._object.created_at,
        )
        self._object.store = await self._state.save(self._caller, stored)

    def _lifecycle(self, status: str) -> bytes:
        return b'event: response.%b\ndata: {"type":"response.%b","sequence_number":%d,' % (
            status.encode(),
            status.encode(),
            next(self._numbers),
        ) + b'"response":%b}\n\n' % _encode(self._object)
