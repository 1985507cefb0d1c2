"""Models and credentials, judged by both released packages: the ways in, and what is on offer."""

from typing import Any

import anthropic
import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletion

from tests.harness.gateway import GatewayProcess
from tests.sdk.conftest import anthropic_client, openai_client
from tests.sdk.driven import Judge, check

IDS = ["kimi-k2.5", "open", "dead", "k3", "coder", "thinker"]


def greet_chat(client: Any) -> str:
    messages = [{"role": "user", "content": "!answer Welcome"}]
    completion = client.chat.completions.create(model="kimi-k2.5", messages=messages)
    return str(completion.choices[0].message.content)


def greet_messages(client: Any) -> str:
    messages = [{"role": "user", "content": "!answer Welcome"}]
    message = client.messages.create(model="kimi-k2.5", max_tokens=100, messages=messages)
    return str(message.content[0].text)


def test_openais_list_of_models(chat_client: Any) -> None:
    models = list(chat_client.models.list())
    assert [model.id for model in models] == [*IDS, "vectors"]
    assert {model.object for model in models} == {"model"}
    for model in models:
        check(model)
        assert chat_client.models.retrieve(model.id).to_dict() == model.to_dict()
    with pytest.raises(openai.NotFoundError) as missing:
        chat_client.models.retrieve("unknown")
    assert missing.value.code == "model_not_found"


def test_anthropics_list_of_models(messages_client: Any) -> None:
    page = messages_client.models.list()
    assert [model.id for model in page.data] == IDS
    assert (page.has_more, page.first_id, page.last_id) == (False, IDS[0], IDS[-1])
    assert [model.id for model in page] == IDS
    for model in page.data:
        check(model)
        found = messages_client.models.retrieve(model.id)
        assert (found.id, found.type, found.display_name) == (model.id, "model", model.id)
    with pytest.raises(anthropic.NotFoundError) as missing:
        messages_client.models.retrieve("unknown")
    assert missing.value.type == "not_found_error"


def test_an_alias_answers_by_its_own_name(chat_client: Any, messages_client: Any) -> None:
    assert chat_client.models.retrieve("claude-opus-5").id == "claude-opus-5"
    assert messages_client.models.retrieve("claude-opus-5").id == "claude-opus-5"


def test_a_key_sees_the_models_it_may_use(gateway: GatewayProcess, kind: str) -> None:
    key = gateway.key("narrow")
    with Judge(openai_client(kind, gateway, key)) as judge:
        assert [model.id for model in judge.client.models.list()] == ["open"]
    with Judge(anthropic_client(kind, gateway, key)) as judge:
        assert [model.id for model in judge.client.models.list()] == ["open"]
        with pytest.raises(anthropic.NotFoundError):
            judge.client.models.retrieve("kimi-k2.5")


@pytest.fixture
def environment(secret: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The key's Secret, taken over as it is, as `envFrom` does it."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in secret.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
def test_clients_need_nothing_but_the_secret(kind: str) -> None:
    make: Any = openai.OpenAI if kind == "sync" else openai.AsyncOpenAI
    with Judge(make()) as judge:
        assert greet_chat(judge.client) == "Welcome"
    make = anthropic.Anthropic if kind == "sync" else anthropic.AsyncAnthropic
    with Judge(make()) as judge:
        assert greet_messages(judge.client) == "Welcome"


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "anthropic-auth-token"])
def test_every_header_for_a_key_opens_both_families(
    gateway: GatewayProcess, kind: str, header: str
) -> None:
    """The SDKs send a Bearer of their own; one that nobody knows does no harm beside a good one."""
    key = gateway.key("rich")
    value = f"Bearer {key}" if header == "authorization" else key
    headers = {header: value}
    with Judge(openai_client(kind, gateway, "sk-nobody", default_headers=headers)) as judge:
        assert greet_chat(judge.client) == "Welcome"
    with Judge(anthropic_client(kind, gateway, "sk-nobody", default_headers=headers)) as judge:
        assert greet_messages(judge.client) == "Welcome"


def test_two_keys_that_differ_are_refused(gateway: GatewayProcess, kind: str) -> None:
    headers = {"x-api-key": gateway.key("other")}
    with (
        Judge(openai_client(kind, gateway, gateway.key("rich"), default_headers=headers)) as judge,
        pytest.raises(openai.AuthenticationError, match="two different API keys"),
    ):
        greet_chat(judge.client)


def test_an_old_anthropic_client_is_served(gateway: GatewayProcess, kind: str) -> None:
    """It sends `x-api-key` alone, and the version of 2023."""
    headers = {
        "x-api-key": gateway.key("rich"),
        "authorization": anthropic.Omit(),
        "anthropic-version": "2023-06-01",
    }
    with Judge(anthropic_client(kind, gateway, "unused", default_headers=headers)) as judge:
        assert greet_messages(judge.client) == "Welcome"


def test_base_urls_with_a_second_v1_are_forgiven(gateway: GatewayProcess, kind: str) -> None:
    key = gateway.key("rich")
    with Judge(openai_client(kind, gateway, key)) as judge:
        twice = judge.client.with_options(base_url=f"{gateway.url}/api/openai/v1/v1")
        assert greet_chat(twice) == "Welcome"
        assert [model.id for model in twice.models.list()] == [*IDS, "vectors"]
    with Judge(anthropic_client(kind, gateway, key)) as judge:
        twice = judge.client.with_options(base_url=f"{gateway.url}/api/anthropic/v1")
        assert greet_messages(twice) == "Welcome"
        assert [model.id for model in twice.models.list()] == IDS


def test_the_judges_would_notice() -> None:
    """Members that an SDK builds without looking are looked at: here an object that lacks one."""
    good: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [],
    }
    check(ChatCompletion.construct(**good))
    for broken in ({**good, "object": "completion"}, {**good, "created": None}):
        with pytest.raises(pydantic.ValidationError):
            check(ChatCompletion.construct(**broken))
