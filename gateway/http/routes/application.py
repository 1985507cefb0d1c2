"""The free routes of the protocols, as one FastAPI application with our own error envelopes.

The framework costs a third of a second and 10 MiB: only `routes.free` imports this, and late.
"""

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.core.contact import name_contact
from gateway.core.errors import (
    FaregateError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    UpgradeRefused,
)
from gateway.core.statement import PeriodError
from gateway.dialects.errors import error_body, error_headers, status_for
from gateway.http.entrance import FREE_REQUEST, FreeRequest
from gateway.http.paths import BASES, family_of
from gateway.http.routes import anthropic, openai
from gateway.http.routes.account_services import AccountServices
from gateway.http.routes.services import FreeServices


def protocol_app(services: FreeServices | None) -> FastAPI:
    """The application; without services it only has its routes, to be looked at."""
    routers = [(base, openai.router) for base in BASES["openai"]]
    routers += [(base, anthropic.router) for base in BASES["anthropic"]]
    return application(services, routers)


def application(
    services: AccountServices | None, routers: Iterable[tuple[str, APIRouter]]
) -> FastAPI:
    """Routers, each below its base, in an application that answers errors as we do."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.services = services
    for base, router in routers:
        app.include_router(router, prefix=base)
    app.add_exception_handler(FaregateError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(PeriodError, _answer)
    app.add_exception_handler(Exception, _answer)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    family = family_of(request.url.path)
    known = _translate(request, error)
    services: AccountServices = request.app.state.services
    name_contact(known, services.console.contact)
    free: FreeRequest = request.scope[FREE_REQUEST]
    body = error_body(known, family, free.request_id)
    response = Response(body, status_for(known, family), media_type="application/json")
    response.raw_headers.extend(error_headers(known, family))
    if isinstance(known, UpgradeRefused):
        response.raw_headers += [(b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade")]
    return response


def _translate(request: Request, error: Exception) -> FaregateError:
    if isinstance(error, FaregateError):
        return error
    if isinstance(error, PeriodError):
        return InvalidRequest(str(error), param=error.parameter)
    method, path = request.method, request.url.path[:256]
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return InvalidRequest(str(first["msg"]), param=str(first["loc"][-1]))
    free: FreeRequest = request.scope[FREE_REQUEST]
    # The offer itself does not get this far; a handshake has this member too (RFC 6455, 4.1).
    if free.is_charged and "sec-websocket-version" in request.headers:
        return UpgradeRefused(f"{path} is served over HTTP only")
    if isinstance(error, HTTPException) and (free.is_charged or error.status_code == 405):
        return MethodNotAllowed(f"{method} is not a method of {path}")
    if isinstance(error, HTTPException) and error.status_code < 500:
        return NotFound(f"there is no {method} {path}")
    return InternalError("internal error")
