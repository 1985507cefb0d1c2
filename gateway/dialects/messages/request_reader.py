"""From the bytes of a Messages request to the internal one.

Owns what is mapped, dropped, named as degraded or refused, field by field. Must never refuse a
field, block or beta for being unknown. Source: Anthropic API reference, "Create a Message".
"""

from typing import NoReturn

import msgspec
from msgspec import Struct

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import (
    AssistantMessage,
    Message,
    OutputFormat,
    RawBody,
    ReasoningChoice,
    Request,
    Sampling,
    SystemMessage,
)
from gateway.core.seal import Sealer
from gateway.dialects.base import Caller, ParsedRequest
from gateway.dialects.json import decode
from gateway.dialects.messages.history_reader import HistoryReader, read_system
from gateway.dialects.messages.result_pairing import follow_calls, pair_results
from gateway.dialects.messages.token_count import estimate
from gateway.dialects.messages.tools import read_choice, read_tools
from gateway.dialects.messages.types import (
    FormatParam,
    MessagesBody,
    MetadataParam,
    OutputParam,
    ThinkingParam,
)

#: lost by the translation only
_GIVEN_NATIVELY = frozenset({"citations"})


class MessagesSource(Struct, frozen=True):
    """The facts of a request that the renderer must remember.

    `hides_thinking`: thinking goes out as a signature alone. `wants_one_call`: calls after the
    first are not shown. `wants_nothing`: the request only warms a cache, so its answer is empty.
    `input_tokens`: an estimate, to be sent before the upstream counts.
    """

    hides_thinking: bool = False
    wants_one_call: bool = False
    wants_nothing: bool = False
    input_tokens: int = 1


def parse_body(body: bytes, caller: Caller, sealer: Sealer) -> ParsedRequest:
    """Raises `InvalidRequest` and `UnsupportedParameter`, with the field's path in `param`."""
    fields = decode(body, MessagesBody)
    _refuse_unserved(fields)
    max_tokens = _max_tokens(fields)
    degraded: list[str] = []
    tools = read_tools(fields.tools or (), fields.tool_choice, degraded)
    reader = HistoryReader(sealer, caller.account_id, degraded)
    messages = _messages(fields, reader, degraded)
    choice = fields.tool_choice
    one_call = choice is not None and bool(choice.disable_parallel_tool_use)
    thinking = fields.thinking
    safety_identifier, cache_key = _names(fields.metadata)
    request = Request(
        model=fields.model,
        messages=tuple(messages),
        stream=bool(fields.stream),
        tools=tools,
        tool_choice=None if choice is None else read_choice(choice, tools),
        parallel_tool_calls=False if one_call and tools else None,
        output=_output(fields),
        reasoning=_reasoning(thinking, fields.output_config),
        max_tokens=max_tokens or 1,
        stop=tuple(filter(None, fields.stop_sequences or ())),
        sampling=Sampling(temperature=fields.temperature, top_p=fields.top_p, top_k=fields.top_k),
        prefill=isinstance(messages[-1], AssistantMessage),
        cache_key=cache_key,
        safety_identifier=safety_identifier,
        degraded=list(dict.fromkeys(degraded)),
    )
    is_whole = len(tools) == len(fields.tools or ()) and _GIVEN_NATIVELY.issuperset(degraded)
    if is_whole and not reader.unknown_blocks:
        request.raw = RawBody("messages", body, reader.signed_blocks)
    source = MessagesSource(
        hides_thinking=thinking is not None and thinking.display == "omitted",
        wants_one_call=one_call,
        wants_nothing=max_tokens == 0,
        input_tokens=estimate(body),
    )
    return ParsedRequest(request, source)


def _refuse_unserved(fields: MessagesBody) -> None:
    if fields.thread is not None:
        # Ignoring it would lose the history: the client sends only what is new from here on.
        raise InvalidRequest(
            "thread: threads are not supported; send the full conversation",
            param="thread",
            details={"error_code": "thread_unsupported_request", "unsupported": ["thread"]},
        )
    if fields.mcp_servers:
        _refuse("mcp_servers")
    if isinstance(fields.container, dict) and fields.container.get("skills"):
        _refuse("container.skills")


def _refuse(path: str) -> NoReturn:
    raise UnsupportedParameter(f"{path}: not supported by this model", param=path)


def _max_tokens(fields: MessagesBody) -> int:
    """The cap on output tokens; 0 warms a cache, for which an upstream must be asked one token."""
    if fields.max_tokens is None:
        raise InvalidRequest("max_tokens: Field required", param="max_tokens")
    if fields.max_tokens < 0:
        raise InvalidRequest(
            "max_tokens: Input should be greater than or equal to 0", param="max_tokens"
        )
    return fields.max_tokens


def _messages(fields: MessagesBody, reader: HistoryReader, degraded: list[str]) -> list[Message]:
    read = list(reader.read(fields.messages))
    if not follow_calls(read):
        reader.unknown_blocks.append("messages")
    messages = pair_results(read, degraded)
    if messages and isinstance(last := messages[-1], AssistantMessage):
        messages.pop()
        # Models continue a text that ends in a space badly, and Anthropic refuses it.
        text = (last.text or "").rstrip()
        if text:
            messages.append(
                AssistantMessage(text, last.reasoning, signed_blocks=last.signed_blocks)
            )
    if not messages:
        raise InvalidRequest("messages: at least one message is required", param="messages")
    system = read_system(fields.system)
    return [SystemMessage(system), *messages] if system else messages


def _reasoning(thinking: ThinkingParam | None, output: OutputParam | None) -> ReasoningChoice:
    effort = output.effort if output is not None else None
    if thinking is None:
        return ReasoningChoice(None, effort)
    if thinking.type == "disabled":
        return ReasoningChoice(False)
    if effort is None and thinking.budget_tokens is not None:
        effort = _effort_of(thinking.budget_tokens)
    return ReasoningChoice(True, effort, is_manual=thinking.type == "enabled")


def _effort_of(budget_tokens: int) -> str:
    """The level that a budget of thinking tokens amounts to, by the usual steps."""
    steps = ((1024, "low"), (8192, "medium"), (24576, "high"))
    return next((effort for most, effort in steps if budget_tokens <= most), "xhigh")


def _output(fields: MessagesBody) -> OutputFormat | None:
    path, wanted = _format(fields)
    if wanted is None:
        return None
    if wanted.type != "json_schema" or wanted.schema is None:
        raise UnsupportedParameter(
            f"{path}: only a 'json_schema' with a 'schema' is supported", param=path
        )
    return OutputFormat("json_schema", schema=wanted.schema, strict=True)


def _format(fields: MessagesBody) -> tuple[str, FormatParam | None]:
    """The wanted format and where it stands; earlier clients send it at the top."""
    if fields.output_config is not None and fields.output_config.format is not None:
        return "output_config.format", fields.output_config.format
    return "output_format", fields.output_format


class _UserId(Struct):
    """The JSON that agent clients put into `user_id`."""

    account_uuid: str | None = None
    device_id: str | None = None
    session_id: str | None = None


_USER_ID = msgspec.json.Decoder(_UserId)


def _names(metadata: MetadataParam | None) -> tuple[str | None, str | None]:
    """The name of the person, and of the session whose beginning is cached."""
    user_id = metadata.user_id if metadata is not None else None
    if not user_id:
        return None, None
    if not user_id.startswith("{"):
        return user_id, None
    try:
        names = _USER_ID.decode(user_id)
    except (ValueError, RecursionError):
        return user_id, None
    return names.account_uuid or names.device_id or user_id, names.session_id or None
