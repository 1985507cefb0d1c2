"""The time that a hostile upstream's answer takes grows as the answer does."""

import json
from collections.abc import Callable

import pytest

from gateway.dialects.chat.answer_reader import EventDecoder
from tests.dialects.support import chunk
from tests.growth.measure import grows_as_its_input


@pytest.mark.parametrize("reason", ["tool_calls", "length"])
def test_a_reason_beside_each_call_ends_no_call_twice(reason: str) -> None:
    def task(count: int) -> Callable[[], object]:
        calls = [{"index": i, "id": f"{i}", "function": {"name": "f"}} for i in range(count)]
        chunks = [json.dumps(chunk({"tool_calls": [call]}, reason)).encode() for call in calls]
        decoder = EventDecoder()
        return lambda: [decoder.decode(data) for data in chunks]

    assert grows_as_its_input(task, 4000)
