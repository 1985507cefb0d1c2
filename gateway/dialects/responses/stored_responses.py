"""Stored responses: the port to their store, and the free routes that read them.

A stored response holds its whole input, what it inherited included, so that one look-up gives the
context of the next. Must never reveal to an account whether another account has an id. Source:
OpenAI API reference, "Get a model response", "Delete", "List input items".
"""

import re
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import Raw, Struct

from gateway.core.errors import InvalidRequest, NotFound
from gateway.dialects.base import Caller
from gateway.dialects.json import encode_part
from gateway.dialects.responses.history_reader import kind_of
from gateway.dialects.responses.types import Object

INPUT_ITEMS_DEFAULT = 20
INPUT_ITEMS_MAX = 100


class StoredResponse(Struct, frozen=True):
    """One response with its context: `input` are raw items, `response` is the raw object.

    `created` and `expires` are in Unix seconds; `expires` is set by the store.
    """

    id: str
    input: list[Raw]
    response: Raw
    created: int
    expires: int = 0

    @property
    def output(self) -> list[Raw]:
        """The raw output items."""
        return _RESPONSE_OUTPUT.decode(self.response).output

    @property
    def context(self) -> list[Object]:
        """Input and output: what a response that follows this one inherits."""
        return [_OBJECT.decode(item) for item in (*self.input, *self.output)]


class ResponseState(Protocol):
    """Keeps responses of accounts. A response of another account is reported as missing."""

    #: a response whose JSON, input included, is larger cannot be kept
    bytes_max: int

    async def get(self, caller: Caller, response_id: str) -> StoredResponse | None:
        """Raises `DatabaseUnavailable`, and here and below `RateLimited` and `Overloaded` where
        too much is asked at once."""

    async def items(
        self, caller: Caller, item_ids: Sequence[str], bytes_max: int
    ) -> dict[str, Raw]:
        """The raw output items of these ids, as far as there are any.

        Raises `RequestTooLarge` where they have more than `bytes_max` together, and
        `DatabaseUnavailable`.
        """

    async def save(self, caller: Caller, stored: StoredResponse) -> bool:
        """Keep it; returns whether it is kept now, and never raises for the database's sake."""

    async def delete(self, caller: Caller, response_id: str) -> bool:
        """Delete it; returns whether it was there. Raises `DatabaseUnavailable`."""


class _ResponseOutput(Struct):
    output: list[Raw]


class _Identified(Struct):
    id: str = ""


_RESPONSE_OUTPUT = msgspec.json.Decoder(_ResponseOutput)
_OBJECT = msgspec.json.Decoder(Object)
_ITEMS = msgspec.json.Decoder(list[Raw])
_IDENTIFIED = msgspec.json.Decoder(_Identified)
_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def is_an_id(text: str) -> bool:
    """True if a response or an item may have this id; a database must not be asked for others."""
    return _ID.fullmatch(text) is not None


async def look_up(
    state: ResponseState | None, caller: Caller, response_id: str
) -> StoredResponse | None:
    """A stored response, or None. Raises `DatabaseUnavailable`."""
    if state is None or not is_an_id(response_id):
        return None
    return await state.get(caller, response_id)


def id_of(item: Raw) -> str:
    """The id of a raw item."""
    return _IDENTIFIED.decode(item).id


def stored_input(context: Sequence[Object], tail: str, bytes_max: int) -> list[Raw] | None:
    """The context as it is stored: every item has a type and an id, which ends in `tail`.

    None where it cannot be stored: it is larger than `bytes_max`, or nested too deeply.
    """
    items = [_stored_item(item, f"{tail}_in{index}") for index, item in enumerate(context)]
    try:
        encoded = encode_part(items)
    except InvalidRequest:
        return None
    return None if len(encoded) > bytes_max else _ITEMS.decode(encoded)


def _stored_item(item: Object, tail: str) -> Object:
    kind = kind_of(item) or "item"
    stored = {"id": None, "type": kind, **item}
    if not stored["id"] or not isinstance(stored["id"], str):
        stored["id"] = f"{'msg' if kind == 'message' else 'item'}_{tail}"
    content = item.get("content")
    if kind == "message" and isinstance(content, str):
        part = "output_text" if item.get("role") == "assistant" else "input_text"
        stored["content"] = [{"type": part, "text": content}]
    return stored


async def retrieve(state: ResponseState | None, caller: Caller, response_id: str) -> bytes:
    """The response object. Raises `NotFound`."""
    return bytes((await _find(state, caller, response_id)).response)


async def input_items(
    state: ResponseState | None,
    caller: Caller,
    response_id: str,
    *,
    limit: int = INPUT_ITEMS_DEFAULT,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> bytes:
    """One page of a response's input, newest first unless `order` is another.

    Raises `NotFound`, and `InvalidRequest` for a page that there cannot be.
    """
    if not 1 <= limit <= INPUT_ITEMS_MAX:
        raise InvalidRequest(
            f"Invalid 'limit': expected an integer from 1 to {INPUT_ITEMS_MAX}.", param="limit"
        )
    if order not in ("asc", "desc"):
        raise InvalidRequest("Invalid 'order': expected 'asc' or 'desc'.", param="order")
    stored = await _find(state, caller, response_id)
    items = stored.input if order == "asc" else stored.input[::-1]
    start = 0
    if after is not None:
        ids = [id_of(item) for item in items]
        if after not in ids:
            raise InvalidRequest(f"Item with id '{after[:256]}' not found.", param="after")
        start = ids.index(after) + 1
    page = items[start : start + limit]
    return msgspec.json.encode(
        {
            "object": "list",
            "data": page,
            "first_id": id_of(page[0]) if page else None,
            "last_id": id_of(page[-1]) if page else None,
            "has_more": start + limit < len(items),
        }
    )


async def remove(state: ResponseState | None, caller: Caller, response_id: str) -> bytes:
    """Delete a response with its items. Raises `NotFound`."""
    if state is None or not is_an_id(response_id) or not await state.delete(caller, response_id):
        raise _not_found(response_id)
    return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})


async def _find(state: ResponseState | None, caller: Caller, response_id: str) -> StoredResponse:
    stored = await look_up(state, caller, response_id)
    if stored is None:
        raise _not_found(response_id)
    return stored


def _not_found(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{response_id[:256]}' not found.", param="id")
