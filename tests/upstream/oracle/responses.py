"""From a Responses answer to chat: each event to chunks, a whole response to a completion.

    created ─▶ remembered            summary, reasoning_text ─▶ reasoning_content
    output_item.added ─▶ role, call  output_text ─▶ content    refusal ─▶ refusal
    output_item.done ─▶ what no delta told, and encrypted_content with the upstream's name
    completed, incomplete ─▶ finish reason, usage, [DONE]
    failed, error ─▶ an error object                           anything new ─▶ nothing

A stream that ends with neither of those is not complete, and has no finish reason. Source: OpenAI
API reference, "Create a model response" and "Streaming events".
"""

from typing import Any

from gateway.upstream.chat.tally import read_count
from tests.upstream.oracle.translation import (
    EventTranslator,
    write_call,
    write_message,
    write_usage,
)

Object = dict[str, Any]

_REASONING = "reasoning_content"
_PARAGRAPH = "\n\n"
_SUMMARY = "response.reasoning_summary_text.delta"
#: events that hold a piece of what is said -> the member of a chat message
_DELTAS = {
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    _SUMMARY: _REASONING,
    "response.reasoning_text.delta": _REASONING,
}
#: parts of items -> the same member, and where the text stands
_PARTS = {
    "output_text": ("content", "text"),
    "refusal": ("refusal", "refusal"),
    "summary_text": (_REASONING, "text"),
    "reasoning_text": (_REASONING, "text"),
}
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}
#: the status that an error of this code or type would have had
_STATUSES = {
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "rate_limit_exceeded": 429,
    "server_is_overloaded": 503,
    "slow_down": 503,
}


class ResponsesTranslator(EventTranslator):
    """One answer of `upstream`; see `gateway.upstream.chat.reply.Translator`."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self._response: Object = {}
        self._is_begun = False
        #: index of an item -> the kind of its first delta
        self._told: dict[int, str] = {}
        #: index of an item -> position of its call among the calls
        self._calls: dict[int, int] = {}

    def _read_whole(self, document: Object) -> Object:
        if document.get("error") or document.get("status") == "failed":
            return {"error": _error(document.get("error"))}
        said: dict[str, str] = {}
        details: list[Object] = []
        calls: list[Object] = []
        for item in document.get("output") or ():
            if item.get("type") == "function_call":
                calls.append(_call(item, item.get("arguments") or "{}"))
            for member, text in _said(item).items():
                said[member] = said.get(member, "") + text
            if item.get("type") == "reasoning":
                details.append(self._detail(item))
        content, reasoning = said.get("content", ""), said.get(_REASONING, "")
        message = write_message(content, reasoning, details, calls)
        if "refusal" in said:
            message["refusal"] = said["refusal"]
        finish = _finish(document, has_calls=bool(calls))
        return self._completion(document, message, finish, _usage(document))

    def _read(self, event: Object) -> list[Object]:
        kind = event["type"]
        if kind in _DELTAS:
            return self._read_delta(event["output_index"], kind, event["delta"])
        match kind:
            case "response.created":
                self._response = event["response"]
            case "response.output_item.added":
                return self._start_item(event["output_index"], event["item"])
            case "response.reasoning_summary_part.added":
                return self._start_paragraph(event["output_index"])
            case "response.function_call_arguments.delta" if event["output_index"] in self._calls:
                return self._read_arguments(event["output_index"], kind, event["delta"])
            case "response.output_item.done":
                return self._end_item(event["output_index"], event["item"])
            case "response.failed":
                return [{"error": _error(event["response"].get("error"))}]
            case "error":
                return [{"error": _error(event.get("error") or event)}]
        return []

    def _end(self, event: Object) -> list[bytes]:
        if event["type"] not in ("response.completed", "response.incomplete"):
            return []
        status = event["type"].removeprefix("response.")
        response = {**event["response"], "status": status}
        return self._finish(_finish(response, has_calls=bool(self._calls)), _usage(response))

    def _start_item(self, index: int, item: Object) -> list[Object]:
        """The role waits for the first item: what fails before is not an answer that broke off."""
        chunks = [] if self._is_begun else self._begin(self._response)
        self._is_begun = True
        return chunks + self._start_call(index, item)

    def _start_call(self, index: int, item: Object) -> list[Object]:
        if item.get("type") != "function_call" or index in self._calls:
            return []
        position = self._calls[index] = len(self._calls)
        return [self._chunk({"tool_calls": [{"index": position, **_call(item, "")}]})]

    def _read_delta(self, index: int, kind: str, delta: str) -> list[Object]:
        """Reasoning may come twice, raw and as a summary; what came first is told."""
        member = _DELTAS[kind]
        if not delta or (self._told.setdefault(index, kind) != kind and member == _REASONING):
            return []
        return [self._chunk({member: delta})]

    def _start_paragraph(self, index: int) -> list[Object]:
        """A further part of a summary, where the summary is what is told."""
        if self._told.get(index) != _SUMMARY:
            return []
        return [self._chunk({_REASONING: _PARAGRAPH})]

    def _read_arguments(self, index: int, kind: str, delta: str) -> list[Object]:
        if not delta:
            return []
        self._told[index] = kind
        return [self._arguments(self._calls[index], delta)]

    def _end_item(self, index: int, item: Object) -> list[Object]:
        """What no delta told, for some engines send items whole; and the signature."""
        chunks = self._start_call(index, item)
        if index not in self._told:
            chunks += [self._chunk({member: text}) for member, text in _said(item).items() if text]
            if index in self._calls:
                arguments = item.get("arguments") or "{}"
                chunks.append(self._arguments(self._calls[index], arguments))
        if item.get("type") == "reasoning" and item.get("encrypted_content"):
            detail = self._detail(item)
            del detail["text"]
            chunks.append(self._chunk({"reasoning_details": [detail]}))
        return chunks

    def _detail(self, item: Object) -> Object:
        """Reasoning of which nothing is told is redacted."""
        text = _said(item).get(_REASONING, "")
        signed = self._signed(item.get("encrypted_content") or "", is_redacted=not text)
        return {"text": text, **signed}


def _said(item: Object) -> dict[str, str]:
    """What an item says, by the member of a chat message; of reasoning rather the summary."""
    said: dict[str, str] = {}
    for part in item.get("summary") or item.get("content") or ():
        if part.get("type") not in _PARTS:
            continue
        member, source = _PARTS[part["type"]]
        gap = _PARAGRAPH if member == _REASONING and member in said else ""
        said[member] = said.get(member, "") + gap + (part.get(source) or "")
    return said


def _call(item: Object, arguments: str) -> Object:
    return write_call(item.get("call_id") or item["id"], item["name"], arguments)


def _finish(response: Object, *, has_calls: bool) -> Object:
    """The members of a choice that say why it ended."""
    status = response.get("status")
    reason = None
    if status == "completed":
        reason = "tool_calls" if has_calls else "stop"
    elif status == "incomplete":
        details = response.get("incomplete_details") or {}
        reason = _INCOMPLETE.get(details.get("reason", ""), "length")
    return {"finish_reason": reason}


def _usage(response: Object) -> Object | None:
    told = response.get("usage")
    if not isinstance(told, dict):
        return None
    return write_usage(
        read_count(told, "input_tokens"),
        read_count(told, "output_tokens"),
        read_count(told.get("input_tokens_details"), "cached_tokens"),
        read_count(told.get("output_tokens_details"), "reasoning_tokens"),
    )


def _error(error: Any) -> Object:
    known = error if isinstance(error, dict) else {"message": str(error or "no reason given")}
    kinds = [str(known[name]) for name in ("type", "code") if known.get(name)]
    status = next((_STATUSES[kind] for kind in kinds if kind in _STATUSES), 500)
    return {"type": " ".join(kinds), "message": known.get("message"), "code": status}
