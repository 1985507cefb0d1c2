"""The free routes of the Anthropic-compatible family: models and token counting."""

from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

from gateway.core.catalog import Catalog, Model
from gateway.core.errors import ModelNotFound
from gateway.http.routes.access import AuthenticatedKey
from gateway.http.routes.bodies import whole_body
from gateway.http.routes.token_counting import Counting

router = APIRouter()

_CREATED_AT = "2023-11-14T22:13:20Z"


@router.get("/v1/models")
async def list_models(request: Request, key: AuthenticatedKey) -> dict[str, Any]:
    """Anthropic "List Models": one page, the models that the key may use."""
    catalog: Catalog = request.app.state.catalog
    models = [_shape(model.id, model) for model in catalog.models if key.may_see(model.id)]
    return {
        "data": models,
        "has_more": False,
        "first_id": models[0]["id"] if models else None,
        "last_id": models[-1]["id"] if models else None,
    }


@router.get("/v1/models/{name:path}")
async def show_model(name: str, request: Request, key: AuthenticatedKey) -> dict[str, Any]:
    """Anthropic "Get a Model"; an alias answers by its own name."""
    catalog: Catalog = request.app.state.catalog
    name = unquote(name)
    model = catalog.find(name)
    if model is None or not key.may_see(model.id):
        raise ModelNotFound(f"model: {name[:256]}", param="model")
    return _shape(name, model)


@router.post("/v1/messages/count_tokens")
async def count(request: Request, response: Response, key: AuthenticatedKey) -> dict[str, int]:
    """Anthropic "Count Message tokens"; a header says who counted."""
    counting: Counting = request.app.state.counting
    async with whole_body(request, key) as body:
        tokens = await counting.count_message(body, key)
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
