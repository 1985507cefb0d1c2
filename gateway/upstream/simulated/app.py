"""The simulated upstream as an ASGI application: its routes, and the life of one request.

Owns the order of things: credential, body, rules, script, answer. A refusal comes before any
directive, as the real upstream would not have looked at the text.
"""

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gateway.upstream.simulated.answer import build_answer
from gateway.upstream.simulated.conversation import UserText, read_conversation
from gateway.upstream.simulated.delivery import deliver, deliver_stream
from gateway.upstream.simulated.embeddings import (
    read_gemini,
    read_openai,
    render_gemini,
    render_openai,
)
from gateway.upstream.simulated.errors import Refused, scripted_error
from gateway.upstream.simulated.exchange import (
    ClientDisconnected,
    Gate,
    HttpExchange,
    Receive,
    Scope,
    Send,
)
from gateway.upstream.simulated.families import (
    MODELS,
    describe_model,
    find_family,
    thinks,
    unknown_model,
)
from gateway.upstream.simulated.rules import check_request, check_shape
from gateway.upstream.simulated.script import Asked, Script, read_script
from gateway.upstream.simulated.stats import Headers, Outcome, Stats
from gateway.upstream.simulated.stream import make_envelope
from gateway.upstream.simulated.wires import (
    CHAT,
    CHAT_COUNT,
    MESSAGES,
    MESSAGES_COUNT,
    WIRES,
    Wire,
    gemini_wire,
)

_JSON: Headers = [(b"content-type", b"application/json; charset=utf-8")]
_MODELS = "/v1/models"
_COUNT = "/v1/messages/count_tokens"
_GEMINI = re.compile(r"/v1(?:beta)?/models/([^:]+):(\w+)\Z")
_GEMINI_VERBS = ("generateContent", "streamGenerateContent")
_GEMINI_COUNT = "countTokens"
_EMBEDDINGS = "/v1/embeddings"
_GEMINI_EMBEDDINGS = "batchEmbedContents"
_ESTIMATE = "/v1/tokenizers/estimate-token-count"


class SimulatedUpstream:
    """One simulated provider with its own counters. With `api_key` it refuses any other one."""

    def __init__(self, api_key: str | None = None) -> None:
        self._credential = None if api_key is None else f"Bearer {api_key}".encode()
        self._stats = Stats()
        self._gate = Gate()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        exchange = HttpExchange(scope, receive, send, self._gate)
        try:
            if exchange.method != "POST" or not await self._serve_models(exchange):
                await self._serve_rest(exchange)
        except ClientDisconnected:
            return
        finally:
            exchange.end()

    async def _serve_models(self, exchange: HttpExchange) -> bool:
        """Serve what is asked of a model; False for anything else."""
        path = exchange.path
        named = _GEMINI.match(path)
        if path in WIRES:
            await self._complete(exchange, WIRES[path])
        elif path == _EMBEDDINGS:
            await self._complete(exchange, CHAT, self._embed)
        elif named is not None and named[2] == _GEMINI_EMBEDDINGS:
            await self._complete(exchange, gemini_wire(*named.groups()), self._embed)
        elif path == _ESTIMATE:
            await self._count(exchange, CHAT_COUNT)
        elif path == _COUNT:
            await self._count(exchange, MESSAGES_COUNT)
        elif named is not None and named[2] == _GEMINI_COUNT:
            await self._count(exchange, gemini_wire(*named.groups()))
        elif named is not None and named[2] in _GEMINI_VERBS:
            await self._complete(exchange, gemini_wire(*named.groups()))
        else:
            return False
        return True

    async def _complete(
        self,
        exchange: HttpExchange,
        wire: Wire,
        answer: Callable[[HttpExchange, Wire], Awaitable[Outcome]] | None = None,
    ) -> None:
        self._stats.begin()
        outcome: Outcome = "broken"
        try:
            outcome = await (answer or self._answer)(exchange, wire)
        except Refused as refusal:
            outcome = "refused"
            await _refuse(exchange, refusal, wire)
        except ClientDisconnected:
            outcome = "cancelled"
        finally:
            self._stats.end(outcome)

    async def _answer(self, exchange: HttpExchange, wire: Wire) -> Outcome:
        raw = await exchange.read_body()
        self._stats.keep(exchange.headers, raw)
        self._check_credential(exchange, wire)
        body = wire.read_body(_decode(raw))
        check_shape(body)
        self._stats.models[body["model"]] += 1
        family = find_family(body["model"])
        thinking = thinks(family, body)
        conversation = read_conversation(body["messages"])
        if family.strict:
            check_request(body, family, thinking=thinking, prompt_tokens=conversation.prompt_tokens)
        tools = frozenset(tool["function"]["name"] for tool in body.get("tools") or ())
        asked = Asked(body["model"], tools, bool(body.get("stream")))
        script, speech = read_script(conversation.user_texts, asked)
        if (failed := await _fail(exchange, script, wire)) is not None:
            return failed
        answer = build_answer(body, family, conversation, script, speech, thinking=thinking)
        envelope = make_envelope(raw, body)
        if body.get("stream"):
            return await deliver_stream(exchange, answer, envelope, script, self._stats, wire)
        return await deliver(exchange, answer, envelope, script, wire)

    async def _embed(self, exchange: HttpExchange, wire: Wire) -> Outcome:
        """Vectors. Of a script it knows the silence, the end of the connection and the error."""
        raw = await exchange.read_body()
        self._stats.keep(exchange.headers, raw)
        self._check_credential(exchange, wire)
        named = _GEMINI.match(exchange.path)
        asked = read_gemini(named[1], _decode(raw)) if named else read_openai(_decode(raw))
        self._stats.models[asked.model] += 1
        script, _ = read_script([UserText(asked.texts[0], 0)], Asked(asked.model))
        if (failed := await _fail(exchange, script, wire)) is not None:
            return failed
        await exchange.respond(200, render_gemini(asked) if named else render_openai(asked), _JSON)
        return "completed"

    async def _count(self, exchange: HttpExchange, wire: Wire) -> None:
        """Tokens of a request. Of a script it knows the silence and the error."""
        try:
            self._check_credential(exchange, wire)
            body = wire.read_body(_decode(await exchange.read_body()))
            check_shape(body)
            find_family(body["model"])
            conversation = read_conversation(body["messages"])
            script, _ = read_script(conversation.user_texts, Asked(body["model"]))
            await exchange.pause(script.silence_seconds)
            if script.error is not None:
                raise scripted_error(script.error.status, script.error.type, None)
            await exchange.respond(200, wire.render_count(conversation.prompt_tokens), _JSON)
        except Refused as refusal:
            await _refuse(exchange, refusal, wire)

    async def _serve_rest(self, exchange: HttpExchange) -> None:
        """Models and counters. `GET /stats` alone is open, so that a probe needs no credential."""
        route = (exchange.method, exchange.path)
        try:
            if route != ("GET", "/stats"):
                self._check_credential(exchange)
            await exchange.respond(200, msgspec.json.encode(self._find_rest(route)), _JSON)
        except Refused as refusal:
            await _refuse(exchange, refusal)

    def _find_rest(self, route: tuple[str, str]) -> Any:
        method, path = route
        if route == ("GET", "/stats"):
            return {**self._stats.snapshot(), "held": len(self._gate.held)}
        if route == ("POST", "/release"):
            self._gate.open()
            return {"held": 0}
        if route == ("GET", "/stats/requests"):
            return self._stats.requests()
        if route == ("POST", "/stats/reset"):
            self._stats.reset()
            return self._stats.snapshot()
        if route == ("GET", _MODELS):
            return {"object": "list", "data": [describe_model(model) for model in MODELS]}
        if method == "GET" and path.startswith(f"{_MODELS}/"):
            model = path.removeprefix(f"{_MODELS}/")
            if model not in MODELS:
                raise unknown_model(model)
            return describe_model(model)
        raise Refused(
            f"url.not_found: {method} {path}", status=404, type="resource_not_found_error"
        )

    def _check_credential(self, exchange: HttpExchange, wire: Wire = CHAT) -> None:
        """Messages takes `x-api-key` as well, and wants to know its version; Gemini has its own."""
        if wire.is_googles:
            self._check_googles(exchange)
            return
        given = exchange.header(b"authorization") or b""
        if wire in (MESSAGES, MESSAGES_COUNT):
            if exchange.header(b"anthropic-version") is None:
                raise Refused("anthropic-version: header is required")
            given = given or b"Bearer " + (exchange.header(b"x-api-key") or b"")
        if self._credential is None:
            return
        if not hmac.compare_digest(given, self._credential):
            raise Refused("Invalid Authentication", status=401, type="invalid_authentication_error")

    def _check_googles(self, exchange: HttpExchange) -> None:
        """Check the key, and that a stream is wanted as events, not as an array of answers."""
        given = b"Bearer " + (exchange.header(b"x-goog-api-key") or b"")
        if self._credential is not None and not hmac.compare_digest(given, self._credential):
            raise scripted_error(400, "API_KEY_INVALID", None)
        if ":stream" in exchange.path and exchange.query != b"alt=sse":
            raise Refused("simulated upstream: a stream is served with alt=sse only")


def _decode(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise Refused(f"Invalid request: the body is not valid JSON: {error}") from None


async def _fail(exchange: HttpExchange, script: Script, wire: Wire) -> Outcome | None:
    """The silence of a script, and its failure before any answer; None where there is an answer."""
    if script.silence_seconds:
        await exchange.pause(script.silence_seconds)
    if script.hang_up:
        await exchange.hang_up()
        return "broken"
    if script.error is None:
        return None
    error = script.error
    await _refuse(
        exchange, scripted_error(error.status, error.type, error.retry_after_seconds), wire
    )
    return "failed"


async def _refuse(exchange: HttpExchange, refusal: Refused, wire: Wire = CHAT) -> None:
    headers = [(b"content-type", refusal.content_type)]
    if refusal.retry_after_seconds is not None and not wire.is_googles:
        headers.append((b"retry-after", b"%d" % refusal.retry_after_seconds))
    await exchange.respond(refusal.status, wire.refuse(refusal), headers)
