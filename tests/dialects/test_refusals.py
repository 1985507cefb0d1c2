"""The corpus of refusals: the status, code and counts that each family of clients gets for each."""

import json
from typing import Any, NamedTuple

import pytest

from gateway.core.errors import FaregateError
from gateway.dialects.chat.answer_stream import ChatStream
from gateway.dialects.errors import error_headers, render_anthropic, render_openai, status_for
from gateway.dialects.upstream_errors import broken_by, read_error
from tests.dialects.refusals import REFUSALS, WAITS, Counts, Refusal
from tests.dialects.support import chunk, stream

PROVIDERS_MIN, REFUSALS_MIN = 45, 290


class Meaning(NamedTuple):
    """The answer in OpenAI's family and in Anthropic's."""

    status: int
    code: str | None
    kind: str
    anthropic_status: int
    anthropic_kind: str
    retries: bool


_CLIENTS = "invalid_request_error"
MEANINGS = {
    "overflow": Meaning(400, "context_length_exceeded", _CLIENTS, 400, _CLIENTS, False),
    "filtered": Meaning(400, "content_filter", _CLIENTS, 400, _CLIENTS, False),
    "invalid": Meaning(400, None, _CLIENTS, 400, _CLIENTS, False),
    "too large": Meaning(413, "request_too_large", _CLIENTS, 413, "request_too_large", False),
    "misconfigured": Meaning(
        502, "upstream_misconfigured", "server_error", 502, "api_error", False
    ),
    "overloaded": Meaning(
        503, "upstream_overloaded", "server_error", 529, "overloaded_error", True
    ),
    "failed": Meaning(502, "upstream_error", "server_error", 502, "api_error", True),
    "unreachable": Meaning(502, "upstream_unreachable", "server_error", 502, "api_error", True),
    "timed out": Meaning(504, "upstream_timeout", "server_error", 504, "timeout_error", True),
}


def _name(value: Any) -> str | None:
    return f"{value.provider}-{value.status}-{value.means}" if isinstance(value, Refusal) else None


@pytest.mark.parametrize("refusal", REFUSALS, ids=_name)
def test_each_family_gets_its_status_code_and_counts(refusal: Refusal) -> None:
    body = refusal.body if isinstance(refusal.body, bytes) else json.dumps(refusal.body).encode()
    error = read_error(refusal.status, body, {}, "credential", 0.0)
    meaning = MEANINGS[refusal.means]
    openai = render_openai(error)["error"]
    anthropic = render_anthropic(error, "req_1")["error"]
    assert isinstance(openai, dict)
    assert isinstance(anthropic, dict)
    assert meaning == Meaning(
        status_for(error, "openai"), openai["code"], openai["type"],
        status_for(error, "anthropic"), anthropic["type"],
        (b"x-should-retry", b"true") in error_headers(error, "openai"),
    )  # fmt: skip
    assert refusal.words in openai["message"]
    assert refusal.words in anthropic["message"]
    if refusal.counts is not None:
        _check_counts(refusal.counts, openai["message"], anthropic["message"])


def _check_counts(counts: Counts, openai: str, anthropic: str) -> None:
    given, cap, limit = counts
    assert openai.startswith(f"This model's maximum context length is {limit} tokens.")
    if given is None or limit is None:
        assert anthropic.startswith("prompt is too long")
    elif given > limit:
        assert f"resulted in {given} tokens" in openai
        assert anthropic == f"prompt is too long: {given} tokens > {limit} maximum"
    else:
        assert f"({given} in the messages, {cap} in the completion)" in openai
        expected = f"input length and `max_tokens` exceed context limit: {given} + {cap} > {limit}"
        assert anthropic == expected


def test_the_corpus_is_wide() -> None:
    assert len(REFUSALS) >= REFUSALS_MIN
    assert len({refusal.provider for refusal in REFUSALS}) >= PROVIDERS_MIN
    rows = [(refusal.provider, refusal.status, str(refusal.body)) for refusal in REFUSALS]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize(
    "words",
    ["API key not valid", "Incorrect API key provided", "insufficient balance", "Model Not Exist",
     "Your credit balance is too low", "foo is not a valid model ID"],
)  # fmt: skip
def test_a_clients_own_words_are_not_taken_for_the_providers(words: str) -> None:
    """A provider repeats a wrong value; by that no client makes a fault of the administrator's."""
    body = {"error": {"message": f"tools.0.name: '{words}' is no name", "type": "bad_request"}}
    error = read_error(400, json.dumps(body).encode(), {}, None, 0.0)
    assert (error.status, error.code) == MEANINGS["invalid"][:2]


@pytest.mark.parametrize("code", ["11130", "21301", "12110"])
def test_a_longer_number_is_another_code(code: str) -> None:
    body = {"error": {"message": "no", "code": code}}
    error = read_error(400, json.dumps(body).encode(), {}, None, 0.0)
    assert (error.status, error.code) == MEANINGS["invalid"][:2]


def test_a_wait_in_the_body_is_as_good_as_a_header() -> None:
    found = next(r for r in REFUSALS if "RetryInfo" in str(r.body))
    error = read_error(429, json.dumps(found.body).encode(), {}, None, 0.0)
    assert error.retry_after_seconds == 37.0


@pytest.mark.parametrize(("body", "seconds"), WAITS)
def test_a_wait_in_words_is_as_good_as_a_header(body: Any, seconds: float | None) -> None:
    error = read_error(429, json.dumps(body).encode(), {}, None, 0.0)
    assert error.code == "upstream_overloaded"
    assert error.retry_after_seconds == (None if seconds is None else pytest.approx(seconds))
    header = read_error(429, json.dumps(body).encode(), {"retry-after-ms": "1500"}, None, 0.0)
    assert header.retry_after_seconds == 1.5


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ({"message": "bad", "code": "400"}, "invalid"),
        ({"message": "bad", "code": 400}, "invalid"),
        ({"message": "slow down", "code": "429"}, "overloaded"),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, "overloaded"),
        ({"message": "bad", "type": "invalid_request_error"}, "invalid"),
        ({"message": "bad", "status": "INVALID_ARGUMENT"}, "invalid"),
        ({"message": "no", "type": "authentication_error"}, "misconfigured"),
        ({"message": "prompt is too long: 3 tokens > 2 maximum"}, "overflow"),
        ({"message": "Overloaded", "type": "overloaded_error"}, "overloaded"),
        ({"message": "late", "status": "DEADLINE_EXCEEDED"}, "timed out"),
        ({"message": "slow down", "code": "429 Too Many Requests"}, "overloaded"),
        ({"message": "slow down", "type": "rate-limit"}, "overloaded"),
        ({"message": "slow down", "type": "Rate Limit Exceeded"}, "overloaded"),
        ({"message": "slow down", "code": "1302"}, "overloaded"),
        ({"message": "slow down", "http_status": 429}, "overloaded"),
        ({"message": "slow down", "error_code": "429"}, "overloaded"),
        ({"message": "bad", "type": "Bad Request"}, "invalid"),
        ({"success": False, "errors": [{"message": "slow down", "code": 429}]}, "overloaded"),
        (
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            "misconfigured",
        ),
    ],
)
def test_an_error_in_a_good_answer_is_what_its_status_would_be(
    error: dict[str, Any], meaning: str
) -> None:
    failure = broken_by(error, None, begun=False)
    assert (failure.status, failure.code) == MEANINGS[meaning][:2]
    assert broken_by(error, None, begun=True).code == "upstream_broken"


def test_no_secret_of_an_upstreams_account_leaves() -> None:
    secrets = ["org_abcd1234", "org-abcd1234", "proj_abcd1234", "gsk_abcd1234", "xai-abcd1234",
               "nvapi-abcd1234", "hf_abcd1234", "AIzaSyabcd1234", "sk-abcd1234"]  # fmt: skip
    body = {"error": {"message": " ".join(secrets), "type": "invalid_request_error"}}
    error = read_error(400, json.dumps(body).encode(), {}, None, 0.0)
    assert error.message == " ".join(["[hidden]"] * len(secrets))


MINIMAX = {
    1001: "timed out", 1002: "overloaded", 1004: "misconfigured", 1008: "misconfigured",
    1026: "filtered", 1027: "filtered", 1039: "overloaded", 1042: "invalid", 2013: "invalid",
    2049: "misconfigured", 2056: "overloaded",
}  # fmt: skip


@pytest.mark.parametrize("choices", [None, []])
@pytest.mark.parametrize("code", MINIMAX)
def test_minimax_refuses_with_a_good_status_and_a_number_of_its_own(
    code: int, choices: list[Any] | None
) -> None:
    refused = {
        **chunk(choices=choices, usage={"total_tokens": 0}),
        "base_resp": {"status_code": code, "status_msg": "its words"},
    }
    streamed, meaning = ChatStream(1, None), MEANINGS[MINIMAX[code]]
    streamed.feed(stream(refused))
    with pytest.raises(FaregateError) as whole:
        ChatStream(1, None).answer(json.dumps({**refused, "object": "chat.completion"}).encode())
    for error in (streamed.failure, whole.value):
        assert error is not None
        assert (error.status, error.code) == meaning[:2]


def test_minimax_succeeds_with_a_number_too() -> None:
    good = {"base_resp": {"status_code": 0, "status_msg": ""}}
    reader = ChatStream(1, None)
    chunks = reader.feed(stream({**chunk({"content": "x"}), **good}, {**chunk({}, "stop"), **good}))
    assert [one.plain for one in chunks] == [True, False]
    assert reader.complete
