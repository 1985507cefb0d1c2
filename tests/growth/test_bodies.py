"""Bodies that once cost much more than their size: twice the body, about twice the work."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from msgspec import Raw
from msgspec.json import encode as encode_item

from gateway.core.errors import InvalidRequest, RequestTooLarge
from gateway.core.seal import Sealer
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.dialects.responses.request_reader import REFERENCED_BYTES_MAX
from gateway.dialects.responses.stored_responses import StoredResponse
from gateway.dialects.values import MESSAGES_MAX, PARTS_MAX, TOOLS_MAX, VALUES_MAX
from gateway.pipeline.documents.reader import CHARACTERS_MAX, DOCUMENTS_MAX, DocumentAllowance
from tests.dialects.responses.support import MemoryState
from tests.growth.measure import (
    ALICE,
    Here,
    dialects,
    encoded,
    grows_as_its_input,
    peak_bytes,
    seconds,
    work,
)
from tests.harness.dialects import DIALECTS

Object = dict[str, Any]

HELLO = {"role": "user", "content": "Hello"}


def chat_messages(count: int) -> Object:
    return {"messages": [HELLO] * count}


def chat_parts(count: int) -> Object:
    return {"messages": [{"role": "user", "content": ["a"] * count}]}


def chat_results(count: int) -> Object:
    calls = [{"id": f"c{i}", "function": {"name": "f", "arguments": "{}"}} for i in range(count)]
    results = [
        {"role": "tool", "tool_call_id": f"c{i}", "content": "x"} for i in reversed(range(count))
    ]
    return {"messages": [HELLO, {"role": "assistant", "tool_calls": calls}, *results]}


def chat_taken_ids(count: int) -> Object:
    """Half of the ids are what the other half would be called to be distinct."""
    ids = [f"c_{count + i}" for i in range(count)] + ["c"] * count
    calls = [{"id": i, "function": {"name": "f", "arguments": "{}"}} for i in ids]
    return {"messages": [HELLO, {"role": "assistant", "tool_calls": calls}]}


def chat_signed_calls(count: int) -> Object:
    body = chat_results(count)
    for call in body["messages"][1]["tool_calls"]:
        call["extra_content"] = {"google": {"thought_signature": "x"}}
    return body


def chat_reasoning_details(count: int) -> Object:
    """Pieces of one text."""
    details = [{"text": "x" * 200}] * count
    return {"messages": [{"role": "assistant", "content": "x", "reasoning_details": details}]}


def chat_file(count: int) -> Object:
    file = {"file_data": "data:text/plain," + "%41" * count, "filename": "a"}
    return {"messages": [{"role": "user", "content": [{"type": "file", "file": file}]}]}


def _tool(schema: Object) -> Object:
    function = {"name": "f", "parameters": {"type": "object", **schema}}
    return {"messages": [HELLO], "tools": [{"type": "function", "function": function}]}


def references_to_one(count: int) -> Object:
    text = {"type": "string", "description": "x" * 50 * count}
    properties = {f"p{i}": {"$ref": "#/$defs/D"} for i in range(count)}
    return _tool({"properties": properties, "$defs": {"D": text}})


def references_to_a_list(count: int) -> Object:
    kinds = {"type": "string", "enum": [f"v{i}" for i in range(count)]}
    properties = {f"p{i}": {"$ref": "#/$defs/D"} for i in range(count)}
    return _tool({"properties": properties, "$defs": {"D": kinds}})


def a_chain_of_references(count: int) -> Object:
    chain: Object = {f"D{i}": {"$ref": f"#/$defs/D{i + 1}", "title": "t"} for i in range(count)}
    properties = {"a": {"$ref": "#/$defs/D0"}}
    return _tool({"properties": properties, "$defs": {**chain, f"D{count}": {"type": "string"}}})


def a_long_reference(count: int) -> Object:
    properties = {f"p{i}": {"$ref": "#/$defs/A"} for i in range(count)}
    return _tool({"properties": properties, "$defs": {"A": {"$ref": "#/" + "a/" * 20 * count}}})


def merged_parts(count: int) -> Object:
    parts = [
        {"properties": {f"p{i}": {"type": "string"}}, "required": [f"p{i}"], "enum": [{"a": i}]}
        for i in range(count)
    ]
    return _tool({"allOf": parts})


def small_schemas_that_multiply(count: int) -> Object:
    tools = []
    for number in range(count):
        levels = {f"L{i}": {"anyOf": [{"$ref": f"#/$defs/L{i + 1}"}] * 4} for i in range(6)}
        schema = {
            "type": "object",
            "description": str(number),
            "properties": {"x": {"$ref": "#/$defs/L0"}},
            "$defs": {**levels, "L6": {"type": "string"}},
        }
        tools.append({"type": "function", "function": {"name": f"f{number}", "parameters": schema}})
    return {"messages": [HELLO], "tools": tools}


def message_results(count: int) -> Object:
    calls = [{"type": "tool_use", "id": f"c{i}", "name": "f", "input": {}} for i in range(count)]
    results = [
        {"type": "tool_result", "tool_use_id": f"c{i}", "content": "x"}
        for i in reversed(range(count))
    ]
    messages = [
        HELLO,
        {"role": "assistant", "content": calls},
        {"role": "user", "content": results},
    ]
    return {"max_tokens": 1, "messages": messages}


def message_assistants(count: int) -> Object:
    """All of them become one."""
    call = [{"type": "text", "text": "x" * 100}]
    messages = [HELLO, *[{"role": "assistant", "content": call}] * count, HELLO]
    return {"max_tokens": 1, "messages": messages}


def message_required(count: int) -> Object:
    names = [f"p{i}" for i in range(count)]
    schema = {"type": "object", "properties": {name: {} for name in names}, "required": names}
    return {
        "max_tokens": 1,
        "messages": [HELLO],
        "tools": [{"name": "f", "input_schema": schema}],
    }


def _items(*items: Object, **more: Any) -> Object:
    return {"input": [HELLO, *items], **more}


def _call(number: int, kind: str = "function_call") -> Object:
    call = {"type": kind, "call_id": f"c{number}"}
    if kind == "function_call":
        return {**call, "name": "f", "arguments": "{}"}
    return {**call, "output": "x"}


def items_of_results(count: int) -> Object:
    outputs = [_call(i, "function_call_output") for i in reversed(range(count))]
    return _items(*map(_call, range(count)), *outputs)


def items_of_one_call(count: int) -> Object:
    return _items(_call(1), *[_call(1, "function_call_output")] * count)


def items_and_namespaces(count: int) -> Object:
    count = count % TOOLS_MAX
    tools = [
        {"type": "namespace", "name": f"n{i}", "tools": [{"type": "function", "name": "f"}]}
        for i in range(count)
    ]
    allowed = [{"type": "namespace", "name": f"n{i}"} for i in range(count)]
    return _items(tools=tools, tool_choice={"type": "allowed_tools", "tools": allowed})


CASES: list[tuple[str, Callable[[int], Object], int]] = [
    ("chat", chat_messages, 3000),
    ("chat", chat_parts, 8000),
    ("chat", chat_results, 3000),
    ("chat", chat_taken_ids, 3000),
    ("chat", chat_signed_calls, 3000),
    ("chat", chat_reasoning_details, 20_000),
    ("chat", chat_file, 20_000),
    ("chat", references_to_one, 2000),
    ("chat", references_to_a_list, 1000),
    ("chat", a_chain_of_references, 10_000),
    ("chat", a_long_reference, 2000),
    ("chat", merged_parts, 800),
    ("chat", small_schemas_that_multiply, 100),
    ("messages", message_results, 3000),
    ("messages", message_assistants, 5000),
    ("messages", message_required, 5000),
    ("responses", items_of_results, 3000),
    ("responses", items_of_one_call, 8000),
    ("responses", items_and_namespaces, 900),
]


@pytest.mark.parametrize(("dialect", "make", "size"), CASES)
def test_work_grows_as_the_body_does(
    dialect: str, make: Callable[[int], Object], size: int
) -> None:
    def task(count: int) -> Callable[[], object]:
        body = encoded(make(count))
        return lambda: work(dialect, body)

    assert grows_as_its_input(task, size)


@pytest.mark.parametrize(("dialect", "make", "size"), CASES)
def test_memory_is_in_proportion_to_the_body(
    dialect: str, make: Callable[[int], Object], size: int
) -> None:
    bodies = encoded(make(size // 5)), encoded(make(2 * size // 5))
    work(dialect, encoded(make(10)))  # what is made once is there
    few, many = (peak_bytes(partial(work, dialect, body)) for body in bodies)
    assert many < 2.6 * few + 200_000
    assert many < 80 * len(bodies[1]) + 1_000_000


def refused(dialect: str, body: bytes) -> Callable[[], None]:
    def task() -> None:
        with pytest.raises((RequestTooLarge, InvalidRequest)):
            work_strictly(dialect, body)

    return task


def work_strictly(dialect: str, body: bytes) -> None:
    parsing = dialects()[dialect].parse(body, ALICE)
    try:
        parsing.send(None)
    except StopIteration:
        return
    raise AssertionError("nothing is waited for")


MANY: dict[str, dict[str, bytes]] = {
    "chat": {
        "messages": b'{"model":"m","messages":[%b]}' % b",".join([b'{"role":"user"}'] * 1_000_000),
        "parts": b'{"model":"m","messages":[{"role":"user","content":[%b]}]}'
        % b",".join([b'"a"'] * 4_000_000),
        "guided_json": b'{"model":"m","messages":[{"role":"user"}],"guided_json":[%b]}'
        % b",".join([b"[[]]"] * 3_000_000),
    },
    "messages": {
        "messages": b'{"model":"m","max_tokens":1,"messages":[%b]}'
        % b",".join([b'{"role":"user","content":""}'] * 600_000),
    },
    "responses": {
        "items": b'{"model":"m","input":[%b]}' % b",".join([b'{"role":"user"}'] * 1_000_000),
        "metadata": b'{"model":"m","input":"","metadata":{"a":[%b]}}'
        % b",".join([b"0"] * 8_000_000),
    },
}
HOSTILE = [(dialect, name) for dialect in DIALECTS for name in MANY[dialect]]


@pytest.mark.parametrize(("dialect", "name"), HOSTILE)
def test_a_body_of_too_many_values_is_refused_before_any_is_made(dialect: str, name: str) -> None:
    body = MANY[dialect][name]
    assert peak_bytes(refused(dialect, body)) < 8_000_000
    assert seconds(refused(dialect, body)) < 0.3


def test_what_real_agents_send_is_far_from_the_bounds() -> None:
    """A thousand turns with a tool each, a hundred tools, and 30 MB of images."""
    schema = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(20)}}
    tools = [{"name": f"f{i}", "input_schema": schema} for i in range(100)]
    source = {"type": "base64", "media_type": "image/png", "data": "QUJD" * 250_000}
    found: list[Object] = [
        {"role": "user", "content": [{"type": "image", "source": source}] * 30},
    ]
    for i in range(1000):
        call = {"type": "tool_use", "id": f"c{i}", "name": "f1", "input": {"p1": "x" * 500}}
        found += [
            {"role": "assistant", "content": [{"type": "text", "text": "I look."}, call]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": f"c{i}", "content": 'a, "b", [c]' * 200}
                ],
            },
        ]
    body = encoded({"max_tokens": 1, "messages": found, "tools": tools})
    assert len(body) > 30_000_000
    work_strictly("messages", body)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (chat_messages(MESSAGES_MAX + 1), "messages"),
        (chat_parts(PARTS_MAX + 1), "messages.0.content"),
        ({"messages": [HELLO], "tools": [{"type": "function"}] * (TOOLS_MAX + 1)}, "tools"),
    ],
)
def test_messages_parts_and_tools_are_counted(body: Object, param: str) -> None:
    with pytest.raises(InvalidRequest, match="<= ") as refusal:
        work_strictly("chat", encoded(body))
    assert refusal.value.param == param


def test_the_tools_of_namespaces_count_together() -> None:
    tools = [
        {
            "type": "namespace",
            "name": f"n{i}",
            "tools": [{"type": "function", "name": f"f{j}"} for j in range(TOOLS_MAX // 2)],
        }
        for i in range(3)
    ]
    with pytest.raises(InvalidRequest, match="At most"):
        work_strictly("responses", encoded({"input": "Hello", "tools": tools}))


def test_the_bound_of_values_is_that_of_the_whole_body() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"a"}],"metadata":[%b]}'
    work_strictly("chat", body % b",".join([b"0"] * (VALUES_MAX - 10)))
    with pytest.raises(RequestTooLarge):
        work_strictly("chat", body % b",".join([b"0"] * (VALUES_MAX + 1)))


def test_the_same_document_many_times_is_as_much_each() -> None:
    room = DocumentAllowance()
    with pytest.raises(InvalidRequest, match="characters"):
        for _ in range(3):
            room.take("x" * CHARACTERS_MAX, "messages.0.content.0")
    with pytest.raises(InvalidRequest, match="documents"):
        for _ in range(DOCUMENTS_MAX + 1):
            room.enter("messages.0.content.0")


def test_one_stored_item_cannot_be_referred_to_without_end() -> None:
    state = MemoryState()
    text = "x" * 100_000
    item = encode_item({"type": "message", "id": "msg_1", "role": "assistant", "content": text})
    response = Raw(b'{"output":[%b]}' % item)
    state.responses[ALICE.account_id, "resp_1"] = StoredResponse("resp_1", [], response, 1)
    dialect = ResponsesDialect(Sealer(bytes(32)), state, Here())

    def ask(times: int) -> None:
        references = [{"type": "item_reference", "id": "msg_1"}] * times
        asyncio.run(dialect.parse(encoded({"input": [HELLO, *references]}), ALICE))

    ask(REFERENCED_BYTES_MAX // 110_000)
    with pytest.raises(RequestTooLarge, match="refers to"):
        ask(1 + REFERENCED_BYTES_MAX // 100_000)
