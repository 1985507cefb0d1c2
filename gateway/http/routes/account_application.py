"""The pages of accounts below `/api/v1`, as a FastAPI application of their own.

They read by SQLModel, which few replicas ever need: only `routes.free` imports this, with the first
request for one of them.
"""

from fastapi import FastAPI

from gateway.http.routes import account, entries, events, statement, usage
from gateway.http.routes.application import application
from gateway.http.routes.services import FreeServices

BASE = "/api/v1"


def account_app(services: FreeServices | None) -> FastAPI:
    """The application; without services it only has its routes, to be looked at."""
    routers = (account.router, entries.router, events.router, statement.router, usage.router)
    return application(services, [(BASE, router) for router in routers])
