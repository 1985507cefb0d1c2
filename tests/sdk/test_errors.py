"""Failures as the released SDKs raise them: the right class, the right words, the right retries."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest

from tests.harness.gateway import GatewayProcess, Simulated, wait_until
from tests.sdk.conftest import anthropic_client, openai_client
from tests.sdk.driven import Judge
from tests.sdk.upstream import Upstream

MODEL = "kimi-k2.5"
DIALECTS = ["chat", "responses", "messages"]
#: what to send, the exception, status and code (OpenAI); the exception, status and type (Anthropic)
REFUSALS: list[tuple[str, type[Exception], int, str | None, type[Exception], int, str]] = [
    ("!error 400", openai.BadRequestError, 400, None,
     anthropic.BadRequestError, 400, "invalid_request_error"),
    ("!error 400 content_filter", openai.BadRequestError, 400, "content_filter",
     anthropic.BadRequestError, 400, "invalid_request_error"),
    ("!error 401", openai.InternalServerError, 502, "upstream_misconfigured",
     anthropic.InternalServerError, 502, "api_error"),
    ("!error 429", openai.InternalServerError, 503, "upstream_overloaded",
     anthropic.OverloadedError, 529, "overloaded_error"),
    ("!error 429 exceeded_current_quota_error",
     openai.InternalServerError, 502, "upstream_misconfigured",
     anthropic.InternalServerError, 502, "api_error"),
    ("!error 500", openai.InternalServerError, 502, "upstream_error",
     anthropic.InternalServerError, 502, "api_error"),
    ("!error 503", openai.InternalServerError, 503, "upstream_overloaded",
     anthropic.OverloadedError, 529, "overloaded_error"),
    ("!error 504", openai.InternalServerError, 504, "upstream_timeout",
     anthropic.GatewayTimeoutError, 504, "timeout_error"),
    ("!error-event", openai.InternalServerError, 502, "upstream_broken",
     anthropic.InternalServerError, 502, "api_error"),
    ("!cut 3", openai.InternalServerError, 502, "upstream_broken",
     anthropic.InternalServerError, 502, "api_error"),
]  # fmt: skip

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)
#: makes a client of the dialect's SDK for a key of the gateway
Make = Callable[..., Any]


@pytest.fixture(scope="module")
def make(kind: str, gateway: GatewayProcess) -> Iterator[Make]:
    """Clients by dialect, key and options, each made once."""
    judges: dict[str, Judge] = {}

    def client(dialect: str, key: str = "rich", **options: Any) -> Any:
        name = f"{dialect == 'messages'} {key} {options}"
        if name not in judges:
            new = anthropic_client if dialect == "messages" else openai_client
            plaintext = key if key.startswith("sk-") else gateway.key(key)
            judges[name] = Judge(new(kind, gateway, plaintext, **options))
        return judges[name].client

    yield client
    for judge in judges.values():
        judge.close()


def ask(client: Any, dialect: str, text: str, **more: Any) -> Any:
    body = {"messages": [{"role": "user", "content": text}]}
    if dialect == "chat":
        return client.chat.completions.create(**{"model": MODEL, **body, **more})
    if dialect == "responses":
        return client.responses.create(**{"model": MODEL, "input": text, **more})
    return client.messages.create(**{"model": MODEL, "max_tokens": 1000, **body, **more})


def refused(client: Any, dialect: str, text: str, **more: Any) -> Any:
    """The error that a request ends in before any content is sent."""
    family = anthropic.APIStatusError if dialect == "messages" else openai.APIStatusError
    with pytest.raises(family) as caught:
        ask(client, dialect, text, **more)
    return caught.value


def pieces(dialect: str, event: Any) -> str:
    """The text that an event of a stream adds."""
    if dialect == "chat":
        return str(event.choices[0].delta.content or "") if event.choices else ""
    if dialect == "responses":
        return str(event.delta) if event.type == "response.output_text.delta" else ""
    return str(event.delta.text) if event.type == "content_block_delta" else ""


def answered(gateway: GatewayProcess, account: str, code: int) -> float:
    """The number of answers of this status that the account was given."""
    marks = (f'account="team/{account}"', f'code="{code}"')
    lines = [line for line in gateway.metrics().splitlines() if all(m in line for m in marks)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if "requests_total" in line)


@every_dialect
@pytest.mark.parametrize("case", REFUSALS, ids=[case[0] for case in REFUSALS])
def test_an_upstreams_failure_has_its_exception(
    make: Make, kind: str, dialect: str, case: Any
) -> None:
    """Whole answers with the blocking client, streams with the async one: each once."""
    text, openai_error, status, code, anthropic_error, anthropic_status, anthropic_type = case
    stream = kind == "async" and text.startswith("!error ")
    error = refused(make(dialect), dialect, text, stream=stream)
    if dialect == "messages":
        assert type(error) is anthropic_error
        assert (error.status_code, error.type) == (anthropic_status, anthropic_type)
        assert error.api_message
    else:
        assert type(error) is openai_error
        assert (error.status_code, error.code) == (status, code)
        assert error.body["message"]
    assert error.request_id.startswith("req_")
    assert error.response.headers["x-credits-charged"] == "0"
    assert "org-simulated" not in str(error)


@every_dialect
def test_what_the_gateway_refuses_has_its_exception(make: Make, dialect: str) -> None:
    sdk: Any = anthropic if dialect == "messages" else openai
    rich = make(dialect)
    unknown = refused(make(dialect, "sk-nobody"), dialect, "Hi")
    assert type(unknown) is sdk.AuthenticationError
    assert type(refused(make(dialect, "narrow"), dialect, "Hi")) is sdk.PermissionDeniedError
    missing = refused(rich, dialect, "Hi", model="unknown")
    assert type(missing) is sdk.NotFoundError
    assert "unknown" in str(missing)
    long = refused(rich, dialect, "long " * 50_000)
    assert long.status_code == 413
    if dialect == "messages":
        assert unknown.type == "authentication_error"
        assert missing.type == "not_found_error"
        assert (type(long), long.type) == (anthropic.ContentTooLargeError, "request_too_large")
    else:
        assert unknown.code == "invalid_api_key"
        assert (missing.code, missing.param) == ("model_not_found", "model")
        assert long.code == "request_too_large"


@every_dialect
def test_used_up_credits_are_reported_once(
    make: Make, gateway: GatewayProcess, kind: str, dialect: str
) -> None:
    stream = kind == "async"
    before = answered(gateway, "poor", 402)
    error = refused(make(dialect, "poor", max_retries=2), dialect, "Hi", stream=stream)
    wait_until(lambda: answered(gateway, "poor", 402) > before, "the metrics")
    assert answered(gateway, "poor", 402) == before + 1
    assert error.status_code == 402
    assert error.response.headers["x-credits-remaining"] == "0"
    if dialect == "messages":
        assert (type(error), error.type) == (anthropic.PaymentRequiredError, "billing_error")
        assert "Your credit balance is too low" in error.api_message
    else:
        assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")


@every_dialect
def test_too_many_requests_state_how_long_to_wait(make: Make, dialect: str) -> None:
    client = make(dialect, "slow")
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)) as caught:
        for _ in range(2):
            ask(client, dialect, "Hi")
    error: Any = caught.value
    assert 1 <= int(error.response.headers["retry-after"]) <= 60
    assert error.response.headers["x-should-retry"] == "true"
    if dialect == "messages":
        assert error.type == "rate_limit_error"
    else:
        assert (error.type, error.code) == ("rate_limit_error", "rate_limit_exceeded")


@pytest.mark.parametrize("dialect", ["chat", "messages"])
@pytest.mark.parametrize(
    ("fault", "attempts"),
    [
        ("!error 400", 1),
        ("!error 401", 1),
        ("!error 429 exceeded_current_quota_error", 1),
        ("!error 500", 2),
    ],
)
def test_only_what_may_pass_is_tried_again(
    make: Make, upstream: Upstream, dialect: str, fault: str, attempts: int
) -> None:
    before = upstream.received()
    refused(make(dialect, max_retries=1), dialect, fault)
    assert upstream.received() == before + attempts


def test_an_overloaded_upstream_is_asked_again_after_the_time_it_named(
    make: Make, upstream: Upstream, kind: str
) -> None:
    dialect = "chat" if kind == "async" else "messages"
    before = upstream.received()
    error = refused(make(dialect, max_retries=1), dialect, "!error 503 1")
    assert error.response.headers["retry-after"] == "1"
    assert upstream.received() == before + 2


def test_a_request_too_many_comes_through_when_it_is_tried_again(
    make: Make, gateway: GatewayProcess, simulated: Simulated, kind: str
) -> None:
    dialect = "chat" if kind == "sync" else "messages"
    client = make(dialect, "single", max_retries=8)
    refused = answered(gateway, "rich", 429)
    held = ask(client, dialect, "!chunks 3\n!stall 2 hold", stream=True)
    endpoint = client.messages if dialect == "messages" else client.chat.completions

    def release() -> None:
        wait_until(lambda: answered(gateway, "rich", 429) > refused, "a refusal")
        simulated.release()

    with ThreadPoolExecutor(1) as pool:
        released = pool.submit(release)
        answer = endpoint.with_raw_response.create(
            model=MODEL, max_tokens=100, messages=[{"role": "user", "content": "!answer At last"}]
        )
        released.result()
    assert "At last" in answer.parse().model_dump_json()
    assert answer.retries_taken >= 1
    assert "".join(pieces(dialect, event) for event in held) == "word1 word2 word3 "


@every_dialect
def test_a_client_that_does_not_wait(make: Make, dialect: str) -> None:
    with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
        ask(make(dialect), dialect, "!silence 30", timeout=0.3)


@every_dialect
@pytest.mark.parametrize("fault", ["!error-event", "!cut 4", "!end-early"])
def test_a_stream_that_breaks_raises_after_what_it_sent(
    make: Make, dialect: str, fault: str
) -> None:
    stream = ask(make(dialect), dialect, f"!chunks 10\n{fault}", stream=True)
    found: list[str] = []
    with pytest.raises((openai.APIError, anthropic.APIError)) as caught:
        found.extend(pieces(dialect, event) for event in stream)
    text = "".join(found)
    assert text.startswith("word1 ")
    assert ("word10" in text) is (fault == "!end-early")
    error: Any = caught.value
    if dialect == "messages":
        assert error.type == "api_error"
    else:
        assert (type(error), error.code) == (openai.APIError, "upstream_broken")


@every_dialect
def test_the_accumulators_raise_too(make: Make, dialect: str) -> None:
    client, text = make(dialect), "!chunks 10\n!cut 4"
    body = {"messages": [{"role": "user", "content": text}]}
    manager: Any
    if dialect == "chat":
        manager = client.chat.completions.stream(model=MODEL, **body)
    elif dialect == "responses":
        manager = client.responses.stream(model=MODEL, input=text)
    else:
        manager = client.messages.stream(model=MODEL, max_tokens=100, **body)
    with pytest.raises((openai.APIError, anthropic.APIError)), manager as stream:
        list(stream)


@every_dialect
def test_a_failure_after_a_silence_is_an_event(make: Make, dialect: str) -> None:
    """The 200 was sent with the first keep-alive."""
    stream = ask(make(dialect), dialect, "!silence 0.4\n!error 503", stream=True)
    with pytest.raises((openai.APIError, anthropic.APIError), match="overloaded"):
        list(stream)


@every_dialect
def test_too_long_a_context_is_named_as_agents_look_for_it(make: Make, dialect: str) -> None:
    cap = {"chat": "max_completion_tokens", "responses": "max_output_tokens"}
    more = {cap.get(dialect, "max_tokens"): 300_000, "timeout": 20}
    error = refused(make(dialect), dialect, "Hi", **more)
    if dialect == "messages":
        assert type(error) is anthropic.BadRequestError
        assert "prompt is too long" in str(error.api_message)
    else:
        assert (type(error), error.code) == (openai.BadRequestError, "context_length_exceeded")
        assert "maximum context length is 262144 tokens" in error.body["message"]


@pytest.mark.parametrize(
    ("dialect", "more", "param"),
    [
        ("chat", {"modalities": ["text", "audio"]}, "modalities"),
        ("chat", {"n": 3}, "n"),
        ("chat", {"messages": []}, "messages"),
        ("responses", {"background": True}, "background"),
        ("responses", {"tools": [{"type": "code_interpreter", "container": "x"}]}, "tools.0"),
        ("responses", {"previous_response_id": "resp_none"}, "previous_response_id"),
        ("responses", {"conversation": "conv_1"}, "conversation"),
    ],
)
def test_what_nobody_serves_is_named(
    make: Make, dialect: str, more: dict[str, Any], param: str
) -> None:
    error = refused(make(dialect), dialect, "Hi", **more)
    assert type(error) is openai.BadRequestError
    assert error.param == param


def test_an_unserved_server_tool_is_named(make: Make) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}]
    error = refused(make("messages"), "messages", "Hi", tools=tools)
    assert type(error) is anthropic.BadRequestError
    assert "tools.0: web_search_20250305 is not supported" in str(error.api_message)


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_routes_that_are_not_there(make: Make, dialect: str) -> None:
    sdk: Any = anthropic if dialect == "messages" else openai
    client = make(dialect)
    with pytest.raises(sdk.NotFoundError) as caught:
        client.files.list() if dialect == "chat" else client.messages.batches.list()
    assert caught.value.type == (
        "not_found_error" if dialect == "messages" else "invalid_request_error"
    )
