"""One run of LlamaIndex in an environment of its own: the model's kind is the argument.

The prompt is standard input, the key and the URL come from the environment, and what came of it is
printed as JSON.
"""

import asyncio
import json
import os
import sys
from typing import Any

from llama_index.core.agent.workflow import (  # type: ignore[import-not-found] # not in ours
    FunctionAgent,
    ToolCallResult,
)
from llama_index.llms.anthropic import Anthropic  # type: ignore[import-not-found] # not in ours
from llama_index.llms.openai_like import OpenAILike  # type: ignore[import-not-found] # not in ours

KEY, URL = os.environ["FAREGATE_KEY"], os.environ["FAREGATE_URL"]


def make_model(kind: str) -> Any:
    if kind == "messages":
        # It knows Anthropic's models only, by name; the gateway serves them by an alias.
        return Anthropic(
            model="claude-sonnet-4-5",
            api_key=KEY,
            base_url=f"{URL}/api/anthropic",
            max_tokens=8000,
            max_retries=0,
        )
    return OpenAILike(
        model="kimi-k2.5",
        api_key=KEY,
        api_base=f"{URL}/api/openai/v1",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )


def look(city: str) -> str:
    """Looks at a city."""
    return f"Sunny in {city}"


async def answer(kind: str, prompt: str) -> dict[str, Any]:
    handler = FunctionAgent(tools=[look], llm=make_model(kind)).run(prompt)
    results = [
        str(event.tool_output.content)
        async for event in handler.stream_events()
        if isinstance(event, ToolCallResult)
    ]
    return {"text": str(await handler), "results": results}


def main() -> None:
    try:
        result = asyncio.run(answer(sys.argv[1], sys.stdin.read()))
    except Exception as error:  # noqa: BLE001 - each kind is reported
        result = {"error": str(error), "status": getattr(error, "status_code", None)}
    print(json.dumps(result))


main()
