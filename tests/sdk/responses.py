"""The questions of the cases of the Responses API, and the readers of their answers."""

import json
from typing import Any

from tests.sdk.conversation import WEATHER_SCHEMA

MODEL = "kimi-k2.5"
TOOL = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city",
    "parameters": WEATHER_SCHEMA,
    "strict": True,
}
CITIES = [{"city": "Paris"}, {"city": "Rome"}]


def ask(client: Any, given: Any, **more: Any) -> Any:
    return client.responses.create(**{"model": MODEL, "input": given, **more})


def final(client: Any, given: Any, **more: Any) -> Any:
    """The response as the accumulator of a stream has it."""
    with client.responses.stream(**{"model": MODEL, "input": given, **more}) as stream:
        return stream.get_final_response()


def calls_of(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


def outputs_for(response: Any) -> list[dict[str, Any]]:
    return [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": f"sunny in {json.loads(call.arguments)['city']}",
        }
        for call in calls_of(response)
    ]
