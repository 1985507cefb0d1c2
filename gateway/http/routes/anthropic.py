"""The free routes of the Anthropic-compatible family: models and token counting."""

from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

from gateway.core.catalog import Model
from gateway.core.errors import ModelNotFound
from gateway.http.routes.access import AuthenticatedKey, ProtocolServices
from gateway.http.routes.bodies import whole_body

router = APIRouter()

_CREATED_AT = "2023-11-14T22:13:20Z"


@router.get("/v1/models")
async def list_models(key: AuthenticatedKey, services: ProtocolServices) -> dict[str, Any]:
    """Anthropic "List Models": one page, the models that the key may use."""
    models = [
        _shape(model.id, model)
        for model in services.catalog.models
        if key.may_see(model.id) and not model.embeddings
    ]
    return {
        "data": models,
        "has_more": False,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }


@router.get("/v1/models/{name:path}")
async def show_model(
    name: str, key: AuthenticatedKey, services: ProtocolServices
) -> dict[str, Any]:
    """Anthropic "Get a Model"; an alias answers by its own name."""
    name = unquote(name)
    model = services.catalog.find(name)
    if model is None or not key.may_see(model.id):
        raise ModelNotFound(f"model: {name[:256]}", param="model")
    return _shape(name, model)


@router.post("/v1/messages/count_tokens")
async def count(
    request: Request, response: Response, key: AuthenticatedKey, services: ProtocolServices
) -> dict[str, int]:
    """Anthropic "Count Message tokens"; a header names the counter."""
    async with whole_body(request, services, key.caller.holder) as body:
        tokens = await services.counting.count_message(body, key)
    response.raw_headers.append(tokens.header)
    return {"input_tokens": tokens.count}


def _shape(name: str, model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": model.display_name,
        "created_at": _CREATED_AT,
        "lifecycle": "active",
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
        # Members that the SDKs' types require; nothing is known of them here.
        "capabilities": None,
        "deprecated_at": None,
        "line": None,
        "retires_at": None,
    }
