"""The response object: every member that a strict reader requires, always.

It is sent when the response is created and when it ends; between the two only `status`, `output`,
`usage`, `error`, `incomplete_details`, `completed_at` and `store` change. Sources: OpenAI API
reference, "The response object"; Open Responses specification, `ResponseResource`.
"""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from gateway.dialects.json import encode_part
from gateway.dialects.responses.tables import UsageObject
from gateway.dialects.responses.types import Object, ResponsesBody, TextOptions

Status = Literal["in_progress", "completed", "incomplete", "failed"]


class IncompleteDetails(Struct, frozen=True):
    """Why a response ended early."""

    reason: str


class ErrorObject(Struct, frozen=True):
    """Why a response failed."""

    code: str
    message: str


class ResponseObject(Struct, kw_only=True):
    """The response object. `created_at` and `completed_at` are in Unix seconds."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status = "in_progress"
    error: ErrorObject | None = None
    incomplete_details: IncompleteDetails | None = None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: list[Raw] = []
    tools: Raw
    tool_choice: Raw
    parallel_tool_calls: bool
    truncation: Literal["disabled"] = "disabled"
    text: Raw
    reasoning: Object
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: Literal[False] = False
    service_tier: Literal["default"] = "default"
    metadata: Raw
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    usage: UsageObject | None = None


def new_object(
    body: ResponsesBody, tools: list[Object], *, id: str, model: str, created: int, store: bool
) -> ResponseObject:
    """The object of a response in progress: what was asked for, defaults filled in.

    Nested values of the client's are encoded here, once; raises `InvalidRequest` where they are too
    deep.
    """
    reasoning = body.reasoning
    return ResponseObject(
        id=id,
        created_at=created,
        model=model,
        previous_response_id=body.previous_response_id,
        instructions=body.instructions,
        tools=encode_part(tools) if tools else _NONE,
        tool_choice=_AUTO if body.tool_choice is None else encode_part(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls is not False,
        text=_TEXT if body.text is None else _text(body.text),
        reasoning={
            "effort": reasoning.effort if reasoning else None,
            "summary": reasoning.summary if reasoning else None,
        },
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        presence_penalty=0.0 if body.presence_penalty is None else body.presence_penalty,
        frequency_penalty=0.0 if body.frequency_penalty is None else body.frequency_penalty,
        top_logprobs=body.top_logprobs or 0,
        max_output_tokens=body.max_output_tokens,
        max_tool_calls=body.max_tool_calls,
        store=store,
        metadata=encode_part(body.metadata) if body.metadata else _NOTHING,
        user=body.user,
        safety_identifier=body.safety_identifier,
        prompt_cache_key=body.prompt_cache_key,
    )


_AUTO, _NONE, _NOTHING = Raw(b'"auto"'), Raw(b"[]"), Raw(b"{}")
_TEXT = Raw(b'{"format":{"type":"text"}}')


def _text(options: TextOptions) -> Raw:
    text: Object = {"format": {"type": "text"}}
    if options.format is not None and options.format.type != "text":
        text["format"] = {"type": options.format.type}
        if options.format.type == "json_schema":
            text["format"] = msgspec.structs.asdict(options.format)
            text["format"]["strict"] = options.format.strict or False
    if options.verbosity is not None:
        text["verbosity"] = options.verbosity
    return encode_part(text)
