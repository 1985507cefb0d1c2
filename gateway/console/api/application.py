"""The JSON of `/api/v1`, as a FastAPI application of its own.

It reads by SQLModel, which few replicas ever need: only `routes.free` has this made, with the first
request for one of its routes.
"""

from fastapi import FastAPI

from gateway.console.api import accounts, description, grants, keys
from gateway.http.routes import account, entries, events, statement, usage
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.application import application

BASE = "/api/v1"


def account_app(services: AccountServices | None) -> FastAPI:
    """The application; without services it only has its routes, to be looked at."""
    routers = (
        account.router,
        accounts.router,
        description.router,
        entries.router,
        events.router,
        grants.router,
        keys.router,
        statement.router,
        usage.router,
    )
    return application(services, [(BASE, router) for router in routers])
