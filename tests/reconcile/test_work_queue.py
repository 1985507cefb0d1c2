"""The queue of objects that wait for work: whose turn it is, and what stands in it but once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway_operator.metrics import OperatorMetrics
from gateway_operator.resources.names import FINALIZER
from gateway_operator.work_queue import Job, WorkQueue
from gateway_operator.workers import is_due
from tests.reconcile.objects import Json


def key(namespace: str, name: str = "key") -> Job:
    return Job("ApiKey", namespace, name)


def run(act: Callable[[WorkQueue], Awaitable[None]]) -> None:
    async def with_queue() -> None:
        await act(WorkQueue(OperatorMetrics()))

    asyncio.run(with_queue())


def test_the_turn_goes_round_the_namespaces() -> None:
    async def act(queue: WorkQueue) -> None:
        for number in range(4):
            queue.add(key("crowd", f"{number}"))
        queue.add(key("alone"))
        taken = [await queue.take() for _ in range(5)]
        assert [(job.namespace, job.name) for job in taken] == [
            ("crowd", "0"), ("alone", "key"), ("crowd", "1"), ("crowd", "2"), ("crowd", "3"),
        ]  # fmt: skip

    run(act)


def test_an_end_waits_behind_no_new_object() -> None:
    async def act(queue: WorkQueue) -> None:
        queue.add(key("team", "first"))
        queue.add(key("team", "second"))
        queue.add(key("team", "doomed"), is_ending=True)
        assert [(await queue.take()).name for _ in range(3)] == ["first", "doomed", "second"]

    run(act)


def test_an_object_stands_in_it_once_however_often_it_changes() -> None:
    async def act(queue: WorkQueue) -> None:
        for _ in range(3):
            queue.add(key("team"))
        queue.add(key("other"))
        assert key("team") in queue
        assert {await queue.take(), await queue.take()} == {key("team"), key("other")}
        assert key("team") not in queue
        nothing = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        assert not nothing.done()
        queue.add(key("team"))
        assert await nothing == key("team")

    run(act)


def test_what_failed_comes_again_and_sooner_where_it_changes() -> None:
    async def act(queue: WorkQueue) -> None:
        queue.add_later(key("slow"), 0.01)
        assert await queue.take() == key("slow")
        queue.add_later(key("quick"), 3600)
        queue.add_later(key("quick"), 0)  # it has its moment
        queue.add(key("quick"))
        assert await queue.take() == key("quick")

    run(act)


def body(*, finalizers: tuple[str, ...], observed: int | None, **metadata: str) -> Json:
    status = {} if observed is None else {"status": {"observedGeneration": observed}}
    return {"metadata": {"generation": 2, "finalizers": [*finalizers], **metadata}, **status}


@pytest.mark.parametrize(
    ("kind", "given", "due"),
    [
        ("ApiKey", body(finalizers=(), observed=None), True),
        ("ApiKey", body(finalizers=(), observed=2), True),
        ("ApiKey", body(finalizers=(FINALIZER,), observed=1), True),
        ("ApiKey", body(finalizers=(FINALIZER,), observed=2), False),
        ("ApiKey", body(finalizers=(FINALIZER,), observed=2, deletionTimestamp="now"), True),
        ("ApiKey", body(finalizers=("another",), observed=2, deletionTimestamp="now"), False),
        ("CreditGrant", body(finalizers=(), observed=1), True),
        ("CreditGrant", body(finalizers=(), observed=2), False),
        ("CreditGrant", body(finalizers=(), observed=1, deletionTimestamp="now"), False),
    ],
)
def test_an_object_is_due_until_it_is_worked_on_as_it_is(kind: str, given: Json, due: bool) -> None:
    assert is_due(kind, given) is due
