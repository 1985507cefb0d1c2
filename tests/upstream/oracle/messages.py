"""From a Messages answer to chat: each event to chunks, a whole message to a completion.

    message_start ─▶ role        thinking ─▶ reasoning_content     text ─▶ content
    tool_use ─▶ tool_calls       error ─▶ an error object          ping, anything new ─▶ nothing
    signature, redacted_thinking ─▶ reasoning_details, with the upstream's name
    message_delta ─▶ remembered  message_stop ─▶ finish reason, usage, [DONE]

The finish reason waits for `message_stop`: a stream without one is not complete, and must not look
as if it were. Source: Anthropic API reference, "Messages" and "Streaming messages".
"""

from typing import Any

from gateway.upstream.chat.tally import read_count
from tests.upstream.oracle.translation import (
    EventTranslator,
    encode_json,
    write_call,
    write_message,
    write_usage,
)

Object = dict[str, Any]

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
#: the status that an error of this type would have had
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class MessagesTranslator(EventTranslator):
    """One answer of `upstream`; see `gateway.upstream.chat.reply.Translator`."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._usage: Object = {}
        self._stop: Object = {}
        #: block index -> position of its call among the calls, and whether it has arguments
        self._calls: dict[int, int] = {}
        self._with_arguments: set[int] = set()
        #: block index -> signature of its thinking; the last one counts
        self._signatures: dict[int, str] = {}

    def _read_whole(self, document: Object) -> Object:
        if document.get("error"):
            return {"error": _error(document["error"])}
        text, reasoning, calls, details = "", "", [], []
        for block in document.get("content") or ():
            match block.get("type"):
                case "text":
                    text += block.get("text") or ""
                case "thinking":
                    reasoning += block.get("thinking") or ""
                    detail = {"text": block.get("thinking") or ""}
                    details.append(detail | self._signed(block.get("signature") or ""))
                case "redacted_thinking" if block.get("data"):
                    details.append(self._signed(block["data"], is_redacted=True))
                case "tool_use":
                    calls.append(_call(block, encode_json(block.get("input") or {}).decode()))
        return self._completion(
            document,
            write_message(text, reasoning, details, calls),
            _finish(document),
            _write_usage(document.get("usage")),
        )

    def _read(self, event: Object) -> list[Object]:
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._note_usage(message.get("usage"))
                return self._begin(message)
            case "content_block_start":
                return self._start_block(event["index"], event["content_block"])
            case "content_block_delta":
                return self._read_delta(event["index"], event["delta"])
            case "content_block_stop":
                return self._stop_block(event["index"])
            case "message_delta":
                self._stop |= {k: v for k, v in event["delta"].items() if v is not None}
                self._note_usage(event.get("usage"))
            case "error":
                return [{"error": _error(event["error"])}]
        return []

    def _end(self, event: Object) -> list[bytes]:
        if event["type"] != "message_stop":
            return []
        return self._finish(_finish(self._stop), _write_usage(self._usage))

    def _start_block(self, index: int, block: Object) -> list[Object]:
        """Content that stands in the start already is told: some engines send blocks whole."""
        match block.get("type"):
            case "tool_use":
                position = self._calls[index] = len(self._calls)
                arguments = encode_json(block["input"]).decode() if block.get("input") else ""
                if arguments:
                    self._with_arguments.add(index)
                call = {"index": position, **_call(block, arguments)}
                return [self._chunk({"tool_calls": [call]})]
            case "text" if block.get("text"):
                return [self._chunk({"content": block["text"]})]
            case "thinking":
                self._sign(index, block.get("signature"))
                if block.get("thinking"):
                    return [self._chunk({"reasoning_content": block["thinking"]})]
            case "redacted_thinking" if block.get("data"):
                detail = self._signed(block["data"], is_redacted=True)
                return [self._chunk({"reasoning_details": [detail]})]
        return []

    def _read_delta(self, index: int, delta: Object) -> list[Object]:
        match delta.get("type"):
            case "text_delta":
                return [self._chunk({"content": delta["text"]})]
            case "thinking_delta":
                return [self._chunk({"reasoning_content": delta["thinking"]})]
            case "signature_delta":
                self._sign(index, delta["signature"])
            case "input_json_delta" if index in self._calls and delta["partial_json"]:
                self._with_arguments.add(index)
                return [self._arguments(self._calls[index], delta["partial_json"])]
        return []

    def _stop_block(self, index: int) -> list[Object]:
        """Thinking is signed; a call without arguments has those of an empty object."""
        if index in self._signatures:
            detail = self._signed(self._signatures.pop(index))
            return [self._chunk({"reasoning_details": [detail]})]
        if index not in self._calls or index in self._with_arguments:
            return []
        return [self._arguments(self._calls[index], "{}")]

    def _note_usage(self, told: Any) -> None:
        if isinstance(told, dict):
            self._usage |= {k: v for k, v in told.items() if v is not None}

    def _sign(self, index: int, signature: str | None) -> None:
        if signature:
            self._signatures[index] = signature


def _call(block: Object, arguments: str) -> Object:
    return write_call(block["id"], block["name"], arguments)


def _finish(stop: Object) -> Object:
    """The members of a choice that say why it ended."""
    told = stop.get("stop_reason")
    members: Object = {"finish_reason": _REASONS.get(told, "stop") if told else None}
    if told == "stop_sequence" and stop.get("stop_sequence"):
        members["stop_reason"] = stop["stop_sequence"]
    return members


def _write_usage(told: Any) -> Object:
    """Messages counts what was read from and written to a cache beside its input, chat within."""
    cached = read_count(told, "cache_read_input_tokens")
    written = read_count(told, "cache_creation_input_tokens")
    details = told.get("output_tokens_details") if isinstance(told, dict) else None
    return write_usage(
        read_count(told, "input_tokens") + cached + written,
        read_count(told, "output_tokens"),
        cached,
        read_count(details, "thinking_tokens"),
    )


def _error(error: Any) -> Object:
    known = error if isinstance(error, dict) else {"message": str(error)}
    return {**known, "code": _STATUSES.get(known.get("type", ""), 500)}
