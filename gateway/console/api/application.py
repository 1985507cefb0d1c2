"""The JSON of `/api/v1`, as a FastAPI application of its own.

It reads by SQLModel, which few replicas ever need: only `routes.free` has this made, with the first
request for one of its routes.
"""

from typing import Any

from fastapi import APIRouter, FastAPI, Request

from gateway.console.api import accounts, grants, keys
from gateway.http.routes import account, entries, events, statement, usage
from gateway.http.routes.access import AuthenticatedKey
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.application import application

BASE = "/api/v1"

description = APIRouter()


@description.get("/openapi.json", include_in_schema=False)
async def describe(request: Request, key: AuthenticatedKey) -> dict[str, Any]:
    """`/api/v1/openapi.json`: OpenAPI 3.1 of all routes, as they are served; for any key."""
    found: dict[str, Any] = request.app.openapi()
    return found


def account_app(services: AccountServices | None) -> FastAPI:
    """The application; without services it only has its routes, to be looked at."""
    routers = (
        account.router,
        accounts.router,
        description,
        entries.router,
        events.router,
        grants.router,
        keys.router,
        statement.router,
        usage.router,
    )
    return application(services, [(BASE, router) for router in routers])
