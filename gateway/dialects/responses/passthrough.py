"""A Responses request for an upstream that speaks Responses: as it was written, where that can be.

Rewrites, even in pass-through: the model name, sealed reasoning, fields that identify the user or
have the answer stored, fields that change the provider's price. Must never send a reasoning that
differs from what is charged, nor leave to the upstream what the gateway has to look up, to fit
together or to bring back under another name. Source: OpenAI API reference, "Create a model
response".
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.catalog import Resolution
from gateway.core.request import RawBody, Request, Sampling
from gateway.dialects.adapt.tools import are_fit
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.inline import read_image_url
from gateway.dialects.json import encode
from gateway.dialects.passthrough import open_body
from gateway.dialects.responses.history_reader import kind_of
from gateway.dialects.responses.history_writer import write_sealed
from gateway.dialects.responses.request_writer import SEALED, switch_off
from gateway.dialects.responses.tables import CALL_ID_LENGTH_MAX
from gateway.dialects.responses.tools import Toolbox
from gateway.dialects.responses.types import Object, ResponsesBody

#: the price and the payer are the administrator's choice; the result of a compaction could be read
#: by nobody here
_NOT_THE_CLIENTS = (
    "service_tier",
    "billing_policy",
    "fallback_credit_token",
    "context_management",
)

_CALL, _OUTPUT = "function_call", "function_call_output"
_ELSEWHERE = frozenset({"file_id", "file_url"})
_KINDS = frozenset({"message", "reasoning", _CALL, _OUTPUT})

_input = msgspec.json.Decoder(str | list[Raw]).decode
_item = msgspec.json.Decoder(dict[str, Any]).decode


def pass_through(request: Request, resolution: Resolution) -> UpstreamRequest | None:
    """The request as its client wrote it; None where it has to be translated."""
    raw_body, model = request.raw, resolution.model
    if (
        raw_body is None
        or raw_body.dialect != "responses"
        or model.profile.takes_whole != "responses"
    ):
        return None
    if not are_fit(request.tools, model.profile, need_properties=True):
        return None
    # Sampling that the family does not take is left out by the translation.
    if bool(request.reasoning.on) is not resolution.reasoning or request.sampling != Sampling():
        return None
    body, taken = open_body(raw_body.body, _NOT_THE_CLIENTS, ("reasoning",))
    body.pop("include", None)
    body |= {"model": model.upstream_model, "store": False}
    if request.safety_identifier:
        body["safety_identifier"] = request.safety_identifier
    if request.cache_key:
        body["prompt_cache_key"] = request.cache_key
    if (cap := request.max_tokens) is not None:
        least = model.profile.output_tokens_min
        taken += ["max_tokens"] if cap < least else []
        body["max_output_tokens"] = max(least, min(cap, model.max_output_tokens or cap))
    if not resolution.reasoning:
        switch_off(body, model.profile)
    elif model.profile.reasoning_signed:
        body["include"] = [SEALED]
    items = _input(body["input"])
    if not isinstance(items, str):
        body["input"] = _unseal(items, raw_body, model.upstream)
    return UpstreamRequest(encode(body), request.stream, tuple(taken))


def _unseal(items: list[Raw], raw_body: RawBody, upstream: str) -> list[Any]:
    """The items with what `upstream` sealed as it came, and without any other reasoning.

    Nor do ids go: they are ours, and name nothing there.
    """
    written: list[Any] = []
    for raw in items:
        item = _item(raw)
        if item.get("type") != "reasoning":
            written.append({k: v for k, v in item.items() if k != "id"} if "id" in item else raw)
            continue
        signed_block = raw_body.signed_blocks.get(item.get("encrypted_content") or "")
        if signed_block is not None and signed_block.upstream == upstream:
            written.append(write_sealed(signed_block))
    return written


def is_plain(body: ResponsesBody, own: Sequence[Object], toolbox: Toolbox) -> bool:
    """Nothing but messages, reasoning and functions, in full; `own` are the items as given."""
    return (
        body.previous_response_id is None
        and body.tool_choice in (None, "auto")
        and (own is not body.input or _are_plain(own))  # else they are one text
        and all(
            bound.kind == "function" and bound.name == name
            for name, bound in toolbox.bindings.items()
        )
    )


def _are_plain(items: Sequence[Object]) -> bool:
    kinds = [kind_of(item) for item in items]
    return (
        _KINDS.issuperset(kinds)
        and kinds.count(_CALL) == kinds.count(_OUTPUT)
        and not any(map(_is_odd, items))
    )


def _is_odd(item: Object) -> bool:
    """True if the upstream would refuse the item as it is: a name in a namespace, a long id of a
    call, an empty part, an image in another form than the plain one, a file by its URL."""
    if item.get("namespace") or len(str(item.get("call_id") or "")) > CALL_ID_LENGTH_MAX:
        return True
    for content in (item.get("content"), item.get("output")):
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and _is_odd_part(part):
                return True
    return False


def _is_odd_part(part: Object) -> bool:
    image = part.get("image_url")
    return (
        not _ELSEWHERE.isdisjoint(part)
        or part.get("text") == ""
        or (isinstance(image, str) and read_image_url(image) != image)
    )
