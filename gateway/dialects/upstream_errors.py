"""The meaning of an upstream's refusal to our client.

A request that is too long or too large is found first, by status and words. Then the error's type
decides, and only then the status: a 429 may be load, a rate or an empty account. An error that the
client caused is returned in the upstream's words, shortened, and without anything that names our
credential or account. Everything else is put in our own words: an upstream's 401 must never look
like the client's.

Sources: the error pages of each provider; `tests/dialects/refusals.py` has a line for each refusal.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.core.errors import (
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
from gateway.dialects.context_overflow import read_overflow
from gateway.dialects.odd_values import number_of
from gateway.dialects.retry_hints import read_headers, read_words
from gateway.dialects.upstream_error_body import ErrorBody, read_body, read_object

_MESSAGE_CHARACTERS_MAX = 1000

#: kinds, in lower case
_FILTERED = (
    "content_filter", "content_policy_violation", "invalid_prompt", "data_inspection_failed",
    "sensitive_words_detected", "responsible_ai_policy_violation", "moderation_blocked",
    "prohibited_content", "sensitive_content_detected", "censorship_blocked", "cyber_policy",
)  # fmt: skip
_OVERLOADED = (
    "engine_overloaded", "rate_limit", "overloaded", "server_unavailable", "resource_exhausted",
    "throttling", "limit_requests", "model_rate_limit", "service_tier_capacity_exceeded",
    "too_many_requests", "slow_down", "service_unavailable",
)  # fmt: skip
_MISCONFIGURED = (
    "exceeded_current_quota", "insufficient_quota", "insufficient_user_quota", "billing",
    "insufficient_balance", "insufficient_credits", "budget_exceeded", "arrearage",
    "authentication", "unauthenticated", "unauthorized", "invalid_api_key", "incorrect_api_key",
    "api_key_invalid", "permission_denied", "permission_error", "access_denied",
    "resource_not_found", "model_not_found", "not_found_error", "invalid_model",
    "model_decommissioned", "deployment_not_found", "operation_not_supported",
    "model_not_supported", "model_not_available", "model_terms_required", "unknown_model",
    "unavailable_model", "unsupported_api_for_model", "organization_restricted",
    "set_limit_exceeded", "account_overdue",
)  # fmt: skip
#: what no other try changes, with whichever status
_REFUSED = ("unsupported_parameter", "unknown_parameter")
_TOO_LARGE = ("request_too_large", "payload_too_large")
#: Zhipu's numbers and OpenRouter's word, which stand for the whole code
_FILTERED_CODES = frozenset({"1301", "refusal"})
_MISCONFIGURED_CODES = frozenset({"1113", "1211", "1309", "1311"})
#: Google's and Zhipu's, which stand for the whole code too
_OVERLOADED_CODES = frozenset({"unavailable", "1302", "1303", "1304", "1305", "1308"})
_TIMED_OUT = ("deadline_exceeded", "timeout_error")
#: ends of the names of errors
_ERRORS = ("error", "Error", "Exception")
#: members of which a whole answer has one, in each dialect
_ANSWERS = ("choices", "content", "output", "candidates")
#: an error in an answer has no status: its names -> the one that it would have had
_STATUSES = (
    ("invalid_request", 400), ("bad_request", 400), ("invalid_argument", 400),
    ("invalid_value", 400), ("invalid_parameter", 400), ("failed_precondition", 400),
    ("out_of_range", 400), ("validation", 400), ("unprocessable", 422), ("permission", 403),
    ("not_found", 404), ("timeout", 504),
)  # fmt: skip

#: sentences by which providers mean the same with a status or a kind of another meaning
_FILTERED_WORDS = re.compile(
    r"content exists risk|content filtering policy|content management policy|considered high risk"
    r"|requires moderation and your input was flagged|content violates usage guidelines"
    r"|flagged as potentially violating|ContentPolicyViolation|sensitive \(102[67]\)",
    re.IGNORECASE,
)
#: a message begins so, or with a model's name: behind that it may repeat the client's own words.
#: LiteLLM puts names of exceptions before them
_MISCONFIGURED_WORDS = re.compile(
    r"(?:litellm\.(?:\w{0,60}(?:Error|Exception)(?:: | - | )){1,4}"
    r"(?:b?'?\{.{0,200}?\"message\": ?\")?)?"
    r"(?:your credit balance is too low|you have reached your specified api usage limits"
    r"|api key not valid|incorrect api key provided|your team .{0,100}used all available credits"
    r"|user location is not supported|the provided model identifier is invalid"
    r"|model (?:does )?not (?:exist|found)|no such model|the supported api model names are"
    r"|your organization must be verified|this organization has been disabled|you.re out of extra"
    r" usage|api version not supported|operation not allowed\.?$"
    r"|invocation of model id \S{1,256} with on-demand throughput isn.t supported"
    r"|\S{1,256} is not a valid model id|\{'error': '/chat/completions: invalid model name passed"
    r"|insufficient (?:balance|credits))",
    re.IGNORECASE,
)
#: a model that is down, with the status of a bad request
_DOWN_WORDS = re.compile(
    r"(?:function id .{0,100}: ?)?degraded function cannot be invoked|the model has crashed"
    r"|model (?:has )?unloaded",
    re.IGNORECASE,
)
#: parts that a router lacks for this request, with the status of a missing model
_ABOUT_THE_REQUEST = re.compile(
    r"no endpoints found that (?:support|can handle)|image input is not supported", re.IGNORECASE
)
#: more than an upstream takes in a minute: it never fits, with whichever status
_NEVER_FITS = re.compile(r"^Request too large for ", re.IGNORECASE)
#: more bytes than an upstream takes, with the status of a bad request
_TOO_LARGE_WORDS = re.compile(r"(?:request payload|total message) size (?:\d+ )?exceeds", re.I)
#: keys and account ids of upstreams
_SECRETS = re.compile(
    r"<?\b(?:(?:sk|ak|org|cak|xai|nvapi|proj)[-_]|gsk_|hf_|AIza)[A-Za-z0-9_-]{4,}>?"
)


def read_error(
    status: int, body: bytes, headers: Mapping[str, str], credential: str | None, now: float
) -> FaregateError:
    """The error for an answer that is none; `now` is in Unix seconds, for `retry-after` dates."""
    return classify(status, read_body(body), credential, read_headers(headers, now))


def classify(
    status: int, body: ErrorBody, credential: str | None, retry_after_seconds: float | None = None
) -> FaregateError:
    """The error for a status and the body's words."""
    message = _clean(body.message, credential)
    error = _classify(status, body, message, retry_after_seconds)
    if isinstance(error, UpstreamError):
        error.upstream_message = message
    return error


def _classify(
    status: int, body: ErrorBody, message: str, retry_after_seconds: float | None
) -> FaregateError:
    kind = body.kind
    if retry_after_seconds is None:
        retry_after_seconds = body.retry_after_seconds
    if _holds(kind, _FILTERED, _FILTERED_CODES) or _FILTERED_WORDS.search(message):
        return ContentFiltered(message or "The upstream's content filter refused the request.")
    overflow = _overflow(body, message) if status in (400, 413, 422, 500) else None
    if overflow and (status != 500 or overflow.details):  # a fault that counts tokens is none
        return overflow
    never_fits = status == 429 and _NEVER_FITS.search(message)
    is_too_large = _holds(kind, _TOO_LARGE) or _TOO_LARGE_WORDS.match(message)
    if status == 413 or never_fits or is_too_large:
        return RequestTooLarge(message or "The request is too large for the upstream.")
    if _ABOUT_THE_REQUEST.search(message):
        return InvalidRequest(message)
    if _is_misconfigured(status, kind, message):
        return UpstreamMisconfigured(
            "The upstream refuses this gateway's credential, quota or model; the administrator "
            "must look at its configuration."
        )
    if _holds(kind, _OVERLOADED, _OVERLOADED_CODES) or status in (429, 498, 503, 529):
        if retry_after_seconds is None:
            retry_after_seconds = read_words(message)
        return UpstreamOverloaded(
            "The upstream is overloaded; try again later.", retry_after_seconds=retry_after_seconds
        )
    if status == 400 and _DOWN_WORDS.match(message):
        return UpstreamError("The upstream's model is down.")
    if status in (400, 422) or _holds(kind, _REFUSED):
        return InvalidRequest(message or "The upstream refused the request without a reason.")
    return _failure(status, kind, retry_after_seconds)


def _is_misconfigured(status: int, kind: str, message: str) -> bool:
    return (
        status in (401, 402, 403, 404)
        or _holds(kind, _MISCONFIGURED, _MISCONFIGURED_CODES)
        or _MISCONFIGURED_WORDS.match(message) is not None
    )


def _failure(status: int, kind: str, retry_after_seconds: float | None) -> FaregateError:
    if status in (408, 504, 524) or _holds(kind, _TIMED_OUT):
        return UpstreamTimeout(
            "The upstream did not answer in time.", retry_after_seconds=retry_after_seconds
        )
    if status in (502, 521, 522, 523):
        return UpstreamUnreachable(
            "The upstream's own gateway could not reach it.",
            retry_after_seconds=retry_after_seconds,
        )
    if 300 <= status < 500 and status not in (424, 499):
        return UpstreamMisconfigured(
            f"The upstream answered with status {status}; the administrator must look at its "
            "configuration."
        )
    return UpstreamError(
        f"The upstream failed with status {status}.", retry_after_seconds=retry_after_seconds
    )


def _overflow(body: ErrorBody, message: str) -> ContextOverflow | None:
    """With the counts that the upstream names, so that both families can report theirs."""
    counts = body.counts or read_overflow(message)
    if counts is None:
        counts = read_overflow(body.kind)
    if counts is None:
        return None
    return ContextOverflow(message, param="messages", details={**counts} or None)


def _holds(kind: str, words: tuple[str, ...], codes: frozenset[str] = frozenset()) -> bool:
    return any(word in kind for word in words) or not codes.isdisjoint(kind.split())


def _clean(message: str, credential: str | None) -> str:
    """Bounded, and without our credential or the account's ids."""
    message = message[: 4 * _MESSAGE_CHARACTERS_MAX]
    if credential:
        message = message.replace(credential, "[hidden]")
    return _SECRETS.sub("[hidden]", message)[:_MESSAGE_CHARACTERS_MAX]


def broken_by(error: object, credential: str | None, begun: bool) -> FaregateError:
    """The failure for an error object inside an answer whose status was good.

    Before anything of the answer was seen it is what it would have been as a status.
    """
    is_whole = isinstance(error, dict) and "error" in error
    body = read_object(error if is_whole else {"error": error})
    known = classify(_status_of(body), body, credential)
    if begun or type(known) is UpstreamError:
        message = _clean(body.message or body.kind, credential)
        return UpstreamBroken(f"The upstream broke off its answer: {message or 'no reason given'}")
    return known


def read_stray(data: bytes, credential: str | None, begun: bool) -> FaregateError | None:
    """The failure for an event that is the provider's plain words; None for what is in JSON."""
    message = "" if data[:1] in (b"{", b"[") else read_body(data).message
    return broken_by(message, credential, begun) if message else None


def find_error(value: Any, members: tuple[str, ...]) -> Any:
    """The error that stands where an answer should be; None for what has one of its `members`."""
    if isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return None
    outcome = value.get("base_resp")  # of MiniMax, beside an answer too
    if value.get("error") or (isinstance(outcome, dict) and number_of(outcome.get("status_code"))):
        return value
    kind = value.get("type")
    is_named = isinstance(kind, str) and kind.endswith(_ERRORS) and "message" in value
    if is_named or value.get("object") == "error":
        return value
    if any(value.get(name) is not None for name in members):
        return None
    is_error = value.get("error", False) not in (None, False) or read_object(value).message
    return value if is_error else None


def read_unstreamed(body: bytes, credential: str | None) -> FaregateError:
    """The failure for a whole body with a good status, where a stream was asked for."""
    try:
        error = find_error(msgspec.json.decode(body), _ANSWERS)
    except (ValueError, RecursionError):
        error = None
    if error is None:
        return UpstreamBroken("The upstream did not stream although it was asked to.")
    return broken_by(error, credential, begun=False)


def _status_of(body: ErrorBody) -> int:
    """The status that an error stands for: its number, or what its names mean."""
    if body.status is not None:
        return body.status
    if read_overflow(body.message) is not None or read_overflow(body.kind) is not None:
        return 400
    return next((status for name, status in _STATUSES if name in body.kind), 500)
