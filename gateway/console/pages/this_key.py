"""`/console/this-key`: what an API key that has signed in may do: end itself."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.access import Console, SignedIn
from gateway.console.rendering import render
from gateway.console.session import Session
from gateway.console.sign_ins import signed_out_response
from gateway.core.actor import Actor
from gateway.store.keys import revoke_key
from gateway.store.sign_outs import end_session

router = APIRouter()


async def key_signed_in(session: SignedIn) -> Session:
    """The session of an API key. Raises `HTTPException` for a person."""
    if not session.is_key:
        raise HTTPException(404)
    return session


KeySignedIn = Annotated[Session, Depends(key_signed_in)]


@router.get("/this-key")
async def show_key(request: Request, session: KeySignedIn) -> Response:
    return render(request, "this_key.html", session=session, account=session.own_accounts[0])


@router.post("/this-key/revoke")
async def revoke_this_key(session: KeySignedIn, console: Console) -> Response:
    found = session.found
    assert found.key_row is not None, "that is what it is"
    await console.run(revoke_key, found.key_row, Actor(f"key {found.key_id}"))
    await console.run(end_session, found.id, session.principal.actor)
    return signed_out_response(console)
