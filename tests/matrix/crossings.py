"""One request from a client's bytes to a client's bytes, through a strict upstream, in one process.

The upstream is the simulated one, called as a function; there is no connection. Before it stands
the judge of chat, for it takes nearly everything there for other models than Moonshot's.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, get_args

import msgspec
from msgspec import Struct

from gateway.core.catalog import Catalog, Resolution
from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.seal import Sealer
from gateway.core.spec import GatewayFleetSpec, ModelSpec, Pricing, UpstreamDialect, UpstreamSpec
from gateway.core.upstream_profiles import ALL_PROFILES
from gateway.dialects.base import Caller, Dialect, Exchange
from gateway.dialects.chat.dialect import ChatDialect
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.messages.dialect import MessagesDialect
from gateway.dialects.responses.dialect import ResponsesDialect
from gateway.upstream.registry import endpoint_of
from gateway.upstream.simulated.app import SimulatedUpstream
from gateway.upstream.simulated.wires import WIRES, gemini_wire
from tests.dialects.messages.support import read_frames as read_messages_frames
from tests.dialects.messages.support import read_message
from tests.dialects.responses.judge import judge, judge_object
from tests.matrix.strict_chat import check_chat

Object = dict[str, Any]

ALICE = Caller(1, "team-a/alice")
_WORKER = WorkerThread()
_SEALER = Sealer(b"k" * 32)
DIALECTS: dict[str, Dialect] = {
    "chat": ChatDialect(_WORKER),
    "messages": MessagesDialect(_SEALER, _WORKER),
    "responses": ResponsesDialect(_SEALER, None, _WORKER),
}
UPSTREAMS = [
    UpstreamSpec(name=dialect, url="simulated:", dialect=dialect)
    for dialect in get_args(UpstreamDialect)
]
ENDPOINTS = {spec.name: endpoint_of(spec) for spec in UPSTREAMS}
_PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
#: an id of a model that the simulated upstream and `profile_for` know, where the profile's own name
#: is none
_MODELS = {
    "claude": "claude-sonnet-4-5",
    "gemini-3": "gemini-3-pro",
    "kimi-k2.5": "kimi-k2.5",
}

Upstream = tuple[str, str]


class Refused(Exception):
    """The upstream refused the request, or sent an answer that is no success."""


class Crossing(Struct, frozen=True):
    """`sent` is what went up, `asked` the same as the upstream understands it, in chat; `degraded`
    is what was named as left out, `calls` and `text` what the client got."""

    sent: str
    asked: Object
    degraded: tuple[str, ...]
    calls: list[tuple[str, Object]]
    text: str


def model_of(profile: str) -> str:
    """The upstream's model id of a profile."""
    return _MODELS.get(profile, profile)


def _catalog() -> Catalog:
    return Catalog(
        GatewayFleetSpec(
            pricing=Pricing(chat_credits_per_message=1),
            models=[
                ModelSpec(
                    id=f"{dialect}/{profile}",
                    upstream=dialect,
                    upstream_model=model_of(profile),
                    profile=profile,
                )
                for dialect in ENDPOINTS
                for profile in ALL_PROFILES
            ],
            upstreams=UPSTREAMS,
        )
    )


CATALOG = _catalog()


async def cross(client: str, upstream: Upstream, body: Object) -> Crossing:
    """Send a body; raises the gateway's refusals, and `Refused` where the upstream refused."""
    dialect, endpoint = DIALECTS[client], ENDPOINTS[upstream[0]]
    name = "/".join(upstream)
    call = await dialect.parse(msgspec.json.encode({"model": name, **body}), ALICE)
    if call.request.raw is not None:
        call.request.raw.betas = ()
    resolution = CATALOG.resolve(call.request)
    outgoing = endpoint.prepare(call.request, resolution)
    renderer = dialect.renderer(call, Exchange("req_0123456789abcdef", ALICE, name, 1_790_000_000))
    asked = _understood(upstream[0], resolution, outgoing)
    status, raw = await _ask(upstream[0], resolution, outgoing)
    if status != 200:
        raise Refused(raw.decode())
    reader = endpoint.reader(outgoing, upstream[0], None)
    if not outgoing.stream:
        answer = json.loads(await renderer.complete(reader.answer(raw)))
        heard = _READERS[client](answer)
    else:
        frames = renderer.open()
        for chunk in [*reader.feed(raw), *reader.finish()]:
            frames += renderer.feed(chunk)
        if reader.failure is not None:
            raise reader.failure
        assert reader.complete
        heard = _STREAM_READERS[client](frames + await renderer.close(reader.usage))
    degraded = tuple(dict.fromkeys((*call.request.degraded, *outgoing.degraded)))
    return Crossing(outgoing.body.decode(), asked, degraded, *heard)


def _understood(dialect: str, resolution: Resolution, outgoing: UpstreamRequest) -> Object:
    """The request as chat, as the upstream understands it; raises its refusals."""
    body: Object = json.loads(outgoing.body)
    if dialect == "chat":
        check_chat(body, resolution.model.profile, resolution.reasoning)
        return body
    if dialect == "gemini":
        wire = gemini_wire(resolution.model.upstream_model, outgoing.path.partition(":")[2])
    else:
        wire = WIRES[_PATHS[dialect]]
    read: Object = wire.read_body(body)
    return read


async def _ask(
    dialect: str, resolution: Resolution, outgoing: UpstreamRequest
) -> tuple[int, bytes]:
    """Status and body of the simulated upstream's answer."""
    path, _, query = outgoing.path.partition("?")
    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/v1beta/models{path}" if dialect == "gemini" else _PATHS[dialect],
        "query_string": query.encode(),
        "headers": [(b"anthropic-version", b"2023-06-01")],
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": outgoing.body}

    async def send(message: Any) -> None:
        sent.append(message)

    await SimulatedUpstream()(scope, receive, send)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


Heard = tuple[list[tuple[str, Object]], str]


def _read_chat(answer: Object) -> Heard:
    (choice,) = answer["choices"]
    message = choice["message"]
    calls = message.get("tool_calls") or []
    assert answer["object"] == "chat.completion"
    assert choice["finish_reason"] == ("tool_calls" if calls else "stop")
    assert message["role"] == "assistant"
    return [_called(call["function"]) for call in calls], message["content"] or ""


def _read_chat_stream(frames: list[bytes]) -> Heard:
    assert frames[-1] == b"data: [DONE]\n\n"
    calls: dict[int, Object] = {}
    text, reasons = "", []
    for frame in frames[:-1]:
        event = json.loads(frame.removeprefix(b"data: "))
        assert event["object"] == "chat.completion.chunk"
        for choice in event["choices"]:
            delta = choice["delta"]
            text += delta.get("content") or ""
            reasons += [choice["finish_reason"]] if choice["finish_reason"] else []
            for piece in delta.get("tool_calls", ()):
                call = calls.setdefault(piece["index"], {"name": "", "arguments": ""})
                assert ("id" in piece) == (not call["name"])
                call["name"] += piece["function"].get("name", "")
                call["arguments"] += piece["function"].get("arguments", "")
    assert reasons == ["tool_calls" if calls else "stop"]
    return [_called(call) for call in calls.values()], text


def _read_message(answer: Object) -> Heard:
    blocks = answer["content"]
    calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    assert answer["type"] == "message"
    assert answer["stop_reason"] == ("tool_use" if calls else "end_turn")
    return calls, "".join(block["text"] for block in blocks if block["type"] == "text")


def _read_message_stream(frames: list[bytes]) -> Heard:
    message = read_message(read_messages_frames(frames))
    for block in message["content"]:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["_json"])
    return _read_message(message)


def _read_response(answer: Object) -> Heard:
    judge_object(answer)
    assert answer["status"] == "completed"
    items = answer["output"]
    calls = [_called(item) for item in items if item["type"] == "function_call"]
    parts = [part for item in items if item["type"] == "message" for part in item["content"]]
    return calls, "".join(part["text"] for part in parts)


_READERS: dict[str, Callable[[Object], Heard]] = {
    "chat": _read_chat,
    "messages": _read_message,
    "responses": _read_response,
}
_STREAM_READERS: dict[str, Callable[[list[bytes]], Heard]] = {
    "chat": _read_chat_stream,
    "messages": _read_message_stream,
    "responses": lambda frames: _read_response(judge(frames)),
}


def _called(function: Object) -> tuple[str, Object]:
    return function["name"], json.loads(function["arguments"])


def run(crossing: Coroutine[Any, Any, Any]) -> Any:
    """Run one, or many in one loop."""
    return asyncio.run(crossing)
