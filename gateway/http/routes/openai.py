"""The free routes of the OpenAI-compatible family: models, stored responses and token counting."""

from typing import Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

from gateway.core.catalog import Catalog, Model
from gateway.core.errors import ModelNotFound
from gateway.dialects.responses.stored_responses import (
    INPUT_ITEMS_DEFAULT,
    ResponseState,
    input_items,
    remove,
    retrieve,
)
from gateway.http.routes.access import AuthenticatedKey
from gateway.http.routes.bodies import whole_body
from gateway.http.routes.token_counting import Counting

router = APIRouter()

#: models have no birthday here; clients only want a number
_CREATED = 1_700_000_000


@router.get("/models")
async def list_models(request: Request, key: AuthenticatedKey) -> dict[str, Any]:
    """OpenAI "List models": the models that the key may use."""
    catalog: Catalog = request.app.state.catalog
    models = [_shape(model.id, model) for model in catalog.models if key.may_see(model.id)]
    return {"object": "list", "data": models}


@router.get("/models/{name:path}")
async def show_model(name: str, request: Request, key: AuthenticatedKey) -> dict[str, Any]:
    """OpenAI "Retrieve model"; an alias answers by its own name."""
    catalog: Catalog = request.app.state.catalog
    name = unquote(name)
    model = catalog.find(name)
    if model is None or not key.may_see(model.id):
        raise ModelNotFound(f"The model '{name[:256]}' does not exist", param="model")
    return _shape(name, model)


@router.post("/responses/input_tokens")
async def count(request: Request, response: Response, key: AuthenticatedKey) -> dict[str, Any]:
    """OpenAI "Get input token counts"; a header says who counted."""
    counting: Counting = request.app.state.counting
    async with whole_body(request, key) as body:
        tokens = await counting.count_response(body, key)
    response.raw_headers.append(tokens.header)
    return {"object": "response.input_tokens", "input_tokens": tokens.count}


@router.get("/responses/{response_id}")
async def show_response(response_id: str, request: Request, key: AuthenticatedKey) -> Response:
    """OpenAI "Get a model response"."""
    return _json(await retrieve(_state(request), key.caller, response_id))


@router.delete("/responses/{response_id}")
async def delete_response(response_id: str, request: Request, key: AuthenticatedKey) -> Response:
    """OpenAI "Delete a model response"."""
    return _json(await remove(_state(request), key.caller, response_id))


@router.get("/responses/{response_id}/input_items")
async def list_input_items(
    response_id: str,
    request: Request,
    key: AuthenticatedKey,
    limit: int = INPUT_ITEMS_DEFAULT,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> Response:
    """OpenAI "List input items"."""
    state = _state(request)
    page = await input_items(state, key.caller, response_id, limit=limit, order=order, after=after)
    return _json(page)


def _state(request: Request) -> ResponseState | None:
    state: ResponseState | None = request.app.state.responses
    return state


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


def _shape(name: str, model: Model) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "id": name,
        "object": "model",
        "created": _CREATED,
        "owned_by": "faregate",
    }
    if model.context_window is not None:
        shape["context_length"] = model.context_window
    return shape
