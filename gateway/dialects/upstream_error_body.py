"""The error in an upstream's body, in any form. Pure.

{"error": {message, type, code}}      OpenAI and most; `status` and `details` of Google
{"type": "error", "error": {…}}       Anthropic
{"error": "…"}, {"code": "…", "error": "…"}, {"error": "…", "error_type": "…"}
                                      Ollama, LM Studio; xAI; TGI
{"error": "invalid_request", "error_description": "…"}, {"error": "Bad Request", "message": "…"}
                                      OAuth; Spring and Nest
{"message": "…"}, {"detail": "…"}, {"detail": [{loc, msg}]}, {"title", "detail"}
                                      Bedrock, vLLM, Mistral; FastAPI; RFC 9457
{"error_code", "error_msg"}, {"base_resp": {status_code, status_msg}}, {"fault": {faultstring}}
                                      Baidu; MiniMax; Apigee
[{"error": {…}}], {"errors": [{…}]}, {"error": [{…}]}
                                      Google's OpenAI-compatible routes; GraphQL and JSON:API
{"error": {"message": "{\"error\": …}"}}
                                      gateways, which wrap the words of whom they asked
{"error": {…, "metadata": {"error_type", "reasons", "raw"}}}
                                      OpenRouter
data: {"error": {…}}                  engines that had begun a stream
no healthy upstream                   proxies, in plain text
"""

import re
from typing import Any

import msgspec

from gateway.dialects.odd_values import number_of, object_of, objects_in
from gateway.dialects.retry_hints import read_members

#: complaints of one body that are named
_COMPLAINTS_MAX = 5
#: characters that are read of a name and of plain text, which an event may have 16 MiB of
_NAME_MAX, _TEXT_MAX = 200, 4000
_KINDS = ("type", "code", "status", "error_type", "__type", "error_code")
#: members that hold a sentence
_SENTENCES = (
    "message", "detail", "msg", "error_description", "error_msg", "errorMessage", "Message",
    "faultstring", "status_msg", "title", "description", "reason",
)  # fmt: skip
#: members that hold the error, where nothing beside them is a sentence
_WRAPPERS = ("errors", "fault", "base_resp", "detail", "message")
#: members that may hold the status
_NUMBERS = (
    "code", "http_code", "status", "status_code", "statusCode", "error_code", "http_status",
    "error",
)  # fmt: skip
#: MiniMax's own numbers, in the names that others have for them; its other ones are faults
_MINIMAX_KINDS = {
    1001: "timeout_error", 1002: "rate_limit", 1004: "unauthorized", 1008: "insufficient_balance",
    1026: "content_filter", 1027: "content_filter", 1039: "rate_limit", 1041: "rate_limit",
    1042: "invalid_parameter", 2013: "invalid_parameter", 2045: "rate_limit",
    2049: "invalid_api_key", 2056: "rate_limit", 2061: "permission_denied",
}  # fmt: skip
#: an error's name, and no sentence that may repeat the client's own words
_NAME = re.compile(r"(?=.{1,40}$)[A-Za-z]+(?:[ _-][A-Za-z]+){0,3}")
#: routers pass on the words of the provider behind them
_WORDLESS = "Provider returned error"
#: members of OpenRouter's `metadata` where its moderation or a guardrail refused a request
_FLAGS = ("reasons", "flagged_input", "patterns")
#: errors in errors that are opened
_DEPTH_MAX = 3
#: plain text begins with none of these: a page, or JSON that was cut
_NO_TEXT = ("<", "{", "[")
_EVENT = b"data:"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: what parts the words of a name
_PARTS = re.compile(r"[\s-]+")
_STATUS = re.compile(r"\d{3}(?!\d)")
#: beginnings of words in a name in camel case
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class ErrorBody(msgspec.Struct, frozen=True):
    """`kind` is type and codes in one string, in snake case; empty where the body has none."""

    kind: str = ""
    message: str = ""
    #: the status that the error itself has
    status: int | None = None
    #: seconds to wait, where a member has them
    retry_after_seconds: float | None = None
    #: the count of llama.cpp
    counts: dict[str, int] | None = None


def read_body(body: bytes) -> ErrorBody:
    """The error of a body in JSON, in an event or in plain text; an empty one for a page."""
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return read_object(msgspec.json.decode(body))
    except (ValueError, RecursionError):
        return _read_event(body) or ErrorBody(message=_plain_text(body))


def _read_event(body: bytes) -> ErrorBody | None:
    """The error of the first event, where the body is a stream all the same."""
    for line in body.splitlines()[:_COMPLAINTS_MAX] if _EVENT in body else ():
        if line.startswith(_EVENT):
            try:
                return read_object(msgspec.json.decode(line.removeprefix(_EVENT)))
            except (ValueError, RecursionError):
                return None
    return None


def _plain_text(body: bytes) -> str:
    try:
        text = " ".join(body.decode()[:_TEXT_MAX].split())
    except ValueError:
        return ""
    return "" if text.startswith(_NO_TEXT) or not text.isprintable() else text


def read_object(value: Any, depth: int = _DEPTH_MAX) -> ErrorBody:
    """The error of decoded JSON."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return ErrorBody(message=_plain_text(value.encode()))
    if not isinstance(value, dict):
        return ErrorBody()
    error = _error_in(value, depth)
    read = ErrorBody(
        _kind(error), _message(error), _status(error), read_members(error), _counts(error)
    )
    inner = _inner_error(error, read.message, depth - 1) if depth else ErrorBody()
    if not inner.message:
        return msgspec.structs.replace(read, message=_with_reasons(read.message, error))
    kind = " ".join(filter(None, [read.kind, inner.kind]))
    return ErrorBody(
        kind,
        inner.message,
        read.status or inner.status,
        read.retry_after_seconds or inner.retry_after_seconds,
        read.counts or inner.counts,
    )


def _error_in(value: dict[str, Any], depth: int) -> dict[str, Any]:
    """The object that has the error's names and its sentence, which may stand around it."""
    sentence = _message(value)
    error = value.get("error")
    is_wrapped = error is None and not sentence
    if is_wrapped:
        error = next((value[name] for name in _WRAPPERS if value.get(name)), None)
    if isinstance(error, list):
        error = error[0] if error else None
    if isinstance(error, str):
        return _named(value, sentence, error)
    if not isinstance(error, dict) or error.get("status_code") == 0:  # MiniMax's for a success
        return value
    if not _message(error):
        inner = {"message": sentence} if sentence or not depth else _error_in(error, depth - 1)
        error = {**error, **inner}
    return {**value, **error} if is_wrapped else error


def _named(value: dict[str, Any], sentence: str, error: str) -> dict[str, Any]:
    """`error` is the sentence, or only a name where another sentence stands beside it."""
    named = {name: value.get(name) for name in (*_KINDS, *_NUMBERS)}
    if sentence and _NAME.fullmatch(error):
        return {**named, "type": f"{named['type'] or ''} {error}", "message": sentence}
    return {**named, "message": error}


def _kind(error: dict[str, Any]) -> str:
    """`RateLimitError` and `rate-limit error` are `rate_limit_error`."""
    metadata = object_of(error.get("metadata"))
    details = objects_in(error.get("details"))[:_COMPLAINTS_MAX]
    named = (
        *(error.get(name) for name in _KINDS),
        metadata.get("error_type"),
        *(detail.get("reason") for detail in details),
    )
    kinds = [str(one)[:_NAME_MAX].strip() for one in named if one and isinstance(one, str | int)]
    if any(metadata.get(name) for name in _FLAGS):
        kinds.append("content_filter")
    if "status_msg" in error:
        kinds.append(_MINIMAX_KINDS.get(number_of(error.get("status_code")) or 0, ""))
    return " ".join(_PARTS.sub("_", _HUMPS.sub("_", kind)).lower() for kind in kinds)


def _status(error: dict[str, Any]) -> int | None:
    """A number, or the one at the beginning of `429 Too Many Requests`."""
    for name in _NUMBERS:
        value = error.get(name)
        if isinstance(value, str) and (leading := _STATUS.match(value)):
            value = leading[0]
        number = number_of(value)
        if number is not None and 400 <= number < 600:
            return number
    return None


def _message(error: dict[str, Any]) -> str:
    for name in _SENTENCES:
        value = error.get(name)
        if isinstance(value, dict):
            value = value.get("detail", value.get("message"))
        if isinstance(value, list):
            value = "; ".join(filter(None, map(_complaint, value[:_COMPLAINTS_MAX])))
        if isinstance(value, str) and value:
            return value
    return ""


def _with_reasons(message: str, error: dict[str, Any]) -> str:
    """The sentence, and behind it the reasons that it does not name: those of a moderation, those
    of ASP.NET by member, and a sentence where the name of a parameter should be."""
    reasons = object_of(error.get("metadata")).get("reasons")
    named = reasons[:_COMPLAINTS_MAX] if isinstance(reasons, list) else []
    for complaints in [*object_of(error.get("errors")).values()][:_COMPLAINTS_MAX]:
        named += complaints[:1] if isinstance(complaints, list) else []
    if isinstance(param := error.get("param"), str) and " " in param:
        named.append(param)
    missing = [one for one in named if isinstance(one, str) and one and one not in message]
    return ": ".join(filter(None, [message, ", ".join(missing)]))


def _complaint(value: Any) -> str:
    """One complaint of FastAPI's: `body.messages.0: Field required`."""
    if not isinstance(value, dict) or not isinstance(value.get("msg"), str):
        return value if isinstance(value, str) else ""
    place = value.get("loc")
    steps = place if isinstance(place, list) else []
    return ": ".join(filter(None, [".".join(map(str, steps[:8])), value["msg"]]))


def _inner_error(error: dict[str, Any], message: str, depth: int) -> ErrorBody:
    """The error of the provider behind a router: in `metadata.raw`, or all of a message is JSON.

    An error that a message only quotes may be the client's own words, and decides on nothing.
    """
    raw: Any = message
    if message.startswith(_WORDLESS):
        metadata = error.get("metadata")
        raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str):
        return read_object(raw, depth)
    words = ErrorBody(message=raw if raw != message else "")
    if not raw.lstrip().startswith(("{", "[")):
        return words
    try:
        return read_object(msgspec.json.decode(raw), depth)
    except (ValueError, RecursionError):
        return words


def _counts(error: dict[str, Any]) -> dict[str, int] | None:
    given, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
    if type(given) is int and type(limit) is int:
        return {"input_tokens": given, "context_window": limit}
    return None
