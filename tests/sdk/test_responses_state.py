"""State of the Responses API, judged by the released `openai` package: kept, or carried along."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.harness.gateway import GatewayProcess
from tests.sdk.conftest import openai_client
from tests.sdk.conversation import TWO_CALLS
from tests.sdk.driven import Judge
from tests.sdk.responses import CITIES, TOOL, ask, calls_of, final, outputs_for
from tests.sdk.upstream import Upstream


@pytest.fixture(scope="module")
def get(kind: str) -> Any:
    """Whole answers with the blocking client, accumulated streams with the async one."""
    return ask if kind == "sync" else final


@pytest.fixture(scope="module")
def stranger(kind: str, gateway: GatewayProcess) -> Iterator[Any]:
    """The client of another account."""
    with Judge(openai_client(kind, gateway, gateway.key("other"))) as judge:
        yield judge.client


def sent_texts(upstream: Upstream) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in upstream.messages()]


def test_a_conversation_goes_on_from_the_previous_response(
    chat_client: Any, upstream: Upstream, get: Any
) -> None:
    first = get(chat_client, "!answer I am Ann", instructions="Be kind.")
    second = get(chat_client, "!answer Still Ann", previous_response_id=first.id)
    third = get(chat_client, "Who?", previous_response_id=second.id, instructions="Be brief.")
    assert third.previous_response_id == second.id
    assert third.output_text == "You said: Who?"
    assert sent_texts(upstream) == [
        ("system", "Be brief."),
        ("user", "!answer I am Ann"),
        ("assistant", "I am Ann"),
        ("user", "!answer Still Ann"),
        ("assistant", "Still Ann"),
        ("user", "Who?"),
    ]


def test_a_tool_loop_goes_on_from_the_previous_response(
    chat_client: Any, upstream: Upstream, get: Any
) -> None:
    more = {"tools": [TOOL], "reasoning": {"effort": "high"}}
    first = get(chat_client, TWO_CALLS, **more)
    answer = get(chat_client, outputs_for(first), previous_response_id=first.id, **more)
    assert answer.output_text == "Sunny in both."
    _, assistant, *results = upstream.messages()
    assert assistant["reasoning_content"] == "Two cities, then."
    assert len(assistant["tool_calls"]) == len(results) == len(CITIES)


def test_items_are_referred_to(chat_client: Any, upstream: Upstream, get: Any) -> None:
    more = {"tools": [TOOL], "reasoning": {"effort": "high"}}
    first = get(chat_client, TWO_CALLS, **more)
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    history = [{"role": "user", "content": TWO_CALLS}, *references, *outputs_for(first)]
    assert get(chat_client, history, **more).output_text == "Sunny in both."
    assert upstream.messages()[1]["reasoning_content"] == "Two cities, then."


def test_a_response_is_kept_and_deleted(chat_client: Any, get: Any) -> None:
    first = get(chat_client, "!answer One")
    second = get(chat_client, "!answer Two", previous_response_id=first.id)
    assert second.store is True
    kept = chat_client.responses.retrieve(second.id)
    assert kept.output_text == "Two"
    assert (kept.id, kept.output[0].id) == (second.id, second.output[0].id)
    chat_client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        chat_client.responses.retrieve(second.id)
    with pytest.raises(openai.NotFoundError):
        chat_client.responses.delete(second.id)
    with pytest.raises(openai.BadRequestError) as unknown:
        get(chat_client, "Hi", previous_response_id=second.id)
    assert unknown.value.code == "previous_response_not_found"
    assert chat_client.responses.retrieve(first.id).output_text == "One"


def test_its_input_is_listed_in_pages(chat_client: Any, get: Any) -> None:
    first = get(chat_client, "!answer One")
    second = get(chat_client, "!answer Two", previous_response_id=first.id)
    items = chat_client.responses.input_items
    newest = items.list(second.id, limit=2).data
    assert [item.role for item in newest] == ["user", "assistant"]
    assert newest[0].content[0].text == "!answer Two"
    assert newest[1].content[0].text == "One"
    rest = items.list(second.id, limit=2, after=newest[-1].id).data
    assert [item.content[0].text for item in rest] == ["!answer One"]
    oldest = items.list(second.id, order="asc").data
    assert [item.id for item in oldest] == [item.id for item in [*newest, *rest]][::-1]


def test_a_page_leads_to_the_next(chat_client: Any) -> None:
    response = ask(chat_client, [{"role": "user", "content": f"line {n}"} for n in range(5)])
    pages = chat_client.responses.input_items.list(response.id, limit=2, order="asc")
    assert pages.has_next_page()
    assert [item.content[0].text for item in pages] == [f"line {n}" for n in range(5)]


def test_nothing_is_kept_where_the_client_asks_so(
    chat_client: Any, upstream: Upstream, get: Any
) -> None:
    """Reasoning travels sealed, and the gateway reads it again when it comes back."""
    more = {
        "tools": [TOOL],
        "reasoning": {"effort": "high"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    first = get(chat_client, TWO_CALLS, **more)
    assert first.store is False
    with pytest.raises(openai.NotFoundError):
        chat_client.responses.retrieve(first.id)
    reasoning = first.output[0]
    assert reasoning.encrypted_content
    assert "Two cities" not in reasoning.encrypted_content
    sealed = {
        "type": "reasoning",
        "id": reasoning.id,
        "summary": [],
        "encrypted_content": reasoning.encrypted_content,
    }
    history = [{"role": "user", "content": TWO_CALLS}, sealed, *calls_of(first)]
    answer = get(chat_client, [*history, *outputs_for(first)], **more)
    assert answer.output_text == "Sunny in both."
    assert upstream.messages()[1]["reasoning_content"] == "Two cities, then."
    reference = {"type": "item_reference", "id": reasoning.id}
    with pytest.raises(openai.BadRequestError, match="store: false"):
        get(chat_client, [reference, {"role": "user", "content": "Hi"}])


def test_nobody_else_sees_what_an_account_keeps(
    chat_client: Any, stranger: Any, upstream: Upstream, get: Any
) -> None:
    more = {"tools": [TOOL], "reasoning": {"effort": "high"}}
    first = get(chat_client, TWO_CALLS, include=["reasoning.encrypted_content"], **more)
    for attempt in (stranger.responses.retrieve, stranger.responses.delete):
        with pytest.raises(openai.NotFoundError):
            attempt(first.id)
    with pytest.raises(openai.NotFoundError):
        stranger.responses.input_items.list(first.id)
    with pytest.raises(openai.BadRequestError) as refused:
        get(stranger, "Hi", previous_response_id=first.id)
    assert refused.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError, match="not found"):
        get(stranger, [{"type": "item_reference", "id": first.output[0].id}])
    sealed = {**first.output[0].to_dict(), "summary": []}
    history = [{"role": "user", "content": TWO_CALLS}, sealed, *calls_of(first)]
    get(stranger, [*history, *outputs_for(first)], **more)
    assert "Two cities" not in str(upstream.messages()[1]["reasoning_content"])
    assert chat_client.responses.retrieve(first.id).id == first.id
