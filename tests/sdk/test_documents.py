"""Documents, as the SDKs send them: the model sees their text, and what has none harms nobody."""

from base64 import b64encode
from io import BytesIO
from typing import Any

import anthropic
import openai
import pytest
from pypdf import PdfReader, PdfWriter

from tests.harness.gateway import GatewayProcess
from tests.harness.pdf import pdf
from tests.sdk.upstream import Upstream

MODEL = "kimi-k2.5"
PLAN = b64encode(pdf("The plan is to win.", "Page two.")).decode()
TEXT = "The plan is to win.\n\nPage two."


def encrypted() -> str:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf("Top secret."))))
    writer.encrypt("sesame")
    file = BytesIO()
    writer.write(file)
    return b64encode(file.getvalue()).decode()


#: what cannot be read, and how its refusal begins
UNREADABLE = [
    (encrypted(), "The PDF specified is password protected"),
    (b64encode(pdf("")).decode(), "The PDF specified has no text"),
    (PLAN[:200], "The PDF specified was not valid"),
]
unreadable = pytest.mark.parametrize(
    ("data", "sentence"), UNREADABLE, ids=["encrypted", "scanned", "broken"]
)


def block(source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": source, **more}


def pdf_block(data: str = PLAN, **more: Any) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": data}
    return block(source, title="plan.pdf", **more)


def file(data: str = PLAN) -> dict[str, str]:
    return {"filename": "plan.pdf", "file_data": f"data:application/pdf;base64,{data}"}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def ask_messages(client: Any, *messages: Any) -> Any:
    asked = client.messages.with_raw_response.create(
        model=MODEL, max_tokens=1000, messages=list(messages)
    )
    return asked.headers.get("x-faregate-degraded")


def ask_chat(client: Any, *messages: Any) -> Any:
    asked = client.chat.completions.with_raw_response.create(model=MODEL, messages=list(messages))
    return asked.headers.get("x-faregate-degraded")


def ask_responses(client: Any, *items: Any) -> Any:
    asked = client.responses.with_raw_response.create(model=MODEL, input=list(items))
    return asked.headers.get("x-faregate-degraded")


def seen(upstream: Upstream, index: int = 0) -> str:
    """A message as the upstream got it, as one text."""
    content = upstream.messages()[index]["content"]
    return content if isinstance(content, str) else "\n".join(part["text"] for part in content)


def test_messages_blocks_of_every_source(messages_client: Any, upstream: Upstream) -> None:
    plain = {"type": "text", "media_type": "text/plain", "data": "Buy milk."}
    pieces = {"type": "content", "content": [{"type": "text", "text": "Buy bread."}]}
    degraded = ask_messages(
        messages_client,
        user(
            pdf_block(context="Of Tuesday.", citations={"enabled": True}),
            block(plain),
            block(pieces),
            {"type": "text", "text": "So?"},
        ),
    )

    assert degraded == "citations"
    for text in ("[document plan.pdf]\nOf Tuesday.", TEXT, "Buy milk.", "Buy bread.", "So?"):
        assert text in seen(upstream)


def test_files_of_both_openai_dialects(chat_client: Any, upstream: Upstream) -> None:
    asked = {"type": "text", "text": "So?"}
    assert ask_chat(chat_client, user({"type": "file", "file": file()}, asked)) is None
    assert f"[file plan.pdf]\n{TEXT}\nSo?" in seen(upstream)

    asked = {"type": "input_text", "text": "So?"}
    assert ask_responses(chat_client, user({"type": "input_file", **file()}, asked)) is None
    assert f"[file plan.pdf]\n{TEXT}\nSo?" in seen(upstream)


def test_a_document_in_a_tool_s_result(messages_client: Any, upstream: Upstream) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [pdf_block()]}
    ask_messages(
        messages_client,
        {"role": "user", "content": "Read it"},
        {"role": "assistant", "content": [call]},
        user(result),
    )

    assert TEXT in seen(upstream, 2)


@unreadable
def test_a_new_document_without_text_is_refused_and_costs_nothing(
    messages_client: Any,
    chat_client: Any,
    gateway: GatewayProcess,
    upstream: Upstream,
    data: str,
    sentence: str,
) -> None:
    before, received = gateway.balance(gateway.key("rich")), upstream.received()
    with pytest.raises(
        anthropic.BadRequestError, match=r"messages\.0\.content\.0\.source"
    ) as given:
        ask_messages(messages_client, user(pdf_block(data)))
    assert sentence in given.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        ask_chat(chat_client, user({"type": "file", "file": file(data)}))
    assert refused.value.param == "messages.0.content.0.file"
    assert sentence in refused.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        ask_responses(chat_client, user({"type": "input_file", **file(data)}))
    assert refused.value.param == "input.0.content.0.file_data"
    assert sentence in refused.value.message

    assert gateway.balance(gateway.key("rich")) == before
    assert upstream.received() == received


@unreadable
def test_further_up_it_does_not_poison_the_conversation(
    messages_client: Any, chat_client: Any, upstream: Upstream, data: str, sentence: str
) -> None:
    turns: list[dict[str, Any]] = []
    for text in ("one", "two", "three"):
        turns += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on"}]

    assert ask_messages(messages_client, user(pdf_block(data)), *turns) == "document"
    assert sentence in seen(upstream)
    part: dict[str, Any] = {"type": "file", "file": file(data)}
    assert ask_chat(chat_client, user(part), *turns) == "document"
    assert sentence in seen(upstream)
    part = {"type": "input_file", **file(data)}
    assert ask_responses(chat_client, user(part), *turns) == "document"
    assert sentence in seen(upstream)


def test_what_must_be_fetched_is_refused(messages_client: Any, chat_client: Any) -> None:
    url = "https://example.test/plan.pdf"
    for source in ({"type": "url", "url": url}, {"type": "file", "file_id": "file_1"}):
        with pytest.raises(anthropic.BadRequestError, match="must be given inline"):
            ask_messages(messages_client, user(block(source)))
    with pytest.raises(openai.BadRequestError, match="must be given inline") as refused:
        ask_chat(chat_client, user({"type": "file", "file": {"file_id": "file_1"}}))
    assert refused.value.code == "unsupported_parameter"
    for named in ({"file_url": url}, {"file_id": "file_1"}):
        with pytest.raises(openai.BadRequestError, match="must be given inline") as refused:
            ask_responses(chat_client, user({"type": "input_file", **named}))
        assert refused.value.param == f"input.0.content.0.{next(iter(named))}"


def test_a_document_counts(messages_client: Any) -> None:
    def count(*content: Any) -> int:
        counted = messages_client.messages.count_tokens(model=MODEL, messages=[user(*content)])
        return int(counted.input_tokens)

    asked = {"type": "text", "text": "So?"}
    assert count(pdf_block(), asked) > count(asked) + 8
