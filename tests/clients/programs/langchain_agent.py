"""One run of LangChain in an environment of its own: the model's kind and the act are arguments.

The prompt is standard input, the key and the URL come from the environment, and what came of it is
printed as JSON.
"""

import json
import os
import sys
from typing import Any

from langchain.agents import create_agent  # type: ignore[import-not-found] # not in ours
from langchain_anthropic import ChatAnthropic  # type: ignore[import-not-found] # not in ours
from langchain_openai import ChatOpenAI  # type: ignore[import-not-found] # not in ours

KEY, URL = os.environ["FAREGATE_KEY"], os.environ["FAREGATE_URL"]


def make_model(kind: str) -> Any:
    if kind == "messages":
        thinking = {"type": "enabled", "budget_tokens": 2048}
        return ChatAnthropic(
            model="kimi-k2.5",
            api_key=KEY,
            base_url=f"{URL}/api/anthropic",
            max_tokens=8000,
            max_retries=0,
            **({"thinking": thinking} if sys.argv[2] == "loop" else {}),
        )
    return ChatOpenAI(
        model="kimi-k2.5",
        api_key=KEY,
        base_url=f"{URL}/api/openai/v1",
        max_retries=0,
        use_responses_api=kind == "responses",
        reasoning_effort="high" if sys.argv[2] == "loop" else None,
    )


def look(city: str) -> str:
    """Looks at a city."""
    return f"Sunny in {city}"


def answer(kind: str, act: str, prompt: str) -> dict[str, Any]:
    model = make_model(kind)
    if act == "forced tool":
        schema = {
            "title": "Thing",
            "description": "A thing.",
            "type": "object",
            "properties": {"name": {"type": "string"}, "count": {"type": "integer"}},
            "required": ["name", "count"],
        }
        made = model.with_structured_output(schema, method="function_calling").invoke(prompt)
        return {"object": made}
    agent = create_agent(model, tools=[look])
    if act == "loop":
        messages = agent.invoke({"messages": [("user", prompt)]})["messages"]
    else:
        steps = list(agent.stream({"messages": [("user", prompt)]}, stream_mode="values"))
        messages = steps[-1]["messages"]
    results = [message.text for message in messages if message.type == "tool"]
    return {"text": str(messages[-1].text), "results": results}


def main() -> None:
    try:
        result = answer(sys.argv[1], sys.argv[2], sys.stdin.read())
    except Exception as error:  # noqa: BLE001 - each kind is reported
        result = {"error": str(error), "status": getattr(error, "status_code", None)}
    print(json.dumps(result))


main()
