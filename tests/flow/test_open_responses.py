"""The cases of the Open Responses compliance suite, against a real gateway: whole and streamed.

Source: openresponses/openresponses, `src/lib/compliance-tests.ts` of April 2026; without WebSocket
and `/responses/compact`, which this gateway does not serve.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.dialects.responses.judge import Judge, judge_object
from tests.harness.books import check_books
from tests.harness.dialects import PATHS
from tests.harness.gateway import GatewayProcess, Simulated, api_key, credit_grant, fleet
from tests.harness.pdf import pdf

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8"
        "ffff3f0005fe02fea735819b0000000049454e44ae426082"
    )
).decode()
MODEL = "kimi-k2.5"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    },
}
CALLS = '!tool get_weather {"location": "San Francisco, CA"}\nWhat\'s the weather?'


def message(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


#: the suite's name of a case, its body, and the kind of the item that answers
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "basic-response": ({"input": [message("user", "Say hello in exactly 3 words.")]}, "message"),
    "system-prompt": (
        {"input": [message("system", "You are a pirate."), message("user", "Say hello.")]},
        "message",
    ),
    "tool-calling": ({"input": [message("user", CALLS)], "tools": [WEATHER]}, "function_call"),
    "image-input": (
        {
            "input": [
                message(
                    "user",
                    [
                        {"type": "input_text", "text": "What do you see?"},
                        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
                    ],
                )
            ]
        },
        "message",
    ),
    "multi-turn": (
        {
            "input": [
                message("user", "My name is Alice."),
                message("assistant", "Hello Alice! How can I help you today?"),
                message("user", "What is my name?"),
            ]
        },
        "message",
    ),
    "file-input": (
        {
            "input": [
                message(
                    "user",
                    [
                        {"type": "input_text", "text": "Summarize."},
                        {
                            "type": "input_file",
                            "filename": "a.pdf",
                            "file_data": "data:application/pdf;base64,"
                            + base64.b64encode(pdf("A page.")).decode(),
                        },
                    ],
                )
            ]
        },
        "message",
    ),
    "file-search": (
        {
            "input": [message("user", "Search.")],
            "tools": [WEATHER, {"type": "file_search", "vector_store_ids": ["vs_1"]}],
        },
        "message",
    ),
    "web-search": (
        {"input": [message("user", "Go.")], "tools": [{"type": "web_search"}]},
        "message",
    ),
}


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [fleet(simulated.url), api_key("rich"), credit_grant("rich", credits=10_000)]
    process = GatewayProcess(tmp_path_factory.mktemp("open"), documents).start()
    process.http.headers["authorization"] = f"Bearer {process.key('rich')}"
    yield process
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


def ask(gateway: GatewayProcess, *, stream: bool, **body: Any) -> dict[str, Any]:
    """The response, judged; the suite sends neither `store` nor `temperature`."""
    asked = {"model": MODEL, "stream": stream, **body}
    answer = gateway.http.post(PATHS["responses"], json=asked)
    assert answer.status_code == 200, answer.text
    response = read_stream(answer) if stream else answer.json()
    judge_object(response)
    assert response["status"] == "completed"
    return dict(response)


def read_stream(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    frames = [frame + b"\n\n" for frame in answer.content.split(b"\n\n") if frame]
    return Judge([frame for frame in frames if not frame.startswith(b":")]).judge()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
@pytest.mark.parametrize("case", CASES)
def test_a_case_of_the_suite(gateway: GatewayProcess, case: str, stream: bool) -> None:
    body, kind = CASES[case]
    response = ask(gateway, stream=stream, **body)
    assert kind in [item["type"] for item in response["output"]]
    assert response["store"] is True


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_function_call_roundtrip(gateway: GatewayProcess, stream: bool) -> None:
    """A call by a named choice, and its result by `previous_response_id`."""
    choice = {"type": "function", "name": "get_weather"}
    first = ask(
        gateway, stream=stream, input=[message("user", CALLS)], tools=[WEATHER], tool_choice=choice
    )
    [call] = [item for item in first["output"] if item["type"] == "function_call"]
    assert json.loads(call["arguments"]) == {"location": "San Francisco, CA"}
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "21 °C"}
    second = ask(
        gateway,
        stream=stream,
        input=[output],
        tools=[WEATHER],
        previous_response_id=first["id"],
    )
    assert second["previous_response_id"] == first["id"]
    assert [item["type"] for item in second["output"]] == ["message"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
def test_previous_response_id(gateway: GatewayProcess, simulated: Simulated, stream: bool) -> None:
    first = ask(gateway, stream=stream, input="My name is Alice.", instructions="Be brief.")
    ask(gateway, stream=stream, input="What is my name?", previous_response_id=first["id"])
    body = json.dumps(simulated.requests()[-1]["body"])
    assert "My name is Alice." in body
    assert "Be brief." not in body, "instructions are not carried on"


def test_an_unknown_previous_response(gateway: GatewayProcess) -> None:
    asked = {"model": MODEL, "input": "Hi", "previous_response_id": "resp_unknown"}
    answer = gateway.http.post(PATHS["responses"], json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
@pytest.mark.parametrize(
    "item",
    [
        {"type": "configuration_update", "model": "x", "reasoning": {"effort": "high"}},
        {"type": "compaction_trigger"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
        {"type": "of_the_future", "payload": [1]},
        {**message("assistant", "Let me look."), "phase": "commentary"},
        {**message("assistant", [{"type": "of_the_future"}]), "phase": "final_answer"},
    ],
    ids=lambda item: f"{item['type']} {item.get('phase', '')}",
)
def test_what_the_family_added_lately_breaks_no_turn(
    gateway: GatewayProcess, item: dict[str, Any], stream: bool
) -> None:
    items = [message("user", "Hi"), item, message("user", "Go on.")]
    assert ask(gateway, stream=stream, input=items)["output"]
