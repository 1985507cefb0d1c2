"""Models, requests and streams for tests of the chat upstream."""

import json
from typing import Any

from gateway.core.catalog import Model, Resolution
from gateway.core.prices import Price
from gateway.core.profile import PROFILES
from gateway.core.request import Request, TextPart, Tool, UserMessage
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.chat.request_writer import write_request
from gateway.dialects.endpoint import UpstreamRequest

HELLO = UserMessage((TextPart("hello"),))
LOOK = Tool("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}})
SEE = Tool("see")

FAMILIES = tuple(PROFILES)


def resolve(
    profile: str, reasoning: bool = False, effort: str | None = None, **model: Any
) -> Resolution:
    settings = {"context_window": None, "max_output_tokens": None, **model}
    return Resolution(
        Model(
            id="public",
            display_name="Public",
            upstream="main",
            upstream_model=profile,
            profile=ALL_PROFILES[profile],
            price=Price(1, 1),
            reasoning_default=False,
            reasoning_forced=None,
            **settings,
        ),
        reasoning,
        effort,
        1,
    )


def request(*messages: Any, **members: Any) -> Request:
    return Request("public", messages or (HELLO,), **members)


def prepare(
    wanted: Request, profile: str = "generic", *settings: Any, **model: Any
) -> UpstreamRequest:
    return write_request(wanted, resolve(profile, *settings, **model))


def render(wanted: Request, profile: str = "generic", *settings: Any, **model: Any) -> Any:
    """The body as the upstream reads it."""
    return json.loads(prepare(wanted, profile, *settings, **model).body)


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish}
    choice.update(more.pop("choice", {}))
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_767_225_600,
        "model": "kimi-k2.6",
        "choices": [choice],
        **more,
    }


def event(value: dict[str, Any] | str, end: str = "\n") -> bytes:
    data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"data: {data}{end}{end}".encode()


def stream(*values: dict[str, Any] | str) -> bytes:
    return b"".join(event(value) for value in values)
