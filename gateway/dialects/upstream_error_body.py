"""The error in an upstream's body, in any form. Pure.

{"error": {message, type, code}}      OpenAI and most; `status` and `details` of Google
{"type": "error", "error": {…}}       Anthropic
{"error": "…"}, {"code": "…", "error": "…"}, {"error": "…", "error_type": "…"}
                                      Ollama, LM Studio; xAI; TGI
{"message": "…"}, {"detail": "…"}, {"detail": [{loc, msg}]}, {"title", "detail"}
                                      Bedrock, vLLM, Mistral; FastAPI; RFC 9457
[{"error": {…}}]                      Google's OpenAI-compatible routes
"""

from typing import Any

import msgspec

#: complaints of one body that are named
_COMPLAINTS_MAX = 5
_KINDS = ("type", "code", "status", "error_type", "__type")
#: routers hand on the words of the provider behind them
_WORDLESS = "Provider returned error"


class ErrorBody(msgspec.Struct, frozen=True):
    """`kind` is type and codes in one lower-case string; empty where the body has none."""

    kind: str = ""
    message: str = ""
    #: seconds to wait, as Google's RetryInfo has them
    retry_after_seconds: float | None = None
    #: the count of llama.cpp
    counts: dict[str, int] | None = None


def read_body(body: bytes) -> ErrorBody:
    """The error of a body; an empty one for what is no JSON."""
    try:
        return read_object(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        return ErrorBody()


def read_object(value: Any) -> ErrorBody:
    """The error of decoded JSON."""
    if isinstance(value, list):
        value = value[0] if value else None
    if not isinstance(value, dict):
        return ErrorBody()
    error = value.get("error")
    if isinstance(error, str):
        return ErrorBody(_kind(value), error)
    if not isinstance(error, dict):
        error = value
    message = _message(error)
    if message.startswith(_WORDLESS):
        message = _inner_message(error) or message
    return ErrorBody(_kind(error), message, _retry_after(error), _counts(error))


def _kind(error: dict[str, Any]) -> str:
    named = (error.get(name) for name in _KINDS)
    return " ".join(str(one) for one in named if one and isinstance(one, str | int)).lower()


def _message(error: dict[str, Any]) -> str:
    for name in ("message", "detail", "msg", "title"):
        value = error.get(name)
        if isinstance(value, dict):
            value = value.get("detail", value.get("message"))
        if isinstance(value, list):
            value = "; ".join(filter(None, map(_complaint, value[:_COMPLAINTS_MAX])))
        if isinstance(value, str) and value:
            return value
    return ""


def _complaint(value: Any) -> str:
    """One complaint of FastAPI's: `body.messages.0: Field required`."""
    if not isinstance(value, dict) or not isinstance(value.get("msg"), str):
        return value if isinstance(value, str) else ""
    place = value.get("loc")
    steps = place if isinstance(place, list) else []
    return ": ".join(filter(None, [".".join(map(str, steps[:8])), value["msg"]]))


def _inner_message(error: dict[str, Any]) -> str:
    """The words of the provider behind a router, in `metadata.raw`."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str):
        return ""
    return read_body(raw.encode(errors="replace")).message or raw


def _retry_after(error: dict[str, Any]) -> float | None:
    details = error.get("details")
    for detail in details[:_COMPLAINTS_MAX] if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.endswith("s") and delay[:-1].replace(".", "").isdigit():
            try:
                return float(delay[:-1])
            except ValueError:
                return None
    return None


def _counts(error: dict[str, Any]) -> dict[str, int] | None:
    given, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
    if type(given) is int and type(limit) is int:
        return {"input_tokens": given, "context_window": limit}
    return None
