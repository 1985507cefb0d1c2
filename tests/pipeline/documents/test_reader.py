"""Documents in a request: text where it can be had, an error or a note where it cannot."""

import asyncio
import resource
from base64 import b64encode
from collections.abc import Coroutine
from typing import Any

import pytest

from gateway.core.concurrency.places import FairSemaphore
from gateway.core.errors import InvalidRequest, Overloaded, RateLimited, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    DocumentPart,
    RawBody,
    Request,
    TextPart,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from gateway.core.shares import largest_share
from gateway.pipeline.documents.reader import WAITING_MAX, DocumentReader, Unreadable
from tests.harness.pdf import hostile, pdf

ALICE, BOB = ("team", "team/alice"), ("team", "team/bob")
PLAN = b64encode(pdf("The plan is to win.")).decode()
SCAN = b64encode(pdf("")).decode()
BROKEN = b64encode(b"%PDF-1.7 and no more").decode()


def document(data: str = PLAN, problem: str | None = None) -> DocumentPart:
    return DocumentPart("", path="messages.0.content.0", data=data, problem=problem)


def user(*parts: TextPart) -> UserMessage:
    return UserMessage(parts)


def filled(*messages: Any) -> Request:
    request = Request("m", messages, raw=RawBody("messages", b"{}", {}))
    asyncio.run(_fill(request))
    return request


async def _fill(request: Request) -> None:
    await DocumentReader().fill(request, ALICE)


def refused(*messages: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        filled(*messages)
    assert caught.value.param == "messages.0.content.0"
    assert caught.value.message.startswith("messages.0.content.0: ")
    return caught.value


def children_seconds() -> float:
    """Processor time of the processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_document_becomes_its_text_where_it_stands() -> None:
    request = filled(user(TextPart("[plan]"), document(), TextPart("What is it?")))

    assert request.messages == (
        user(TextPart("[plan]"), TextPart("The plan is to win."), TextPart("What is it?")),
    )
    assert all(type(part) is TextPart for part in request.messages[0].parts)
    assert request.degraded == []
    assert request.raw is not None


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (SCAN, "The PDF specified has no text"),
        (BROKEN, "The PDF specified was not valid"),
        ("JVBERi0=", "The PDF specified was not valid"),
        ("not base64!", "The document is not valid base64"),
    ],
)
def test_what_the_user_just_sent_is_refused_and_anything_else_is_a_note(
    data: str, sentence: str
) -> None:
    unreadable = document(data)
    assert sentence in refused(user(unreadable)).message
    assert sentence in refused(user(TextPart("a")), AssistantMessage("b"), user(unreadable)).message

    call = AssistantMessage(calls=(ToolCall("1", "Read", "{}"),))
    request = filled(
        user(unreadable),
        call,
        ToolMessage("1", (unreadable,)),
        AssistantMessage("b"),
        user(TextPart("c")),
    )
    note = TextPart(f"[document omitted: {sentence}")
    first, _, result, *_ = request.messages
    assert isinstance(first, UserMessage)
    assert isinstance(result, ToolMessage)
    for part in (*first.parts, *result.parts):
        assert isinstance(part, TextPart)
        assert part.text.startswith(note.text)
    assert request.degraded == ["document"]
    assert request.raw is None


def test_a_tool_s_new_result_is_never_refused() -> None:
    call = AssistantMessage(calls=(ToolCall("1", "Read", "{}"),))
    request = filled(user(TextPart("Read it")), call, ToolMessage("1", (document(BROKEN),)))

    assert request.degraded == ["document"]


def test_a_kind_that_nobody_reads_is_unsupported() -> None:
    error = refused(user(document(problem="Nobody reads this.")))

    assert isinstance(error, UnsupportedParameter)
    assert error.message == "messages.0.content.0: Nobody reads this."


def test_a_document_is_read_once() -> None:
    async def read_often() -> None:
        reading = DocumentReader()
        before = children_seconds()
        texts = await asyncio.gather(*(reading.read(PLAN, ALICE) for _ in range(20)))
        assert set(texts) == {"The plan is to win."}
        assert isinstance(await reading.read(BROKEN, ALICE), Unreadable)
        after = children_seconds()
        assert after > before
        assert await reading.read(PLAN, ALICE) == texts[0]
        assert isinstance(await reading.read(BROKEN, ALICE), Unreadable)
        assert children_seconds() == after

    asyncio.run(read_often())


def test_who_waits_may_leave_and_the_reading_goes_on() -> None:
    async def leave() -> str | Unreadable:
        reading = DocumentReader()
        waiting = asyncio.create_task(reading.read(PLAN, ALICE))
        await asyncio.sleep(0.02)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return await reading.read(PLAN, ALICE)

    assert asyncio.run(leave()) == "The plan is to win."


def test_one_account_s_documents_leave_places_for_another_s() -> None:
    """However many one account sends, another's is read at once, and its own share is stated."""
    many = [b64encode(pdf(f"Number {number}")).decode() for number in range(40)]

    async def crowd() -> None:
        reading = DocumentReader()
        waiting = [asyncio.create_task(reading.read(data, ALICE)) for data in many[:30]]
        sent_away = 30 - 1 - largest_share(WAITING_MAX)  # one has a place
        while sum(task.done() for task in waiting) < sent_away:
            await asyncio.sleep(0.01)
        with pytest.raises(RateLimited):
            await reading.fill(Request("m", (user(document(many[39])),)), ALICE)
        assert await reading.read(many[38], BOB) == "Number 38"
        assert sum(task.done() for task in waiting) < 30, "and who was there before still waits"
        found = await asyncio.gather(*waiting)
        refused = [text for text in found if isinstance(text, Unreadable)]
        assert len(refused) == sent_away
        assert all(unreadable.is_share for unreadable in refused)

    asyncio.run(crowd())


def test_what_waits_too_long_is_asked_to_come_again() -> None:
    async def crowd() -> None:
        reading = DocumentReader()
        reading._places = FairSemaphore("documents", 1, 9, 0.01)
        first = asyncio.create_task(reading.read(PLAN, ALICE))
        await asyncio.sleep(0)
        async with reading._places.acquire(BOB):
            await asyncio.sleep(0.1)
            assert await reading.read(SCAN, ALICE) == Unreadable(
                "The document could not be read now.", is_lasting=False
            )
            with pytest.raises(Overloaded):
                await reading.fill(Request("m", (user(document(SCAN)),)), ALICE)
        await asyncio.gather(first, return_exceptions=True)

    asyncio.run(crowd())


def test_the_loop_turns_while_a_hostile_document_is_read() -> None:
    data = b64encode(hostile()["unpacks without end"]).decode()

    async def watch(reading: Coroutine[Any, Any, Any]) -> tuple[Any, int]:
        task, turns = asyncio.create_task(reading), 0
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        return task.result(), turns

    found, turns = asyncio.run(watch(DocumentReader().read(data, ALICE)))
    assert isinstance(found, Unreadable)
    assert "too large" in found.sentence
    assert turns > 50
