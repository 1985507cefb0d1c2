"""A client of the simulated upstream for its tests: plain HTTP, and a reader of events of its own.

Must not use anything of `gateway`, so that both sides cannot be wrong together.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Message = dict[str, Any]


@dataclass
class Heard:
    """The content of a stream: its chunks, whether `[DONE]` came, and how it was written."""

    status: int
    headers: httpx.Headers
    writes: list[bytes]
    chunks: list[dict[str, Any]] = field(default_factory=list)
    comments: int = 0
    done: bool = False
    broken: bool = False

    @property
    def raw(self) -> bytes:
        return b"".join(self.writes)

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [choice["delta"] for chunk in self.chunks for choice in chunk.get("choices", [])]

    @property
    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas)

    @property
    def reasoning(self) -> str:
        return "".join(delta.get("reasoning_content") or "" for delta in self.deltas)

    @property
    def call_deltas(self) -> list[dict[str, Any]]:
        return [call for delta in self.deltas for call in delta.get("tool_calls", [])]

    @property
    def finish_reasons(self) -> list[str]:
        choices = [choice for chunk in self.chunks for choice in chunk.get("choices", [])]
        return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]

    def calls(self) -> list[tuple[str, str, str]]:
        """Tool calls put together by index: id, name, arguments."""
        together: dict[int, list[str]] = {}
        for delta in self.call_deltas:
            call = together.setdefault(delta["index"], ["", "", ""])
            call[0] += delta.get("id", "")
            call[1] += delta["function"].get("name", "")
            call[2] += delta["function"].get("arguments", "")
        return [(call[0], call[1], call[2]) for _, call in sorted(together.items())]

    def usage_places(self) -> set[str]:
        """The place of usage in a stream: `final`, `choice`, `finish`."""
        places = set()
        for chunk in self.chunks:
            if "usage" in chunk:
                places.add("finish" if chunk["choices"] else "final")
            if any("usage" in choice for choice in chunk["choices"]):
                places.add("choice")
        return places


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def call_message(*calls: tuple[str, str, str], **members: Any) -> Message:
    """An assistant message with tool calls of (id, name, arguments)."""
    tool_calls = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in calls
    ]
    return {"role": "assistant", "content": "", "tool_calls": tool_calls, **members}


def result_message(call_id: str, text: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def function_tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    function = {"name": name, "description": "A tool."}
    return {"type": "function", "function": function | {"parameters": parameters or {}}}


class Talk:
    """Talks to one simulated upstream; `model` is `generic` unless a test names another."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=10, trust_env=False)

    def body(self, content: str | list[Message], **members: Any) -> dict[str, Any]:
        messages = [user(content)] if isinstance(content, str) else content
        return {"model": "generic", "messages": messages, **members}

    def post(self, content: str | list[Message], **members: Any) -> httpx.Response:
        return self.http.post("/chat/completions", json=self.body(content, **members))

    def ask(self, content: str | list[Message], **members: Any) -> dict[str, Any]:
        """A whole answer, which must be good: its one choice, with `usage` of the answer beside."""
        response = self.post(content, **members)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return {**answer["choices"][0], "usage": answer.get("usage")}

    def stream(self, content: str | list[Message], **members: Any) -> Heard:
        """A whole stream, read as it is written."""
        body = self.body(content, stream=True, **members)
        with self.http.stream("POST", "/chat/completions", json=body) as response:
            heard = Heard(response.status_code, response.headers, [])
            try:
                heard.writes.extend(response.iter_raw())
            except httpx.RemoteProtocolError:
                heard.broken = True
        for line in heard.raw.decode().splitlines():
            heard.comments += line.startswith(":")
            data = line.removeprefix("data:").strip()
            if line.startswith("data:") and data == "[DONE]":
                heard.done = True
            elif line.startswith("data:"):
                heard.chunks.append(json.loads(data))
        return heard

    def stats(self) -> dict[str, Any]:
        counters: dict[str, Any] = self.http.get(self.url.replace("/v1", "/stats")).json()
        return counters

    def reset(self) -> None:
        self.http.post(self.url.replace("/v1", "/stats/reset")).raise_for_status()

    def release(self) -> None:
        self.http.post(self.url.replace("/v1", "/release")).raise_for_status()

    def requests(self) -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = self.http.get(
            self.url.replace("/v1", "/stats/requests")
        ).json()
        return kept

    def wait_for(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> None:
        """Wait until the counters are as wanted."""
        deadline = time.monotonic() + seconds
        while not holds(self.stats()):
            assert time.monotonic() < deadline, self.stats()
            time.sleep(0.01)


def named_events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, each named by its type."""
    found = []
    for block in response.text.split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found
