"""The two released SDKs as clients outside the cluster, one question after another."""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import anthropic
import openai

from tests.cluster.harness.clients import SECONDS, Client, send_in_chunks

_MODEL = "kimi-k2.5"
_TEXT = "Hello"
_MESSAGES: Any = [{"role": "user", "content": _TEXT}]


class Sdks:
    """Whole and streamed answers in all dialects, in turn; an SDK tries nothing twice."""

    def __init__(self, client: Client, key: str) -> None:
        hooks: Any = {"event_hooks": {"request": [send_in_chunks]}}
        given: dict[str, Any] = {
            "default_headers": client.headers,
            "max_retries": 0,
            "timeout": SECONDS,
        }
        self._openai = openai.OpenAI(
            base_url=f"{client.url}/api/openai/v1",
            api_key=key,
            http_client=openai.DefaultHttpxClient(**hooks),
            **given,
        )
        self._anthropic = anthropic.Anthropic(
            base_url=f"{client.url}/api/anthropic",
            api_key=key,
            http_client=anthropic.DefaultHttpxClient(**hooks),
            **given,
        )
        asks: tuple[Callable[[], str | None], ...] = (
            self._chat, self._chat_stream, self._responses, self._messages, self._messages_stream,
        )  # fmt: skip
        self._asks = cycle(asks)

    def ask(self) -> int:
        """The status of the next question; 0 where no answer, or an empty one, came."""
        try:
            return 200 if next(self._asks)() else 0
        except (openai.APIStatusError, anthropic.APIStatusError) as error:
            return error.status_code
        except (openai.APIError, anthropic.APIError):
            return 0

    def _chat(self) -> str | None:
        answer = self._openai.chat.completions.create(model=_MODEL, messages=_MESSAGES)
        return answer.choices[0].message.content

    def _chat_stream(self) -> str:
        chunks = self._openai.chat.completions.create(model=_MODEL, messages=_MESSAGES, stream=True)
        choices = [choice for chunk in chunks for choice in chunk.choices]
        assert choices[-1].finish_reason == "stop"
        return "".join(choice.delta.content or "" for choice in choices)

    def _responses(self) -> str:
        return self._openai.responses.create(model=_MODEL, input=_TEXT).output_text

    def _messages(self) -> str:
        answer = self._anthropic.messages.create(model=_MODEL, max_tokens=100, messages=_MESSAGES)
        return "".join(block.text for block in answer.content if block.type == "text")

    def _messages_stream(self) -> str:
        with self._anthropic.messages.stream(
            model=_MODEL, max_tokens=100, messages=_MESSAGES
        ) as stream:
            return stream.get_final_text()

    def close(self) -> None:
        self._openai.close()
        self._anthropic.close()
