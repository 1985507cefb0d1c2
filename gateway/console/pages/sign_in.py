"""`/console/sign-in`: the ways in that there are."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import PerhapsSignedIn, safe_next
from gateway.console.rendering import redirect, render

router = APIRouter()


@router.get("/sign-in")
async def show_sign_in(request: Request, session: PerhapsSignedIn, next: str = "") -> Response:
    if session is not None:
        return redirect(safe_next(next))
    return render(request, "sign_in.html")
