"""What translators of other dialects share: chunks, a completion, signed reasoning, a failure.

Owns the writing only; what an event means is its dialect's. Source: OpenAI API reference, "The chat
completion chunk object".
"""

import time
from typing import Any

import msgspec

from gateway.errors import UpstreamBroken

Object = dict[str, Any]

_NO_EVENT = [b"?"]
_DONE = b"[DONE]"
#: what reading raises where something is missing, or is of another type
_ILL_FORMED = (ValueError, RecursionError, KeyError, TypeError, AttributeError)
encode_json = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class EventTranslator:
    """One answer of `upstream`; see `gateway.upstream.chat.reply.Translator`."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._created = int(time.time())
        self._head: Object = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": "",
        }

    def translate(self, data: bytes) -> list[bytes]:
        """The chunks of one event; usually one."""
        try:
            event = _decode(data)
            return [encode_json(each) for each in self._read(event)] + self._end(event)
        except _ILL_FORMED:
            return _NO_EVENT

    def translate_whole(self, document: Object) -> Object:
        """The completion of a whole answer."""
        try:
            return self._read_whole(document)
        except _ILL_FORMED:
            raise UpstreamBroken("The upstream sent something that is no answer.") from None

    def _read_whole(self, document: Object) -> Object:
        """One that did not come to its end has no finish reason."""
        raise NotImplementedError

    def _read(self, event: Object) -> list[Object]:
        """What is told before the end."""
        raise NotImplementedError

    def _end(self, event: Object) -> list[bytes]:
        """A complete end; nothing where this event is none."""
        raise NotImplementedError

    def _begin(self, answer: Object) -> list[Object]:
        """The first chunk, by the answer's own id and model."""
        self._head |= {"id": answer.get("id") or "", "model": answer.get("model") or ""}
        return [self._chunk({"role": "assistant", "content": ""})]

    def _chunk(self, delta: Object) -> Object:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return {**self._head, "choices": [choice]}

    def _arguments(self, position: int, fragment: str) -> Object:
        return self._chunk(
            {"tool_calls": [{"index": position, "function": {"arguments": fragment}}]}
        )

    def _finish(self, finish: Object, usage: Object | None) -> list[bytes]:
        """The last chunks: `finish` are the members of a choice that say why it ended."""
        last = {**self._head, "choices": [{"index": 0, "delta": {}, **finish}]}
        told = {**self._head, "choices": [], "usage": usage}
        return [encode_json(last), encode_json(told), _DONE]

    def _completion(
        self, answer: Object, message: Object, finish: Object, usage: Object | None
    ) -> Object:
        return {
            "id": answer.get("id") or "",
            "object": "chat.completion",
            "created": self._created,
            "model": answer.get("model") or "",
            "choices": [{"index": 0, "message": message, **finish}],
            "usage": usage,
        }

    def _signed(self, signature: str, *, is_redacted: bool = False) -> Object:
        """One of `reasoning_details` as the decoder reads it."""
        return {
            "type": "reasoning.encrypted" if is_redacted else "reasoning.text",
            "signature": signature,
            "upstream": self._upstream,
        }


def write_message(text: str, reasoning: str, details: list[Object], calls: list[Object]) -> Object:
    """The message of a completion; `details` are there only where one of them is signed."""
    message: Object = {"role": "assistant", "content": text or None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if any(detail.get("signature") for detail in details):
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    return message


def write_call(call_id: str, name: str, arguments: str) -> Object:
    """A call, whole or its beginning."""
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }


def write_usage(prompt: int, completion: int, cached: int, reasoning: int) -> Object:
    """Tokens: `prompt` includes `cached`, `completion` includes `reasoning`."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
