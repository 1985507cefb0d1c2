"""`/console/settings`: the person, their sessions, the language and the clock of the pages."""

from fastapi import APIRouter
from fastapi.responses import Response

from gateway.console.language import CLOCK_COOKIE, LANGUAGE_COOKIE, LANGUAGES
from gateway.console.page_request import Page, PersonPage
from gateway.console.rendering import redirect
from gateway.console.sign_ins import signed_out_response
from gateway.console.site import BASE
from gateway.core.digits import whole_number
from gateway.store.sign_ins import list_sessions
from gateway.store.sign_outs import end_sessions_of

router = APIRouter()

_YEAR_SECONDS = 365 * 24 * 3600


@router.get("/settings")
async def show_settings(page: Page) -> Response:
    person_id = page.session.found.person_id
    sessions = []
    if person_id is not None:
        sessions = await page.run(list_sessions, person_id, page.console.spec.sessions.idle)
    chosen = page.request.cookies.get(LANGUAGE_COOKIE, "")
    chosen = chosen if chosen in LANGUAGES else ""
    return page.render("settings.html", sessions=sessions, chosen_language=chosen)


@router.post("/settings")
async def save_settings(page: Page) -> Response:
    given = await page.request.form()
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
            secure=page.console.site.is_secure,
            httponly=True,
            samesite="lax",
        )
    return response


@router.post("/settings/sessions")
async def end_own_sessions(page: PersonPage) -> Response:
    """End one session of one's own, or all with this one."""
    given = str((await page.request.form()).get("session", ""))
    person_id = page.session.found.person_id
    assert person_id is not None, "a person has signed in"
    if given:
        await page.run(end_sessions_of, person_id, page.actor, whole_number(given) or 0)
        return redirect(f"{BASE}/settings?done=ended")
    await page.run(end_sessions_of, person_id, page.actor)
    return signed_out_response(page.console)
