"""`/console/start/{code}`: a one-time link. Looking at it does not use it up, its button does.

A preview of the link, or a browser that fetches ahead, must not sign anybody in. Afterwards the
code is not in the address any more.
"""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import Console, PerhapsSignedIn
from gateway.console.rendering import render
from gateway.console.sign_ins import log_try, origin_of, refuse, signed_in_response
from gateway.store.sign_ins import begin_by_link

router = APIRouter()

_CODE_CHARACTERS_MAX = 64


@router.get("/start/{code}")
async def show_link(request: Request, code: str) -> Response:
    return render(request, "start.html", code=code)


@router.post("/start/{code}")
async def use_link(request: Request, code: str, console: Console, old: PerhapsSignedIn) -> Response:
    begun, origin = None, origin_of(request, "link")
    if len(code) <= _CODE_CHARACTERS_MAX and code.isascii():
        begun = await console.run(
            begin_by_link, console.installation, code, origin.network, console.spec.sessions
        )
    if begun is None:
        await refuse(request, origin, "the link is unknown, used or over")
        return render(request, "link_over.html", status=410)
    log_try("signed in", origin.way)
    return await signed_in_response(console, old, begun, "")
