"""From an answer to bytes in the Gemini dialect: one answer, or a stream of small ones.

Thoughts are shown where they are asked for. A call comes whole; the first of several carries the
signature of the thinking, as the text does where there is no call. The last event has the reason of
the end and the usage. Sources: Gemini API reference, "GenerateContentResponse"; Gemini API,
"Thought signatures".
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.upstream.simulated.answer import Answer, SimulatedUsage
from gateway.upstream.simulated.errors import Refused
from gateway.upstream.simulated.gemini_contents import sign_call
from gateway.upstream.simulated.messages_thinking import sign
from gateway.upstream.simulated.script import Script
from gateway.upstream.simulated.stream import Envelope, format_json

Object = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_REASONS = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
_STATES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_GOOGLE_RPC = "type.googleapis.com/google.rpc"


def render_body(answer: Answer, envelope: Envelope, script: Script) -> bytes:
    """The whole answer."""
    if script.block is not None:
        return format_json(_encode(_blocked(answer, envelope, script.block)), script)
    parts = [_thought("".join(answer.reasoning))] if _shows(answer, envelope) else []
    text = "".join(answer.content)
    if text:
        signature = {} if answer.calls else _signature(answer, envelope)
        parts.append({"text": text, **signature})
    parts += _calls(answer, envelope)
    reason = None if script.end_early else _reason(answer)
    return format_json(_encode(_response(parts, reason, answer, envelope, script)), script)


def render_chunks(answer: Answer, envelope: Envelope, script: Script) -> Iterator[bytes]:
    """The JSON of every event in its order, except the last."""
    if script.block is not None:
        return
    parts = [_thought(piece) for piece in answer.reasoning] if _shows(answer, envelope) else []
    parts += [{"text": piece} for piece in answer.content]
    for part in (*parts, *_calls(answer, envelope)):
        yield _encode(_response([part], None, answer, envelope, script))


def render_end(answer: Answer, envelope: Envelope, script: Script) -> bytes:
    """The event that states how it ended; it brings the text's signature, at no text."""
    if script.block is not None:
        return _encode(_blocked(answer, envelope, script.block))
    has_text = answer.content and not answer.calls
    parts = [{"text": "", **(_signature(answer, envelope) if has_text else {})}]
    return _encode(_response(parts, _reason(answer), answer, envelope, script))


def error_object(status: int, message: str) -> bytes:
    """An error as a whole answer and as an event."""
    return _encode({"error": _error(status, message)})


def refuse(refusal: Refused) -> bytes:
    """The body of a refusal; a type in capitals is a reason of Google's."""
    if refusal.status == 504:
        return refusal.body
    error = _error(refusal.status, refusal.message)
    details: list[Object] = []
    if refusal.type.isupper():
        details.append({"@type": f"{_GOOGLE_RPC}.ErrorInfo", "reason": refusal.type})
    if refusal.retry_after_seconds is not None:
        delay = f"{refusal.retry_after_seconds}s"
        details.append({"@type": f"{_GOOGLE_RPC}.RetryInfo", "retryDelay": delay})
    return _encode({"error": error | ({"details": details} if details else {})})


def render_count(tokens: int) -> bytes:
    """The answer to a count of tokens."""
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return _encode({"totalTokens": tokens, "promptTokensDetails": details})


def _error(status: int, message: str) -> Object:
    return {"code": status, "message": message, "status": _STATES.get(status, "INTERNAL")}


def _response(
    parts: list[Object], reason: str | None, answer: Answer, envelope: Envelope, script: Script
) -> Object:
    candidate: Object = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    usage = {} if script.usage == "none" else _usage(answer.usage, is_last=reason is not None)
    return {"candidates": [candidate], "usageMetadata": usage, **_identity(envelope)}


def _blocked(answer: Answer, envelope: Envelope, reason: str) -> Object:
    tokens = answer.usage.prompt
    usage = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    feedback = {"blockReason": reason}
    return {"promptFeedback": feedback, "usageMetadata": usage, **_identity(envelope)}


def _identity(envelope: Envelope) -> Object:
    return {
        "modelVersion": envelope.model,
        "responseId": envelope.id.removeprefix("chatcmpl-"),
    }


def _shows(answer: Answer, envelope: Envelope) -> bool:
    return bool(answer.reasoning) and envelope.seals


def _thought(text: str) -> Object:
    return {"text": text, "thought": True}


def _signs(answer: Answer, envelope: Envelope) -> bool:
    return bool(answer.reasoning) and envelope.model.startswith("gemini-")


def _signature(answer: Answer, envelope: Envelope) -> Object:
    text = "".join(answer.content)
    return {"thoughtSignature": sign(text)} if _signs(answer, envelope) else {}


def _calls(answer: Answer, envelope: Envelope) -> list[Object]:
    parts: list[Object] = []
    for index, call in enumerate(answer.calls):
        arguments = call.argument_object
        part: Object = {"functionCall": {"name": call.name, "args": arguments}}
        if envelope.model.startswith("gemini-3"):  # older ones give no ids
            part["functionCall"]["id"] = call.id
        if not index and _signs(answer, envelope):
            part["thoughtSignature"] = sign_call(call.name, arguments)
        parts.append(part)
    return parts


def _reason(answer: Answer) -> str:
    return _REASONS.get(answer.finish_reason, answer.finish_reason)


def _usage(usage: SimulatedUsage, *, is_last: bool) -> Object:
    """Output is what is not thinking, which counts beside it; before the end there is none."""
    members: Object = {"promptTokenCount": usage.prompt}
    if usage.cached:
        members["cachedContentTokenCount"] = usage.cached
    if is_last:
        members["candidatesTokenCount"] = usage.completion - usage.reasoning
        if usage.reasoning:
            members["thoughtsTokenCount"] = usage.reasoning
    total = usage.prompt + (usage.completion if is_last else 0)
    return {**members, "totalTokenCount": total}
