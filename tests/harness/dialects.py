"""The three dialects as a client speaks them: a body for a text, and how an answer ends."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

DIALECTS = ("chat", "messages", "responses")

PATHS = {
    "chat": "/api/openai/v1/chat/completions",
    "messages": "/api/anthropic/v1/messages",
    "responses": "/api/openai/v1/responses",
}


def body(dialect: str, text: str, *, model: str = "kimi-k2.5", **more: Any) -> dict[str, Any]:
    """A request with one user message."""
    if dialect == "responses":
        return {"model": model, "input": text, **more}
    messages = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return {"max_tokens": 1000, **messages} if dialect == "messages" else messages


def reasoning(dialect: str) -> dict[str, Any]:
    """The member that asks for reasoning."""
    if dialect == "chat":
        return {"reasoning_effort": "high"}
    if dialect == "responses":
        return {"reasoning": {"effort": "high"}}
    return {"thinking": {"type": "enabled", "budget_tokens": 1024}}


def events(text: str) -> Iterator[tuple[str, Any]]:
    """The events of a stream: name (empty in chat) and decoded data; comments left out."""
    for block in text.replace("\r\n", "\n").split("\n\n"):
        name, data = "", ""
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                data = value.strip()
        if data:
            yield name, data if data == "[DONE]" else json.loads(data)


def ended_cleanly(dialect: str, text: str) -> bool:
    """True if a stream marked for its client that the answer is complete."""
    found = list(events(text))
    if dialect == "chat":
        return any(data == "[DONE]" for _, data in found)
    if dialect == "messages":
        return any(name == "message_stop" for name, _ in found)
    return any(name in ("response.completed", "response.incomplete") for name, _ in found)


def error_of_stream(dialect: str, text: str) -> dict[str, Any] | None:
    """The error object that a stream ended with."""
    for name, data in events(text):
        if dialect == "chat" and isinstance(data, dict) and data.get("error"):
            return dict(data["error"])
        if dialect == "messages" and name == "error":
            return dict(data["error"])
        if dialect == "responses" and name == "response.failed":
            return dict(data["response"]["error"])
    return None


def answer_text(dialect: str, response: httpx.Response, *, stream: bool) -> str:
    """The model's text."""
    return _streamed_text(dialect, response.text) if stream else _whole_text(dialect, response)


def _whole_text(dialect: str, response: httpx.Response) -> str:
    found = response.json()
    if dialect == "chat":
        return found["choices"][0]["message"]["content"] or ""
    if dialect == "messages":
        return "".join(b["text"] for b in found["content"] if b["type"] == "text")
    parts = [p for item in found["output"] if item["type"] == "message" for p in item["content"]]
    return "".join(part["text"] for part in parts)


def _streamed_text(dialect: str, text: str) -> str:
    found = ""
    for name, data in events(text):
        if dialect == "chat" and isinstance(data, dict) and data.get("choices"):
            found += data["choices"][0]["delta"].get("content") or ""
        elif dialect == "messages" and name == "content_block_delta":
            found += data["delta"].get("text", "")
        elif name == "response.output_text.delta":
            found += data["delta"]
    return found
