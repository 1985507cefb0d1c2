"""A Messages request for an upstream that speaks Messages: as it was written, where that can be.

Rewrites, even in pass-through: the model name, sealed signatures, fields that identify the user,
fields that change the provider's price. Must never send a thinking that differs from what is
charged. Source: Anthropic API reference, "Messages" and "Beta headers".
"""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.core.catalog import Resolution
from gateway.core.request import RawBody, Request
from gateway.dialects.adapt.tools import are_fit
from gateway.dialects.endpoint import UpstreamRequest
from gateway.dialects.json import encode
from gateway.dialects.messages.betas import Betas
from gateway.dialects.messages.history_reader import ATTRIBUTION, without_attribution
from gateway.dialects.messages.thinking import write_signed_block
from gateway.dialects.odd_values import object_of, objects_in, text_of
from gateway.dialects.passthrough import Members, open_body, read_members

#: its place, its speed, its tools and its payer: those are the administrator's choice; the result
#: of a compaction could be read by nobody here
_NOT_THE_CLIENTS = (
    "service_tier",
    "speed",
    "inference_geo",
    "container",
    "mcp_servers",
    "thread",
    "billing_policy",
    "fallback_credit_token",
    "compaction",
)

_COMPACTS = b"compact"
_raws = msgspec.json.Decoder(list[Raw]).decode
_content = msgspec.json.Decoder(str | list[Raw]).decode
_block = msgspec.json.Decoder(dict[str, Any]).decode


def pass_through(request: Request, resolution: Resolution, betas: Betas) -> UpstreamRequest | None:
    """The request as its client wrote it; None where it has to be translated.

    A request with an unknown beta is translated: members of that beta may stand anywhere in it, and
    the upstream refuses them without the beta.
    """
    raw_body = request.raw
    if raw_body is None or raw_body.dialect != "messages" or raw_body.betas is None:
        return None
    if betas.unknown or not _is_eligible(request, resolution):
        return None
    body, taken = open_body(raw_body.body, _NOT_THE_CLIENTS, ("thinking", "output_config"))
    body["model"] = resolution.model.upstream_model
    limit = resolution.model.max_output_tokens
    if limit is not None and (request.max_tokens or 0) > limit:
        body["max_tokens"] = limit
    if not resolution.reasoning:
        body["thinking"] = {"type": "disabled"}
    if request.safety_identifier:
        body["metadata"] = {"user_id": request.safety_identifier}
    _strip_system(body)
    _strip_compaction(body, taken)
    body["messages"] = _unseal(_raws(body["messages"]), raw_body, resolution.model.upstream)
    headers = {"anthropic-beta": ",".join(betas.passed)} if betas.passed else {}
    return UpstreamRequest(encode(body), request.stream, tuple(taken), headers=headers)


def _is_eligible(request: Request, resolution: Resolution) -> bool:
    """True if the body may stand as it is: it states of thinking what was decided, within
    the cap."""
    model, choice = resolution.model, request.reasoning
    if not are_fit(request.tools, model.profile, need_properties=False):
        return False
    if model.profile.takes_whole != "messages" or bool(choice.on) is not resolution.reasoning:
        return False
    limit = model.max_output_tokens
    return limit is None or not choice.is_manual or (request.max_tokens or 0) <= limit


def _strip_compaction(body: Members, taken: list[str]) -> None:
    """Take out the edits that compact, for nobody here could read their result."""
    management = body.get("context_management")
    if management is None or _COMPACTS not in bytes(management):
        return
    members = object_of(msgspec.json.decode(management))
    edits = [
        edit
        for edit in objects_in(members.get("edits"))
        if not text_of(edit.get("type")).startswith("compact_")
    ]
    taken.append("context_management.compact")
    del body["context_management"]
    if edits:
        body["context_management"] = {**members, "edits": edits}


def _strip_system(body: Members) -> None:
    system = body.get("system")
    if system is None or ATTRIBUTION.encode() not in bytes(system):
        return
    content = _content(system)
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    kept: list[Any] = []
    for raw in blocks:
        block = raw if isinstance(raw, dict) else _block(raw)
        text = block.get("text")
        if isinstance(text, str) and (rest := without_attribution(text)) != text:
            if rest:
                kept.append({**block, "text": rest})
        else:
            kept.append(raw)
    body["system"] = kept
    if not kept:
        del body["system"]


def _unseal(messages: list[Raw], raw_body: RawBody, upstream: str) -> list[Any]:
    """The messages with what `upstream` signed in it as it came, and without any other thinking."""
    written: list[Any] = []
    for raw in messages:
        # Every other message holds none, and stays as it is.
        if b"thinking" not in bytes(raw):
            written.append(raw)
            continue
        message = read_members(raw)
        content = _content(message["content"])
        if isinstance(content, str) or bytes(message["role"]) != b'"assistant"':
            written.append(raw)
            continue
        blocks = [kept for block in content if (kept := _block_for(block, raw_body, upstream))]
        if blocks:
            written.append({**message, "content": blocks})
    return written


def _block_for(raw: Raw, raw_body: RawBody, upstream: str) -> Raw | Members | None:
    if b"thinking" not in bytes(raw):
        return raw
    block = _block(raw)
    match block.get("type"):
        case "thinking":
            sealed = block.get("signature")
        case "redacted_thinking":
            sealed = block.get("data")
        case _:
            return raw
    signed_block = raw_body.signed_blocks.get(sealed or "")
    return (
        write_signed_block(signed_block)
        if signed_block is not None and signed_block.upstream == upstream
        else None
    )
