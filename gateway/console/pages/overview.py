"""`/console`: the first page."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import SignedIn
from gateway.console.rendering import render

router = APIRouter()


@router.get("")
async def overview(request: Request, session: SignedIn) -> Response:
    return render(request, "overview.html", session=session)
