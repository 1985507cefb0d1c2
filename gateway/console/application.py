"""The console as one FastAPI application: its pages, its headers, its errors.

Slow to load: only `mount` imports this, with the first request for a page.
"""

import logging

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console import static_files
from gateway.console.access import FormOver, SignInNeeded, checked_origin
from gateway.console.headers import SecurityHeaders
from gateway.console.pages import (
    accounts,
    bindings,
    events,
    grants,
    identity,
    key,
    keys,
    ledger,
    overview,
    people,
    settings,
    setup,
    sign_in,
    sign_out,
    start,
    this_key,
    usage,
)
from gateway.console.parties import Parties
from gateway.console.rendering import problem_of, redirect, render, words
from gateway.console.services import ConsoleServices
from gateway.console.site import BASE
from gateway.console.viewed import NoAccount
from gateway.core.errors import FaregateError
from gateway.http.entrance import FREE_REQUEST, Application, FreeRequest

_log = logging.getLogger(__name__)

#: every page
PAGES = (
    *(start, sign_in, sign_out, this_key, overview, keys, key, usage, ledger, setup, settings),
    *(accounts, grants, people, bindings, events),
)


def console_app(services: ConsoleServices) -> Application:
    """The application, with its headers around it."""
    app = routed_app(services)
    app.state.parties = parties = Parties(services)
    return SecurityHeaders(app, services.site, parties.form_targets)


def routed_app(services: ConsoleServices | None) -> FastAPI:
    """The application; without services it only has its routes, to be looked at."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.state.services = services
    app.include_router(static_files.router, prefix=BASE)
    app.include_router(identity.router, prefix=BASE)
    for page in PAGES:
        app.include_router(page.router, prefix=BASE, dependencies=[Depends(checked_origin)])
    app.add_exception_handler(SignInNeeded, _to_sign_in)
    app.add_exception_handler(FormOver, _form_again)
    app.add_exception_handler(NoAccount, _without_account)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(FaregateError, _answer)
    app.add_exception_handler(RequestValidationError, _answer)
    app.add_exception_handler(Exception, _answer)
    return app


async def _to_sign_in(request: Request, error: Exception) -> Response:
    assert isinstance(error, SignInNeeded)
    return redirect(error.location)


async def _form_again(request: Request, error: Exception) -> Response:
    assert isinstance(error, FormOver)
    return render(
        request,
        "form_over.html",
        session=error.session,
        status=403,
        query=request.url.query,
        fields=error.fields,
        entries=error.entries,
    )


async def _without_account(request: Request, error: Exception) -> Response:
    assert isinstance(error, NoAccount)
    return render(
        request,
        "no_account.html",
        session=error.session,
        status=403,
        identity=error.session.identity,
        groups=[],
        lost=0,
        contact=request.app.state.services.spec.contact,
    )


async def _answer(request: Request, error: Exception) -> Response:
    """A page that names the error; it needs neither a session nor the database."""
    status, sentence, headers = 500, "", {}
    if isinstance(error, FaregateError):
        status, sentence = error.status, problem_of(request, error)
        if error.retry_after_seconds is not None:
            headers["retry-after"] = f"{error.retry_after_seconds:.0f}"
    elif isinstance(error, RequestValidationError):
        status = 400
    elif isinstance(error, HTTPException):
        status = error.status_code
        if error.detail and error.status_code in (403, 409, 421):
            sentence = words(request)(error.detail)
        headers = dict(error.headers or {})
    free: FreeRequest = request.scope[FREE_REQUEST]
    response = render(
        request,
        "error.html",
        status=status,
        status_code=status,
        sentence=sentence,
        request_id=free.request_id,
    )
    response.headers.update(headers)
    return response
