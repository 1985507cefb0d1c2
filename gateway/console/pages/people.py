"""`/console/people`: people who have signed in, with their accounts, sessions and keys."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.access import Console, PersonSignedIn, SignedIn
from gateway.console.pages.accounts import wide_reach
from gateway.console.rendering import redirect
from gateway.console.services import ConsoleServices
from gateway.console.session import Session
from gateway.console.site import BASE
from gateway.console.viewed import NO_ACCOUNT, render_page
from gateway.core.digits import whole_number
from gateway.core.principal import AccountSet
from gateway.store.people_list import PersonLine, list_people, live_keys_of
from gateway.store.sign_outs import end_sessions_of
from gateway.store.suspending import suspend_keys

router = APIRouter()


@router.get("/people")
async def show_people(request: Request, session: SignedIn, console: Console) -> Response:
    reach, after = wide_reach(session), whole_number(request.query_params.get("after", ""))
    people, has_more = await console.run(
        list_people, console.installation, reach, after=after, idle=console.spec.sessions.idle
    )
    return render_page(
        request,
        "people.html",
        session,
        None,
        people=people,
        newest=NO_ACCOUNT.at("/people") if after else None,
        older=NO_ACCOUNT.at("/people", after=people[-1].id) if has_more else None,
        may_stop=bool(_stopping(session).namespaces) and not session.is_key,
        may_bind=may_bind(session, console),
        issuers=issuers(console),
    )


@router.post("/people/{person}/end-sessions")
async def end_sessions(session: PersonSignedIn, console: Console, person: str) -> Response:
    person_id = await _find(session, console, person)
    await console.run(end_sessions_of, person_id, session.principal.actor)
    return redirect(f"{BASE}/people?done=ended")


@router.post("/people/{person}/suspend-keys")
async def suspend(session: PersonSignedIn, console: Console, person: str) -> Response:
    """Suspend the person's keys in the accounts where the one who asks may do so."""
    person_id = await _find(session, console, person)
    reach = _stopping(session)
    found = await console.run(live_keys_of, console.installation, reach, person_id)
    await console.run(suspend_keys, console.installation, found, session.principal.actor)
    return redirect(f"{BASE}/people?done=suspended-all")


def issuers(console: ConsoleServices) -> list[str]:
    """Those who vouch for people that an account can be given to."""
    spec = console.spec
    return [each.issuer for each in (spec.oidc, spec.proxy) if each is not None]


def may_bind(session: Session, console: ConsoleServices) -> bool:
    """True for a person who may give accounts of some namespace, where people can come."""
    return bool(binding_reach(session).namespaces and issuers(console)) and not session.is_key


def binding_reach(session: Session) -> AccountSet:
    """The accounts that this person may give and take, of whole namespaces."""
    return AccountSet(session.principal.reach("bind").namespaces)


async def find_person_in_reach(
    console: ConsoleServices, reach: AccountSet, person: str
) -> PersonLine | None:
    """A person who is bound in reach, by the number of its row."""
    person_id = whole_number(person)
    if person_id is None:
        return None
    found, _ = await console.run(
        list_people, console.installation, reach, after=person_id + 1, limit=1
    )
    return found[0] if found and found[0].id == person_id else None


def _stopping(session: Session) -> AccountSet:
    """The accounts whose keys this person may stop, of whole namespaces."""
    return AccountSet(session.principal.reach("stop").namespaces)


async def _find(session: Session, console: Console, person: str) -> int:
    """A person whose accounts this one looks after. Raises `HTTPException`."""
    wide_reach(session)
    found = await find_person_in_reach(console, _stopping(session), person)
    if found is None:
        raise HTTPException(404)
    return found.id
