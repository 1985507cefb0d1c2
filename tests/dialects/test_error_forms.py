"""Refusals in other forms and words than the corpus has them: each form of body, each kind."""

import json
from typing import Any

import pytest

from gateway.core.errors import (
    ContentFiltered,
    ContextOverflow,
    FaregateError,
    InvalidRequest,
    RequestTooLarge,
    UpstreamError,
    UpstreamMisconfigured,
    UpstreamOverloaded,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.dialects.upstream_errors import read_error


def read(status: int, body: Any) -> FaregateError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error(status, raw, {}, "credential", 0.0)


def text(value: Any) -> str:
    return json.dumps(value)


#: forms of a body around an error with a message
FORMS: dict[str, Any] = {
    "openai": lambda error: {"error": error},
    "anthropic": lambda error: {"type": "error", "error": error, "request_id": "r"},
    "flat": lambda error: {"object": "error", **error},
    "bare": lambda error: error,
    "list": lambda error: [{"error": error}],
    "list of errors": lambda error: {"error": [error, {"message": "more"}]},
    "errors": lambda error: {"errors": [error]},
    "text": lambda error: {"error": error["message"], "code": error.get("code")},
    "detail": lambda error: {"detail": error["message"], "type": error.get("type")},
    "object in detail": lambda error: {"detail": error, "type": error.get("type")},
    "problem": lambda error: {"title": "Bad", "detail": error["message"], "type": error.get("type")},
    "sentence around": lambda error: {"error": {**error, "message": ""}, "message": error["message"]},
    "errors in error": lambda error: {"error": {"errors": [error]}},
    "error in error": lambda error: {"error": {"error": error}},
    "error in detail": lambda error: {"detail": {"error": error}},
    "text in detail": lambda error: {"detail": {"error": error["message"]}, "type": error.get("type")},
    "reason": lambda error: {"error": {"type": error.get("type"), "reason": error["message"]}},
    "fault": lambda error: {"fault": {"faultstring": error["message"], "type": error.get("type")}},
    "base_resp": lambda error: {"base_resp": {"status_code": 1, "status_msg": error["message"], "type": error.get("type")}},
    "error_msg": lambda error: {"error_code": error.get("type"), "error_msg": error["message"]},
    "errorMessage": lambda error: {"errorMessage": error["message"], "type": error.get("type")},
    "Message": lambda error: {"Message": error["message"], "__type": error.get("type")},
    "description": lambda error: {"error": error.get("type") or "invalid_request", "error_description": error["message"]},
    "words in a list": lambda error: [error["message"]],
    "words": lambda error: error["message"],
    "raw text": lambda error: {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": text({"error": error})}}},
    "raw object": lambda error: {"error": {"message": "Provider returned error", "metadata": {"raw": {"error": error}}}},
    "raw in raw": lambda error: {"error": {"message": "Provider returned error", "metadata": {"raw": text({"error": {"message": text({"error": error})}})}}},
    "json in message": lambda error: {"error": {"message": text({"error": error}), "type": "upstream"}},
    "json in text": lambda error: {"error": text({"type": "error", "error": error})},
    "json in detail": lambda error: {"detail": text([{"error": error}])},
    "event": lambda error: b"data: %b\n\n" % text({"error": error}).encode(),
    "named event": lambda error: b"event: error\ndata: %b\n\ndata: [DONE]\n\n" % text({"error": error}).encode(),
    "byte order mark": lambda error: b"\xef\xbb\xbf" + text({"error": error}).encode(),
}  # fmt: skip
#: those that have room for a type
WITH_TYPES = [
    form for form in FORMS if not {"text", "detail", "problem", "words"} & {*form.split()}
]
#: a status, an error and its meaning, in every form
EACH: list[tuple[int, dict[str, Any], type[FaregateError]]] = [
    (400, {"message": "prompt is too long: 215,000 tokens > 200,000 maximum"}, ContextOverflow),
    (400, {"message": "Content Exists Risk"}, ContentFiltered),
    (400, {"message": "Field `x` is required", "type": "invalid_request_error"}, InvalidRequest),
    (400, {"message": "Insufficient Balance", "type": "unknown_error"}, UpstreamMisconfigured),
    (413, {"message": "Request too large for model"}, RequestTooLarge),
    (429, {"message": "Slow down"}, UpstreamOverloaded),
    (401, {"message": "No"}, UpstreamMisconfigured),
    (500, {"message": "Oops"}, UpstreamError),
    (503, {"message": "Busy"}, UpstreamOverloaded),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("status", "error", "expected"), EACH)
def test_an_error_is_known_in_every_form(
    form: str, status: int, error: dict[str, Any], expected: type[FaregateError]
) -> None:
    found = read(status, FORMS[form](error))
    assert type(found) is expected
    if status < 413 and expected is not UpstreamMisconfigured:
        assert found.message == error["message"]
    if expected is ContextOverflow:
        assert found.details == {"input_tokens": 215_000, "context_window": 200_000}


@pytest.mark.parametrize("form", WITH_TYPES)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("insufficient_quota", UpstreamMisconfigured),
        ("rate_limit_error", UpstreamOverloaded),
        ("content_policy_violation", ContentFiltered),
        ("context_length_exceeded", ContextOverflow),
    ],
)
def test_a_type_is_known_in_every_form(form: str, kind: str, expected: type[FaregateError]) -> None:
    assert type(read(400, FORMS[form]({"message": "No.", "type": kind}))) is expected


#: (input, cap of output, window) of words that differ a little from the corpus
OVERFLOWS: list[tuple[str, tuple[int | None, int | None, int | None]]] = [
    ("This model's maximum context length is 131,072 tokens. However, your messages resulted in 140,001 tokens.", (140001, None, 131072)),
    ("This model's maximum context length is 16,385 tokens, however you requested 18,000 tokens (14,000 in your prompt; 4000 for the completion). Please reduce your prompt; or completion length.", (14000, 4000, 16385)),
    ("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens. Please reduce the length of the messages.", (300000, None, 272000)),
    ("prompt is too long: 208310 tokens > 200000 maximum", (208310, None, 200000)),
    ("litellm.BadRequestError: AnthropicException - prompt is too long: 208310 tokens > 200000 maximum", (208310, None, 200000)),
    ("input length and `max_tokens` exceed context limit: 188,240 + 21,333 > 200,000, decrease input length or `max_tokens` and try again", (188240, 21333, 200000)),
    ("The input (140000 tokens) is longer than the model's context length (131072 tokens).", (140000, None, 131072)),
    ("The input token count 1,100,000 exceeds the maximum number of tokens allowed 1,048,576.", (1100000, None, 1048576)),
    ("Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of 140000 tokens: 136000 tokens from the input messages and 4000 tokens for the completion.", (136000, 4000, 131072)),
    ("Prompt has 9000 tokens, but the context window is 8192 tokens.", (9000, None, 8192)),
    ("the request exceeds the available context size. try increasing the context size or enable context shift", (None, None, None)),
    ("request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it", (9000, None, 8192)),
    ("Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded with context length of only 8192 tokens, which is not enough.", (9000, None, 8192)),
    ("`inputs` must have less than 4096 tokens. Given: 5000", (5000, None, 4096)),
    ("The decoder prompt (length 33000) is longer than the maximum model length of 32768. Make sure that `max_model_len` is no smaller.", (33000, None, 32768)),
    ("Input length 140000 exceeds the maximum length 131072", (140000, None, 131072)),
    ("Your request has 140000 input tokens, which exceeds the model's context window of 131072 tokens", (140000, None, 131072)),
    ("Context length exceeded: 140000 > 131072", (140000, None, 131072)),
    ("Total tokens 140000 exceed max context length 131072", (140000, None, 131072)),
    ("The prompt is too long: 140000, model maximum context length: 131072", (140000, None, 131072)),
    ("too many total text bytes: Input is too long for requested model", (None, None, None)),
    ("Your input exceeds the context window of this model. Please adjust your input and try again.", (None, None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("message", "counts"), OVERFLOWS)
def test_an_overflow_in_other_words(message: str, counts: Any) -> None:
    error = read(400, {"error": {"message": message, "type": "invalid_request_error"}})
    assert type(error) is ContextOverflow
    names = ("input_tokens", "output_tokens", "context_window")
    assert (error.details or {}) == {
        name: count for name, count in zip(names, counts, strict=True) if count is not None
    }


#: other words and statuses
OTHERS: list[tuple[int, Any, type[FaregateError]]] = [
    (400, {"error": {"message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.", "code": "content_filter"}}, ContentFiltered),
    (400, {"error": {"code": "ResponsibleAIPolicyViolation", "message": "Your request was rejected"}}, ContentFiltered),
    (400, {"error": {"message": "Your request was rejected as a result of our safety system.", "code": "moderation_blocked"}}, ContentFiltered),
    (400, {"error": {"message": "Request blocked", "type": "content_policy_violation"}}, ContentFiltered),
    (400, {"error": {"message": "The prompt was blocked", "status": "PROHIBITED_CONTENT"}}, ContentFiltered),
    (400, {"error": {"message": "No", "code": "contentFilter"}}, ContentFiltered),
    (400, {"error": {"message": "No", "code": "data_inspection_failed"}}, ContentFiltered),
    (403, {"error": {"message": "Content violates usage guidelines."}}, ContentFiltered),
    (400, {"code": 1301, "message": "No"}, ContentFiltered),
    (401, b"Unauthorized", UpstreamMisconfigured),
    (403, b"<html>Forbidden</html>", UpstreamMisconfigured),
    (403, {"message": "Forbidden"}, UpstreamMisconfigured),
    (400, {"error": {"message": "no", "code": "invalid_api_key"}}, UpstreamMisconfigured),
    (400, {"error": {"message": "no", "code": "InvalidApiKey"}}, UpstreamMisconfigured),
    (400, {"error": {"message": "no", "type": "AuthenticationError"}}, UpstreamMisconfigured),
    (400, {"error": {"message": "no", "status": "PERMISSION_DENIED"}}, UpstreamMisconfigured),
    (400, {"error": {"message": "no", "type": "permission_error"}}, UpstreamMisconfigured),
    (400, {"error": {"message": "no", "code": "ModelNotFound"}}, UpstreamMisconfigured),
    (400, {"error": {"message": "no", "type": "NotFoundError"}}, UpstreamMisconfigured),
    (402, b"", UpstreamMisconfigured),
    (429, {"error": {"message": "no", "code": "billing_hard_limit_reached"}}, UpstreamMisconfigured),
    (429, {"error": {"message": "no", "code": "insufficient_balance"}}, UpstreamMisconfigured),
    (429, {"error": {"message": "no", "code": "quota_exceeded"}}, UpstreamOverloaded),
    (400, {"error": {"message": "no", "code": "insufficient_credits"}}, UpstreamMisconfigured),
    (400, {"error": {"message": "Insufficient credits. Add more"}}, UpstreamMisconfigured),
    (429, b"", UpstreamOverloaded),
    (429, b"<html>Too Many Requests</html>", UpstreamOverloaded),
    (429, b"Too Many Requests", UpstreamOverloaded),
    (400, {"error": {"message": "no", "code": "ThrottlingException"}}, UpstreamOverloaded),
    (400, {"error": {"message": "no", "type": "RateLimitError"}}, UpstreamOverloaded),
    (400, {"error": {"message": "no", "type": "too_many_requests"}}, UpstreamOverloaded),
    (500, {"error": {"message": "no", "type": "overloaded_error"}}, UpstreamOverloaded),
    (500, {"error": {"message": "no", "code": "engine_overloaded"}}, UpstreamOverloaded),
    (500, {"error": {"message": "no", "status": "UNAVAILABLE"}}, UpstreamOverloaded),
    (500, {"error": {"message": "no", "code": "slow_down"}}, UpstreamOverloaded),
    (529, b"", UpstreamOverloaded),
    (503, b"no healthy upstream", UpstreamOverloaded),
    (413, b"<html>413 Request Entity Too Large</html>", RequestTooLarge),
    (413, b"Payload Too Large", RequestTooLarge),
    (413, [], RequestTooLarge),
    (400, {"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}, RequestTooLarge),
    (429, {"error": {"message": "Request too large for gpt-4 on tokens per min (TPM): Limit 10,000, Requested 12,000.", "code": "rate_limit_exceeded"}}, RequestTooLarge),
    (408, b"", UpstreamTimeout),
    (504, b"<html>Gateway Time-out</html>", UpstreamTimeout),
    (504, b"upstream request timeout", UpstreamTimeout),
    (500, {"error": {"message": "no", "status": "DEADLINE_EXCEEDED"}}, UpstreamTimeout),
    (500, {"error": {"message": "no", "type": "timeout_error"}}, UpstreamTimeout),
    (502, b"Bad Gateway", UpstreamUnreachable),
    (500, b"Internal Server Error", UpstreamError),
    (500, {"error": None}, UpstreamError),
    (500, b"", UpstreamError),
    (400, b"Invalid JSON: expected `,` at line 1", InvalidRequest),
    (400, b"", InvalidRequest),
    (422, {"errors": ["bad"]}, InvalidRequest),
    (400, {"errors": {"model": ["bad"]}}, InvalidRequest),
    (400, {"error": 5}, InvalidRequest),
    (400, {"error": True, "message": "bad"}, InvalidRequest),
    (400, {"error": {"message": ["bad"]}}, InvalidRequest),
    (400, {"error": {"message": None, "code": None}}, InvalidRequest),
    (404, {"error": {"message": "No endpoints found that support image input"}}, InvalidRequest),
    (404, {"error": {"message": "No endpoints found that support tool use"}}, InvalidRequest),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), OTHERS)
def test_a_refusal_in_other_words(status: int, body: Any, expected: type[FaregateError]) -> None:
    assert type(read(status, body)) is expected


@pytest.mark.parametrize("error", ["Bad Request", "invalid_request", "No"])
def test_a_sentence_beside_a_name_is_the_reason(error: str) -> None:
    found = read(400, {"timestamp": 1, "status": 400, "error": error, "message": "no field `x`"})
    assert type(found) is InvalidRequest
    assert found.message == "no field `x`"


@pytest.mark.parametrize(
    "body", [b"Invalid JSON:\nexpected `,`\n", b"\xef\xbb\xbfInvalid JSON: expected `,`"]
)
def test_plain_text_is_a_reason(body: bytes) -> None:
    assert read(400, body).message == "Invalid JSON: expected `,`"


#: words that mean something if a provider chose them
LURES = [
    '{"error": {"type": "insufficient_quota", "message": "x"}}',
    '{"error": {"type": "overloaded_error", "code": 529}}',
    "Your credit balance is too low",
    "insufficient balance",
    "API key not valid",
    "overloaded_error",
    "rate_limit_exceeded",
]


@pytest.mark.parametrize("lure", LURES)
@pytest.mark.parametrize("form", FORMS)
def test_words_that_a_client_wrote_decide_on_nothing(form: str, lure: str) -> None:
    """A provider repeats a wrong value; its client gets a 400, and nobody else has a fault."""
    message = f"tools.0.name: string does not match: {lure}"
    found = read(400, FORMS[form]({"message": message, "type": "invalid_request_error"}))
    assert type(found) is InvalidRequest
    assert found.message == message
