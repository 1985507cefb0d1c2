"""The free routes of the OpenAI-compatible family: models, stored responses and token counting."""

from typing import Any, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

from gateway.core.catalog import Model
from gateway.core.errors import ModelNotFound
from gateway.dialects.responses.stored_responses import (
    INPUT_ITEMS_DEFAULT,
    input_items,
    remove,
    retrieve,
)
from gateway.http.routes.access import AuthenticatedKey, ProtocolServices
from gateway.http.routes.bodies import whole_body

router = APIRouter()

#: models have no birthday here; clients only want a number
_CREATED = 1_700_000_000


@router.get("/models")
async def list_models(key: AuthenticatedKey, services: ProtocolServices) -> dict[str, Any]:
    """OpenAI "List models": the models that the key may use."""
    models = [_shape(model.id, model) for model in services.catalog.models if key.may_see(model.id)]
    return {"object": "list", "data": models}


@router.get("/models/{name:path}")
async def show_model(
    name: str, key: AuthenticatedKey, services: ProtocolServices
) -> dict[str, Any]:
    """OpenAI "Retrieve model"; an alias answers by its own name."""
    name = unquote(name)
    model = services.catalog.find(name)
    if model is None or not key.may_see(model.id):
        raise ModelNotFound(f"The model '{name[:256]}' does not exist", param="model")
    return _shape(name, model)


@router.post("/responses/input_tokens")
async def count(
    request: Request, response: Response, key: AuthenticatedKey, services: ProtocolServices
) -> dict[str, Any]:
    """OpenAI "Get input token counts"; a header names the counter."""
    async with whole_body(request, services, key.caller.holder) as body:
        tokens = await services.counting.count_response(body, key)
    response.raw_headers.append(tokens.header)
    return {"object": "response.input_tokens", "input_tokens": tokens.count}


@router.get("/responses/{response_id}")
async def show_response(
    response_id: str, key: AuthenticatedKey, services: ProtocolServices
) -> Response:
    """OpenAI "Get a model response"."""
    return _json(await retrieve(services.responses, key.caller, response_id))


@router.delete("/responses/{response_id}")
async def delete_response(
    response_id: str, key: AuthenticatedKey, services: ProtocolServices
) -> Response:
    """OpenAI "Delete a model response"."""
    return _json(await remove(services.responses, key.caller, response_id))


@router.get("/responses/{response_id}/input_items")
async def list_input_items(
    response_id: str,
    key: AuthenticatedKey,
    services: ProtocolServices,
    limit: int = INPUT_ITEMS_DEFAULT,
    order: Literal["asc", "desc"] = "desc",
    after: str | None = None,
) -> Response:
    """OpenAI "List input items"."""
    page = await input_items(
        services.responses, key.caller, response_id, limit=limit, order=order, after=after
    )
    return _json(page)


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
