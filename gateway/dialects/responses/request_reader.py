"""From the body of `POST /responses` to the internal request.

    body → refuse what nobody serves → resolve the context → items, tools, choice → Request

The context is previous input + previous output + new input; earlier instructions are not carried
on. Owns that rule and the order of the steps. Source: OpenAI API reference, "Create a model
response"; Open Responses specification, "previous_response_id".
"""

from functools import partial

import msgspec
from msgspec import Raw, Struct

from gateway.core.concurrency.worker_thread import WorkerThread
from gateway.core.errors import (
    InvalidRequest,
    RequestTooLarge,
    UnknownReference,
    UnsupportedParameter,
)
from gateway.core.request import (
    Message,
    OutputFormat,
    RawBody,
    ReasoningChoice,
    Request,
    Sampling,
    SystemMessage,
)
from gateway.core.seal import Sealer
from gateway.core.tags import tags_of_metadata
from gateway.dialects.base import Caller, ParsedRequest
from gateway.dialects.json import decode
from gateway.dialects.responses.history_reader import kind_of, read_items
from gateway.dialects.responses.passthrough import is_plain
from gateway.dialects.responses.stored_responses import (
    ResponseState,
    StoredResponse,
    is_an_id,
    look_up,
)
from gateway.dialects.responses.tools import Toolbox, read_choice, read_tools
from gateway.dialects.responses.types import Object, ResponsesBody

_LOGPROBS = "message.output_text.logprobs"
#: stored items that one request may refer to, each as often as it does
REFERENCED_BYTES_MAX = 4 * 1024 * 1024


class ResponsesSource(Struct, frozen=True):
    """The facts that the renderer remembers: `context` is all input, inherited items included.

    `size` is the body's, in bytes.
    """

    body: ResponsesBody
    toolbox: Toolbox
    context: list[Object]
    keep: bool
    logprobs: bool
    size: int


class _Given(Struct, frozen=True):
    """The content of the body itself; `references` are places of stored items, with their ids."""

    raw: bytes
    body: ResponsesBody
    items: list[Object]
    references: list[tuple[int, str]]


class _Stored(Struct, frozen=True):
    """The objects that the body refers to: items by id, and the response before it.

    `size` is theirs, in bytes.
    """

    items: dict[str, Raw]
    previous: StoredResponse | None
    size: int


_NOTHING = _Stored({}, None, 0)


async def parse_body(
    raw: bytes,
    caller: Caller,
    sealer: Sealer,
    state: ResponseState | None,
    worker_thread: WorkerThread,
) -> ParsedRequest:
    """Parse one request; `state` is None where nothing is kept.

    Raises `InvalidRequest` and its kin, and `DatabaseUnavailable` where the context cannot be
    looked up.
    """
    given = await worker_thread.run(caller.holder, len(raw), partial(_open, raw))
    stored = _NOTHING
    if given.references or given.body.previous_response_id is not None:
        stored = await _look_up(given, caller, state)
    keep = given.body.store is not False and state is not None and len(raw) <= state.bytes_max
    work = partial(_read, given, stored, caller, sealer, keep)
    return await worker_thread.run(caller.holder, len(raw) + stored.size, work)


def _open(raw: bytes) -> _Given:
    body = decode(raw, ResponsesBody)
    _refuse(body)
    items = _own_items(body)
    references = []
    if items is body.input:
        references = [
            (index, str(item.get("id", "")))
            for index, item in enumerate(items)
            if kind_of(item) == "item_reference"
        ]
    return _Given(raw, body, items, references)


def _read(
    given: _Given, stored: _Stored, caller: Caller, sealer: Sealer, keep: bool
) -> ParsedRequest:
    body = given.body
    own = _resolved(given, stored.items)
    context = [*(stored.previous.context if stored.previous is not None else ()), *own]
    history = read_items(context, len(own), sealer, caller.account_id)
    messages: list[Message] = list(history.messages)
    if body.instructions:
        messages.insert(0, SystemMessage(body.instructions))
    if not messages:
        raise InvalidRequest("'input' must not be empty.", param="input")
    toolbox = read_tools(body.tools or [], history.tools, history.degraded)
    tools, choice = read_choice(body.tool_choice, toolbox)
    sampling = _sampling(body)
    request = Request(
        model=body.model,
        messages=tuple(messages),
        stream=body.stream or False,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls if tools else None,
        output=_output_format(body),
        reasoning=_reasoning(body),
        max_tokens=body.max_output_tokens,
        sampling=sampling,
        cache_key=body.prompt_cache_key,
        safety_identifier=body.safety_identifier or body.user,
        degraded=list(dict.fromkeys(history.degraded)),
        tags=tags_of_metadata(body.metadata) if body.metadata else {},
    )
    if not request.degraded and not sampling.logprobs and is_plain(body, given.items, toolbox):
        request.raw = RawBody("responses", given.raw, history.signed_blocks)
    source = ResponsesSource(
        body, toolbox, context, keep, sampling.logprobs or False, len(given.raw)
    )
    return ParsedRequest(request, source, inherited=stored.size)


def _refuse(body: ResponsesBody) -> None:
    if body.previous_response_id is not None and body.conversation is not None:
        raise InvalidRequest(
            "Mutually exclusive parameters: give only one of 'previous_response_id' and"
            " 'conversation'.",
            param="previous_response_id",
        )
    name = None
    if body.conversation is not None:
        name = "conversation"
    elif body.prompt is not None:
        name = "prompt"
    elif body.background:
        name = "background"
    if name is not None:
        raise UnsupportedParameter(f"Unsupported parameter: '{name}'.", param=name)


def _own_items(body: ResponsesBody) -> list[Object]:
    if body.input is None:
        if body.previous_response_id is None:
            raise InvalidRequest("Missing required parameter: 'input'.", param="input")
        return []
    if isinstance(body.input, str):
        return [{"type": "message", "role": "user", "content": body.input}]
    return body.input


async def _look_up(given: _Given, caller: Caller, state: ResponseState | None) -> _Stored:
    items = await _referred(given, caller, state)
    raws = [*items.values()]
    previous = None
    if given.body.previous_response_id is not None:
        previous = await _previous(given.body.previous_response_id, caller, state)
        raws += (*previous.input, previous.response)
    return _Stored(items, previous, sum(map(len, raws)))


async def _previous(
    previous_id: str, caller: Caller, state: ResponseState | None
) -> StoredResponse:
    stored = await look_up(state, caller, previous_id)
    if stored is None:
        raise UnknownReference(
            f"Previous response with id '{previous_id[:256]}' not found.",
            param="previous_response_id",
        )
    return stored


async def _referred(given: _Given, caller: Caller, state: ResponseState | None) -> dict[str, Raw]:
    """The stored items that the client only named, as far as there are any."""
    ids = dict.fromkeys(item_id for _, item_id in given.references if is_an_id(item_id))
    if not ids or state is None:
        return {}
    return await state.items(caller, list(ids), REFERENCED_BYTES_MAX)


def _resolved(given: _Given, found: dict[str, Raw]) -> list[Object]:
    """Put stored items where the client only named them.

    One may be named many times, and is as large each time once it is rendered.
    """
    resolved = list(given.items)
    opened: dict[str, Object] = {}
    size = 0
    for index, item_id in given.references:
        path = f"input.{index}.id"
        if item_id not in found:
            raise InvalidRequest(
                f"Item with id '{item_id[:256]}' not found. It was not stored, or is no longer."
                " Send the item itself instead of a reference to it; clients do so with"
                " `store: false`.",
                param=path,
            )
        size += len(found[item_id])
        if size > REFERENCED_BYTES_MAX:
            raise RequestTooLarge(
                f"The items that 'input' refers to have more than {REFERENCED_BYTES_MAX:,} bytes.",
                param=path,
            )
        if item_id not in opened:
            opened[item_id] = msgspec.json.decode(found[item_id], type=Object)
        resolved[index] = opened[item_id]
    return resolved


def _reasoning(body: ResponsesBody) -> ReasoningChoice:
    effort = body.reasoning.effort if body.reasoning is not None else None
    if effort is None:
        return ReasoningChoice()
    return ReasoningChoice(on=False) if effort == "none" else ReasoningChoice(True, effort)


def _output_format(body: ResponsesBody) -> OutputFormat | None:
    format = body.text.format if body.text is not None else None
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return OutputFormat("json_object")
    if format.type != "json_schema":
        raise InvalidRequest(
            f"Invalid value: '{format.type[:64]}'. Supported values are: 'text', 'json_object' and"
            " 'json_schema'.",
            param="text.format.type",
        )
    if format.schema is None:
        raise InvalidRequest(
            "Missing required parameter: 'text.format.schema'.", param="text.format.schema"
        )
    return OutputFormat("json_schema", format.name or "response", format.schema, format.strict)


def _sampling(body: ResponsesBody) -> Sampling:
    logprobs = _LOGPROBS in (body.include or ())
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logprobs=True if logprobs else None,
        top_logprobs=body.top_logprobs if logprobs else None,
    )
