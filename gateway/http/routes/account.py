"""`/api/v1`: the balance, the prices and the charged requests of the key's account."""

import re
from typing import Any

from fastapi import APIRouter

from gateway.core.errors import NotFound
from gateway.core.prices import Price
from gateway.http.routes.access import AuthenticatedKey, Services
from gateway.http.routes.asked_account import AskedAccount
from gateway.store.account_statement import read_request, read_statement

router = APIRouter()

#: a database must not be asked for other texts
_REQUEST_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@router.get("/account")
async def show_account(key: AuthenticatedKey, services: Services) -> dict[str, Any]:
    """Balance, prices, the key's limits and the last entries of its account."""
    live = key.live
    statement = await services.reads.read(
        key.caller.holder, read_statement, live.account_id, live.id
    )
    return {
        "object": "account",
        "account": live.account,
        "key": {"name": live.name, "key_id": live.key_id},
        "limits": {
            "models": list(live.models),
            "credits_per_day": live.credits_per_day,
            "credits_per_month": live.credits_per_month,
            "credits": live.credits,
            "requests_per_minute": live.requests_per_minute,
            "concurrent_requests": live.concurrent_requests,
        },
        "prices": [
            {"model": model.id, **shown_price(model.price)}
            for model in services.catalog.models
            if key.may_see(model.id)
        ],
        **statement,
    }


@router.get("/models")
async def list_models(key: AuthenticatedKey, services: Services) -> dict[str, Any]:
    """The models that the key may use: names, purpose, prices, limits."""
    found = [
        {
            "object": "model",
            "id": model.id,
            "display_name": model.display_name,
            "context_window": model.context_window,
            "max_output_tokens": model.max_output_tokens,
            "embeddings": model.embeddings,
            "price": shown_price(model.price),
        }
        for model in services.catalog.models
        if key.may_see(model.id)
    ]
    return {"object": "list", "data": found, "has_more": False, "last_id": None}


@router.get("/entries/{request_id}")
async def show_request(
    request_id: str, account: AskedAccount, services: Services
) -> dict[str, Any]:
    """The charge of one request of an account, its refund, its key and its tokens."""
    found = None
    if _REQUEST_ID.fullmatch(request_id):
        found = await services.reads.read(account.holder, read_request, account.id, request_id)
    if found is None:
        raise NotFound(
            f"The account has no charged request '{request_id[:256]}'.", param="request_id"
        )
    return {"object": "request", "account": account.shown, **found}


def shown_price(price: Price) -> dict[str, Any]:
    """A price as clients read it."""
    return {
        "message": price.message,
        "reasoning_surcharge": price.surcharge,
        "rows": [
            {
                "from": rates.since,
                "above_prompt_tokens": rates.above,
                "input_per_million_tokens": rates.input,
                "cached_input_per_million_tokens": rates.cached,
                "cache_write_per_million_tokens": rates.cache_write,
                "cache_write_hour_per_million_tokens": rates.cache_write_hour,
                "output_per_million_tokens": rates.output,
                "per_image": rates.image,
            }
            for rates in price.rates
        ],
    }
