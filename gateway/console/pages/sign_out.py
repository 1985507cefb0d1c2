"""`/console/sign-out` and `/console/signed-out`: the end of a session, and the page after it."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import Console, SignedIn, Vouching
from gateway.console.pages.identity import page_of_sign_out
from gateway.console.rendering import render
from gateway.console.sign_ins import signed_out_response
from gateway.store.sign_outs import end_session

router = APIRouter()


@router.post("/sign-out")
async def sign_out(session: SignedIn, console: Console, parties: Vouching) -> Response:
    await console.run(end_session, session.found.id, session.principal.actor)
    there = await page_of_sign_out(console, parties.issuer, session.found.id_token)
    if there is None and parties.proxy is not None:
        there = parties.proxy.settings.sign_out_url
    response = signed_out_response(console, there)
    # Not its cookies: other servers on this host have some, too.
    response.headers["clear-site-data"] = '"cache", "storage"'
    return response


@router.get("/signed-out")
async def signed_out(request: Request) -> Response:
    return render(request, "signed_out.html")
