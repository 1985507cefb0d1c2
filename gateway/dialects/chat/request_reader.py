"""From the body of a chat completion request to the internal request.

Owns what the dialect means; knows no upstream, so limits of one family are not checked here. Must
never raise anything but `InvalidRequest` and its kin. Members that change nothing for the answer
(`store`, `metadata`, `service_tier` …) are dropped without a word.
"""

from operator import attrgetter

from msgspec import Raw, Struct

from gateway.core.errors import InvalidRequest, UnsupportedParameter
from gateway.core.request import OutputFormat, Request, Sampling
from gateway.dialects.base import Call
from gateway.dialects.chat.history_reader import read_messages
from gateway.dialects.chat.reasoning import TEMPLATE_FLAGS, read_wish
from gateway.dialects.chat.tools import read_choice, read_tools
from gateway.dialects.chat.types import Body, ResponseFormat
from gateway.dialects.json import decode, encode

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


class ChatSource(Struct, frozen=True):
    """What the renderer must know of the request.

    `legacy` says that the client offered `functions`, so calls come back as `function_call`.
    """

    include_usage: bool
    legacy: bool


def parse_body(body: bytes) -> Call:
    """Parse one request; raises `InvalidRequest` with the path of the field in `param`."""
    given = decode(body, Body)
    _refuse_unsupported(given)
    messages = read_messages(given.messages)
    tools = read_tools(given) if given.tools or given.functions else ()
    choice, tools = read_choice(given, tools)
    last = given.messages[-1]
    prefill = last.role == "assistant" and not last.tool_calls and not last.function_call
    request = Request(
        model=given.model,
        messages=messages,
        stream=bool(given.stream),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=given.parallel_tool_calls,
        output=_read_format(given.response_format),
        reasoning=read_wish(given),
        max_tokens=given.max_completion_tokens or given.max_tokens,
        stop=_read_stop(given.stop),
        sampling=_read_sampling(given),
        prefill=prefill and bool(last.partial or given.continue_final_message),
        cache_key=given.prompt_cache_key or None,
        safety_identifier=given.safety_identifier or given.user or None,
        passthrough=_read_passthrough(given),
        degraded=[],
    )
    options = given.stream_options
    return Call(
        request,
        ChatSource(
            include_usage=options is not None and bool(options.include_usage),
            legacy=given.functions is not None and not given.tools,
        ),
    )


def _refuse_unsupported(given: Body) -> None:
    if given.modalities and set(given.modalities) != {"text"}:
        raise UnsupportedParameter("Only text output is supported.", param="modalities")
    if given.audio is not None:
        raise UnsupportedParameter("Audio output is not supported.", param="audio")
    if given.web_search_options is not None:
        raise UnsupportedParameter("Web search is not supported.", param="web_search_options")


def _read_stop(stop: str | list[str] | None) -> tuple[str, ...]:
    """Stop sequences; empty ones stop nothing and are dropped."""
    if stop is None:
        return ()
    return tuple(filter(None, [stop] if isinstance(stop, str) else stop))


def _read_sampling(given: Body) -> Sampling:
    return Sampling(
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
    )


def _read_format(wanted: ResponseFormat | None) -> OutputFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputFormat("json_object")
    if wanted.type != "json_schema":
        raise InvalidRequest(
            f"Unknown response format '{wanted.type[:64]}'; use text, json_object or json_schema.",
            param="response_format.type",
        )
    schema = wanted.json_schema
    if schema is None or schema.schema is None:
        raise InvalidRequest(
            "A response format of type json_schema needs a schema.",
            param="response_format.json_schema.schema",
        )
    return OutputFormat("json_schema", schema.name or "response", schema.schema, schema.strict)


def _read_passthrough(given: Body) -> dict[str, Raw]:
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
