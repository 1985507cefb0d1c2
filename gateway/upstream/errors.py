"""What an upstream's refusal means to our client.

Classified by the error's type first and by the status second: one status of Moonshot's has several
meanings (429 is load, rate or an empty account). What the client caused comes back to it in the
upstream's words, shortened and without anything that names our credential or account. Everything
else is told in our own words: an upstream's 401 must never look like the client's.

Sources: Moonshot, "Error reference"; OpenAI API reference, "Error codes"; Anthropic API reference,
"Errors"; vLLM's error object; Gemini API, "Troubleshooting guide".
"""

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from gateway.errors import (
    ContentFiltered,
    ContextOverflow,
    FaregateError,
    InvalidRequest,
    RequestTooLarge,
    UpstreamBroken,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_MESSAGE_CHARACTERS_MAX = 1000
_RETRY_AFTER_SECONDS_MAX = 3600.0

_FILTERED = ("content_filter",)
_OVERLOADED = ("engine_overloaded", "rate_limit", "overloaded_error", "server_unavailable")
_MISCONFIGURED = (
    "exceeded_current_quota",
    "insufficient_quota",
    "billing",
    "authentication",
    "invalid_api_key",
    "incorrect_api_key",
    "permission_denied",
    "resource_not_found",
    "model_not_found",
)

_OVERFLOW = re.compile(
    r"exceeded model token limit|maximum context length|input token length too long"
    r"|context_length_exceeded|prompt is too long|longer than the model's context"
    r"|exceeds the maximum number of tokens",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:token limit:?|context length (?:is|of)(?: only)?|limit of|>|tokens allowed) *\(?(\d{3,9})",
    re.IGNORECASE,
)
_REQUESTED = re.compile(
    r"(?:requested:?|resulted in|too long:|has|token count) *\(?(\d{3,9})"
    r"|(\d{3,9}) *(?:in the messages|tokens >)",
    re.IGNORECASE,
)
#: Anthropic says so with a 400
_UNPAID = re.compile(r"credit balance is too low", re.IGNORECASE)
#: keys and account ids of upstreams
_SECRETS = re.compile(r"<?\b(?:sk|ak|org|cak)-[A-Za-z0-9_-]{4,}>?")


def read_error(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    credential: str | None,
    now: float,
    spell: Callable[[Any], Any],
) -> FaregateError:
    """The error for an answer that is none; `now` is in Unix seconds, for `retry-after` dates.

    `spell` brings the decoded body of a dialect into the words that are known here.
    """
    error = spell(_decode(body))
    kind, message = read_object(error)
    retry_after_seconds = read_retry_after(headers.get("retry-after") or _pause(error), now)
    return classify(status, kind, _clean(message, credential), retry_after_seconds)


def classify(
    status: int, kind: str, message: str, retry_after_seconds: float | None = None
) -> FaregateError:
    """The error for a status, a type (with the code, if there is one) and a clean message."""
    if _holds(kind, _FILTERED):
        return ContentFiltered(message or "The upstream's content filter refused the request.")
    if _holds(kind, _MISCONFIGURED) or status in (401, 402, 403, 404) or _UNPAID.search(message):
        return UpstreamMisconfigured(
            "The upstream refuses this gateway's credential, quota or model; the administrator "
            "must look at its configuration."
        )
    if _holds(kind, _OVERLOADED) or status in (429, 503, 529):
        return UpstreamOverloaded(
            "The upstream is overloaded; try again later.", retry_after_seconds=retry_after_seconds
        )
    if status in (400, 413, 422) and (_OVERFLOW.search(message) or _OVERFLOW.search(kind)):
        return _overflow(message)
    if status == 413:
        return RequestTooLarge(message or "The request is too large for the upstream.")
    if status in (400, 422):
        return InvalidRequest(message or "The upstream refused the request without a reason.")
    return _failure(status, retry_after_seconds)


def _failure(status: int, retry_after_seconds: float | None) -> FaregateError:
    if status in (408, 504):
        return UpstreamTimeout(
            "The upstream did not answer in time.", retry_after_seconds=retry_after_seconds
        )
    if status == 502:
        return UpstreamUnreachable(
            "The upstream's own gateway could not reach it.",
            retry_after_seconds=retry_after_seconds,
        )
    if 300 <= status < 500 and status != 499:
        return UpstreamMisconfigured(
            f"The upstream answered with status {status}; the administrator must look at its "
            "configuration."
        )
    return UpstreamError(
        f"The upstream failed with status {status}.", retry_after_seconds=retry_after_seconds
    )


def _overflow(message: str) -> ContextOverflow:
    """With the numbers where the upstream tells them, so that both families can say theirs."""
    details: dict[str, object] = {}
    window = _WINDOW.search(message)
    if window is not None:
        details["context_window"] = int(window.group(1))
        requested = _REQUESTED.search(message)
        if requested is not None:
            details["input_tokens"] = int(requested.group(1) or requested.group(2))
    return ContextOverflow(message, param="messages", details=details or None)


def _holds(kind: str, words: tuple[str, ...]) -> bool:
    return any(word in kind for word in words)


def _decode(body: bytes) -> Any:
    """The decoded body; None for a foreign one."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def _pause(value: Any) -> str | None:
    """The seconds to wait that stand in the error itself."""
    error = value.get("error") if isinstance(value, dict) else None
    told = error.get("retry_after") if isinstance(error, dict) else None
    return told if isinstance(told, str) else None


def read_object(value: Any) -> tuple[str, str]:
    """Type and code in one lower-case string, and the message; both empty for a foreign value.

    Known are `{error: {…}}`, `{error: "…"}`, a bare object, and `detail`.
    """
    if not isinstance(value, dict):
        return "", ""
    error = value.get("error", value)
    if isinstance(error, str):
        return "", error
    if not isinstance(error, dict):
        return "", ""
    message = error.get("message", error.get("detail"))
    told = (error.get(name) for name in ("type", "code"))
    kind = " ".join(str(one) for one in told if one and isinstance(one, str | int))
    return kind.lower(), message if isinstance(message, str) else ""


def _clean(message: str, credential: str | None) -> str:
    """Bounded, and without our credential or the account's ids."""
    message = message[: 4 * _MESSAGE_CHARACTERS_MAX]
    if credential:
        message = message.replace(credential, "[hidden]")
    return _SECRETS.sub("[hidden]", message)[:_MESSAGE_CHARACTERS_MAX]


def read_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait, from seconds or a date, within an hour; None for anything else."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return None
    if seconds != seconds:
        return None
    return min(max(seconds, 0.0), _RETRY_AFTER_SECONDS_MAX)


def read_failure(value: Any, credential: str | None) -> str:
    """What an error object in the middle of an answer says, for the client to read."""
    kind, message = read_object({"error": value})
    return _clean(message or kind, credential)


def broken_by(error: object, credential: str | None, begun: bool) -> FaregateError:
    """The failure for an error object inside an answer whose status was good.

    Before anything of the answer was seen it is what it would have been as a status.
    """
    message = read_failure(error, credential)
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    wrapped = {"error": error}
    retry_after_seconds = read_retry_after(_pause(wrapped), 0.0)
    known = classify(status, read_object(wrapped)[0], message, retry_after_seconds)
    if begun or type(known) is UpstreamError:
        return UpstreamBroken(f"The upstream broke off its answer: {message or 'no reason given'}")
    return known
