"""Every route but the charged ones, as one FastAPI application with our own error envelopes.

The framework costs a third of a second to load: only `routes.free` imports this, and late.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.core.errors import (
    FaregateError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)
from gateway.dialects.errors import error_body, error_headers, status_for
from gateway.http.entrance import ANTHROPIC_BASE, OPENAI_BASE, family_of
from gateway.http.routes import account, anthropic, openai


def free_app(**state: Any) -> FastAPI:
    """The application; `state` is what its routes read from `app.state`."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    for name, value in state.items():
        setattr(app.state, name, value)
    app.include_router(openai.router, prefix=OPENAI_BASE)
    app.include_router(anthropic.router, prefix=ANTHROPIC_BASE)
    # A base URL with a second /v1 is a frequent slip of SDK configurations.
    app.include_router(openai.router, prefix=f"{OPENAI_BASE}/v1")
    app.include_router(anthropic.router, prefix=f"{ANTHROPIC_BASE}/v1")
    app.include_router(account.router, prefix="/api/v1")
    app.add_exception_handler(FaregateError, _answer)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(Exception, _answer)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    family = family_of(request.url.path)
    known = _translate(request, error)
    body = error_body(known, family, request.scope["faregate.request_id"])
    response = Response(body, status_for(known, family), media_type="application/json")
    response.raw_headers.extend(error_headers(known, family))
    return response


def _translate(request: Request, error: Exception) -> FaregateError:
    if isinstance(error, FaregateError):
        return error
    method, path = request.method, request.url.path[:256]
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return InvalidRequest(str(first["msg"]), param=str(first["loc"][-1]))
    is_charged = "faregate.charged" in request.scope  # a POST route that is served in front
    if isinstance(error, HTTPException) and (is_charged or error.status_code == 405):
        return MethodNotAllowed(f"{method} is not a method of {path}")
    if isinstance(error, HTTPException) and error.status_code < 500:
        return NotFound(f"there is no {method} {path}")
    return InternalError("internal error")
