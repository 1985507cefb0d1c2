"""From the body of a chat completion request to the internal request.

Owns what the dialect means; knows no upstream, so limits of one family are not checked here. Must
never raise anything but `InvalidRequest` and its kin. Members that change nothing for the answer
(`store`, `service_tier` …) are dropped without a word; `metadata` gives tags.
"""

from functools import partial
from operator import attrgetter
from typing import Any

from msgspec import UNSET, Raw, Struct

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import Message as Internal
from gateway.core.request import (
    OutputFormat,
    ReasoningChoice,
    Request,
    Sampling,
    ToolChoice,
    Written,
)
from gateway.core.tags import tags_of_json
from gateway.dialects.base import ParsedRequest
from gateway.dialects.chat.history_reader import read_messages
from gateway.dialects.chat.plain import Plain, read_plain
from gateway.dialects.chat.reasoning import SPELLINGS, TEMPLATE_FLAGS, read_reasoning_choice
from gateway.dialects.chat.responses_body import write_as_chat
from gateway.dialects.chat.tools import read_choice, read_tools
from gateway.dialects.chat.types import ChatBody, ChatMessage, ResponseFormat
from gateway.dialects.json import decode, decode_if_fit, encode

#: members for engines that know them; a profile decides whether they go on
_PASSED_ON = (
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
    "min_p",
    "min_tokens",
    "repetition_penalty",
)
_read_passed_on = attrgetter(*_PASSED_ON)
#: members that most requests do without
_SELDOM = ("modalities", "audio", "web_search_options", *SPELLINGS, *_PASSED_ON)
_read_seldom = attrgetter(*_SELDOM)
_NOTHING = (None,) * len(_SELDOM)


class _PlainBody(ChatBody[Plain], frozen=True):
    """A body whose messages may go out as they came."""


class _AnyBody(ChatBody[ChatMessage], frozen=True):
    """A body whose messages are read."""


class ChatSource(Struct, frozen=True):
    """The facts of the request that the renderer needs.

    `legacy` means that the client offered `functions`, so calls come back as `function_call`.
    """

    include_usage: bool
    legacy: bool


def parse_body(body: bytes, *, may_be_plain: bool = True) -> ParsedRequest:
    """Parse one request; raises `InvalidRequest` with the path of the field in `param`.

    Without `may_be_plain` the messages are read at once, in any case.
    """
    if may_be_plain:
        plain = decode_if_fit(body, _PlainBody)
        if plain is not None and not plain.continue_final_message:
            written = read_plain(plain.messages, partial(_read_messages, body))
            if written is not None:
                return _parse(plain, (), written, [])
    body, left_out = write_as_chat(body)
    given = decode(body, _AnyBody)
    return _parse(given, read_messages(given.messages, left_out), None, left_out)


def _read_messages(body: bytes) -> tuple[Internal, ...]:
    # Plain messages hold nothing that is left out.
    return read_messages(decode(body, _AnyBody).messages, [])


def _parse(
    given: ChatBody[Any],
    messages: tuple[Internal, ...],
    written: Written | None,
    degraded: list[str],
) -> ParsedRequest:
    reasoning, extra = ReasoningChoice(), {}
    if _read_seldom(given) != _NOTHING:
        _refuse_unsupported(given)
        reasoning, extra = read_reasoning_choice(given), _read_extra(given)
    tools = read_tools(given, degraded) if given.tools or given.functions else ()
    choice: ToolChoice | None = None
    if given.tool_choice is not None or given.function_call is not None:
        choice, tools = read_choice(given, tools)
    options = given.stream_options
    request = Request(
        model=given.model,
        messages=messages,
        stream=bool(given.stream),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=given.parallel_tool_calls,
        output=None if given.response_format is None else _read_format(given.response_format),
        reasoning=reasoning,
        max_tokens=given.max_completion_tokens or given.max_tokens,
        stop=() if given.stop is None else _read_stop(given.stop),
        sampling=Sampling(
            temperature=given.temperature,
            top_p=given.top_p,
            top_k=given.top_k,
            n=given.n,
            presence_penalty=given.presence_penalty,
            frequency_penalty=given.frequency_penalty,
            seed=given.seed,
            logit_bias=given.logit_bias or None,
            logprobs=given.logprobs,
            top_logprobs=given.top_logprobs,
        ),
        prefill=written is None and _is_prefill(given),
        cache_key=given.prompt_cache_key or None,
        safety_identifier=given.safety_identifier or given.user or None,
        extra=extra,
        degraded=list(dict.fromkeys(degraded)) if degraded else [],
        written=written,
        tags={} if given.metadata is UNSET else tags_of_json(bytes(given.metadata)),
    )
    source = ChatSource(
        include_usage=options is not None and bool(options.include_usage),
        legacy=given.functions is not None and not given.tools,
    )
    return ParsedRequest(request, source)


def _is_prefill(given: ChatBody[ChatMessage]) -> bool:
    """True if the last message is the beginning of the answer."""
    last = given.messages[-1]
    if last.role != "assistant" or last.tool_calls or last.function_call:
        return False
    return bool(last.partial or given.continue_final_message)


def _refuse_unsupported(given: ChatBody[Any]) -> None:
    if given.modalities and set(given.modalities) != {"text"}:
        raise UnsupportedParameter("Only text output is supported.", param="modalities")
    if given.audio is not None:
        raise UnsupportedParameter("Audio output is not supported.", param="audio")
    if given.web_search_options is not None:
        raise UnsupportedParameter("Web search is not supported.", param="web_search_options")


def _read_stop(stop: str | list[str]) -> tuple[str, ...]:
    """Stop sequences; empty ones stop nothing and are dropped."""
    return tuple(filter(None, [stop] if isinstance(stop, str) else stop))


def _read_format(wanted: ResponseFormat) -> OutputFormat | None:
    if wanted.type == "text":
        return None
    if wanted.type == "json_object" and wanted.schema is None:
        return OutputFormat("json_object")
    if wanted.type not in ("json_schema", "json_object"):
        raise InvalidRequest(
            f"Unknown response format '{wanted.type[:64]}'; use text, json_object or json_schema.",
            param="response_format.type",
        )
    given = wanted.json_schema or wanted
    if given.schema is None:
        raise InvalidRequest(
            "A response format of type json_schema needs a schema.",
            param="response_format.json_schema.schema",
        )
    return OutputFormat("json_schema", given.name or "response", given.schema, given.strict)


def _read_extra(given: ChatBody[Any]) -> dict[str, Raw]:
    passed = {
        name: Raw(encode(value))
        for name, value in zip(_PASSED_ON, _read_passed_on(given), strict=True)
        if value is not None
    }
    if given.chat_template_kwargs:
        arguments = {
            name: value
            for name, value in given.chat_template_kwargs.items()
            if name not in TEMPLATE_FLAGS
        }
        if arguments:
            passed["chat_template_kwargs"] = Raw(encode(arguments))
    return passed
