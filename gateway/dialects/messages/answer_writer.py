"""One answer in the Messages dialect, streamed or whole.

Owns the message around the content: its id, its stop reason and its usage. Must never call a
broken answer complete. Source: Anthropic API reference, "Messages" and "Streaming Messages".
"""

from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import FaregateError, UpstreamBroken
from gateway.core.events import Signature, Usage
from gateway.core.request import SignedReasoning
from gateway.core.seal import Sealer
from gateway.dialects.base import Chunk, Completion, Exchange, ParsedRequest
from gateway.dialects.errors import render_anthropic
from gateway.dialects.messages.block_assembly import Assembly, Block, read_input
from gateway.dialects.messages.request_reader import MessagesSource
from gateway.dialects.messages.stream_writer import MESSAGE_STOP, PING, Stream, block_start, frame
from gateway.dialects.messages.tables import write_usage


class MessagesRenderer:
    """Renders one answer; either the stream's methods or `complete` are used."""

    kept_bytes = 0

    def __init__(
        self, call: ParsedRequest, exchange: Exchange, sealer: Sealer, worker_thread: WorkerThread
    ) -> None:
        self._worker_thread = worker_thread
        self._source: MessagesSource = call.source
        self._exchange = exchange
        self._sealer = sealer
        self._assembly = Assembly(self._source.wants_one_call)
        self._stream = Stream(self._assembly, self._sign, self._source.hides_thinking)
        self._frames_count = 0

    def open(self) -> list[bytes]:
        """`message_start`, with an estimate of the input: clients manage their context by it."""
        usage = _usage(Usage(input=self._source.input_tokens, output=1))
        return [frame("message_start", {"message": self._message([], None, None, usage)})]

    def keep_alive(self) -> bytes:
        """A ping."""
        return PING

    def feed(self, chunk: Chunk) -> list[bytes]:
        """Frames for one chunk; none while a client wants its thinking hidden."""
        if self._source.wants_nothing:
            return []
        frames = self._stream.push(chunk.events())
        self._frames_count += len(frames)
        return frames

    async def close(self, usage: Usage | None) -> list[bytes]:
        """The last block's end, then stop reason and usage."""
        frames = self._stream.finish()
        stop_reason, stop_sequence = self._stop()
        delta: dict[str, Any] = {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
        if stop_reason == "refusal":
            delta["stop_details"] = _REFUSAL
        # An upstream that reports no usage: about one token a frame, and the estimate stays.
        usage_members = (
            {"output_tokens": self._frames_count}
            if usage is None
            else write_usage(self._counted(usage))
        )
        frames.append(frame("message_delta", {"delta": delta, "usage": usage_members}))
        frames.append(MESSAGE_STOP)
        return frames

    def fail(self, error: FaregateError) -> list[bytes]:
        """An `error` event; the blocks stay open, so that nobody takes them for complete."""
        envelope = render_anthropic(error, self._exchange.request_id)
        return [frame("error", envelope)]

    async def complete(self, answer: Completion) -> bytes:
        """The whole message. Raises `UpstreamBroken` for a call that nobody could carry out."""
        holder = self._exchange.caller.holder
        return await self._worker_thread.run(holder, answer.size, partial(self._whole, answer))

    def _whole(self, answer: Completion) -> bytes:
        if not self._source.wants_nothing:
            for event in answer.events():
                self._assembly.add(event)
        stop_reason, stop_sequence = self._stop()
        content = [
            rendered
            for block in self._assembly.whole()
            if (rendered := self._content(block, stop_reason)) is not None
        ]
        usage = _usage(self._counted(answer.usage or Usage(input=self._source.input_tokens)))
        message = self._message(content, stop_reason, stop_sequence, usage)
        return msgspec.json.encode(message)

    def _message(
        self,
        content: list[dict[str, Any]],
        stop_reason: str | None,
        stop_sequence: str | None,
        usage: dict[str, Any],
    ) -> dict[str, Any]:
        return {
            "id": "msg_" + self._exchange.request_id.rpartition("_")[2],
            "type": "message",
            "role": "assistant",
            "model": self._exchange.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": stop_sequence,
            "stop_details": _REFUSAL if stop_reason == "refusal" else None,
            "usage": usage,
        }

    def _content(self, block: Block, stop_reason: str) -> dict[str, Any] | None:
        """One block; None for a call that was cut off by the cap on output tokens."""
        content, text = block_start(block, self._sign), "".join(block.pieces)
        match block.kind:
            case "text":
                content["text"] = text
            case "thinking":
                content["thinking"] = "" if self._source.hides_thinking else text
                content["signature"] = self._sign(text.encode(), block.signed)
            case "tool_use":
                content["input"] = read_input(text.encode() or b"{}")
                if content["input"] is None and stop_reason == "max_tokens":
                    return None
                if content["input"] is None:
                    raise UpstreamBroken(
                        "The upstream called a tool with arguments that are not a JSON object."
                    )
        return content

    def _stop(self) -> tuple[str, str | None]:
        if self._source.wants_nothing:
            return "max_tokens", None
        return self._assembly.stop()

    def _counted(self, usage: Usage) -> Usage:
        """The upstream's counts; a request for nothing gets none of the output it paid for."""
        return replace(usage, output=0, reasoning=0) if self._source.wants_nothing else usage

    def _sign(self, reasoning: bytes, signed: Signature | None) -> str:
        """The signature of a thinking block: its text, sealed for the account that asked.

        An upstream's own signature is sealed with it.
        """
        account_id = self._exchange.caller.account_id
        if signed is None:
            return self._sealer.seal(account_id, reasoning)
        signed_block = SignedReasoning(
            reasoning.decode(), signed.signature, signed.upstream, signed.is_redacted
        )
        return self._sealer.seal_reasoning(account_id, signed_block)


_REFUSAL = {"type": "refusal", "category": None, "explanation": None}


def _usage(usage: Usage) -> dict[str, Any]:
    """A message's usage; clients fail without the members about caches."""
    return {
        **write_usage(usage),
        "cache_creation": {
            "ephemeral_5m_input_tokens": max(0, usage.cache_write - usage.cache_write_hour),
            "ephemeral_1h_input_tokens": usage.cache_write_hour,
        },
        "service_tier": "standard",
    }
