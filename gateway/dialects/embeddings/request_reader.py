"""The body of an embeddings request, as clients write it."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

from gateway.core.errors import InvalidRequest
from gateway.core.request import EmbeddingInput, Request
from gateway.dialects.base import ParsedRequest
from gateway.dialects.json import decode

#: inputs of one request, as OpenAI takes them
INPUTS_MAX = 2048
#: characters, or tokens, of one input
INPUT_LENGTH_MAX = 1_000_000
DIMENSIONS_MAX = 65_536

_Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
_KINDS = "a text, a list of texts, a list of token ids, or a list of such lists"


class _Body(Struct):
    model: str
    input: Raw
    dimensions: Annotated[int, Meta(ge=1, le=DIMENSIONS_MAX)] | None = None
    encoding_format: Literal["float", "base64"] | None = None


def parse_body(body: bytes) -> ParsedRequest:
    """The request that a body is. Raises `InvalidRequest` and its kin."""
    given = decode(body, _Body)
    written = bytes(given.input).strip()
    inputs = _read_inputs(written)
    if not inputs or len(inputs) > INPUTS_MAX:
        raise InvalidRequest(f"input must have 1 to {INPUTS_MAX} inputs", param="input")
    longest, shortest = max(map(len, inputs)), min(map(len, inputs))
    if not 0 < shortest <= longest <= INPUT_LENGTH_MAX:
        raise InvalidRequest(
            f"each input must have 1 to {INPUT_LENGTH_MAX:,} characters or tokens", param="input"
        )
    is_text = isinstance(inputs[0], str)
    embedding = EmbeddingInput(
        written=written,
        number=len(inputs),
        texts=tuple(inputs) if is_text else (),
        tokens=0 if is_text else sum(map(len, inputs)),
        dimensions=given.dimensions,
        is_base64=given.encoding_format == "base64",
    )
    return ParsedRequest(Request(given.model, (), embedding=embedding))


def _read_inputs(written: bytes) -> list[Any]:
    """The inputs, each a text or a list of token ids."""
    kind: Any = str
    if written[:1] == b"[":
        first = written[1:].lstrip()[:1]
        kind = list[str] if first == b'"' else list[list[_Token]] if first == b"[" else list[_Token]
    try:
        read: Any = decode(written, kind)
    except InvalidRequest as error:
        place = f"input.{error.param}" if error.param else "input"
        raise InvalidRequest(f"input must be {_KINDS}", param=place) from None
    return read if kind in (list[str], list[list[_Token]]) else [read]
