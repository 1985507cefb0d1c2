"""`/console/settings`: the person, their sessions, the language and the clock of the pages."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.console.access import Console, PersonSignedIn, SignedIn
from gateway.console.language import CLOCK_COOKIE, LANGUAGE_COOKIE, LANGUAGES
from gateway.console.rendering import redirect
from gateway.console.sign_ins import signed_out_response
from gateway.console.site import BASE
from gateway.console.viewed import render_page
from gateway.core.digits import whole_number
from gateway.store.sign_ins import list_sessions
from gateway.store.sign_outs import end_sessions_of

router = APIRouter()

_YEAR_SECONDS = 365 * 24 * 3600


@router.get("/settings")
async def show_settings(request: Request, session: SignedIn, console: Console) -> Response:
    person_id = session.found.person_id
    sessions = []
    if person_id is not None:
        sessions = await console.run(list_sessions, person_id, console.spec.sessions.idle)
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    return render_page(
        request,
        "settings.html",
        session,
        None,
        sessions=sessions,
        chosen_language=chosen if chosen in LANGUAGES else "",
    )


@router.post("/settings")
async def save_settings(request: Request, session: SignedIn, console: Console) -> Response:
    given = await request.form()
    response = redirect(f"{BASE}/settings?done=settings")
    chosen = {LANGUAGE_COOKIE: LANGUAGES, CLOCK_COOKIE: ("local",)}
    for cookie, known in chosen.items():
        value = str(given.get(cookie.removeprefix("faregate-"), ""))
        # The looks of pages only, so the names are plain ones.
        response.set_cookie(
            cookie,
            value if value in known else "",
            max_age=_YEAR_SECONDS if value in known else 0,
            path=BASE,
            secure=console.site.is_secure,
            httponly=True,
            samesite="lax",
        )
    return response


@router.post("/settings/sessions")
async def end_own_sessions(request: Request, session: PersonSignedIn, console: Console) -> Response:
    """End one session of one's own, or all with this one."""
    given = str((await request.form()).get("session", ""))
    person_id, actor = session.found.person_id, session.principal.actor
    assert person_id is not None, "a person has signed in"
    if given:
        await console.run(end_sessions_of, person_id, actor, whole_number(given) or 0)
        return redirect(f"{BASE}/settings?done=ended")
    await console.run(end_sessions_of, person_id, actor)
    return signed_out_response(console)
