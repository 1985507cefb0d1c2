"""`/console/sign-out` and `/console/signed-out`: the end of a session, and the page after it."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import Console, SignedIn
from gateway.console.cookies import forget_session
from gateway.console.rendering import redirect, render
from gateway.console.site import BASE
from gateway.store.sign_ins import end_session

router = APIRouter()


@router.post("/sign-out")
async def sign_out(session: SignedIn, console: Console) -> Response:
    await console.run(end_session, session.found.id)
    response = redirect(f"{BASE}/signed-out")
    forget_session(response, console.site)
    # Not its cookies: other servers on this host have some, too.
    response.headers["clear-site-data"] = '"cache", "storage"'
    return response


@router.get("/signed-out")
async def signed_out(request: Request) -> Response:
    return render(request, "signed_out.html")
