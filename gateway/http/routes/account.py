"""`GET /api/v1/account`: what the key's account has, and what it pays."""

from typing import Any

from fastapi import APIRouter

from gateway.http.routes.access import AuthenticatedKey, Services
from gateway.store.account_statement import read_statement

router = APIRouter()


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
            "requests_per_minute": live.requests_per_minute,
            "concurrent_requests": live.concurrent_requests,
        },
        "prices": [
            {
                "model": model.id,
                "message": model.price.message,
                "reasoning_surcharge": model.price.surcharge,
            }
            for model in services.catalog.models
            if key.may_see(model.id)
        ],
        **statement,
    }
