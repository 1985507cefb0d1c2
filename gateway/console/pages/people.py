"""`/console/people`: people who have signed in, with their accounts, sessions and keys."""

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from gateway.console.page_request import Page, PageRequest, PersonPage
from gateway.console.rendering import redirect
from gateway.console.services import ConsoleServices
from gateway.console.site import BASE
from gateway.core.digits import whole_number
from gateway.core.principal import AccountSet
from gateway.store.people_list import PersonLine, list_people, live_keys_of
from gateway.store.sign_outs import end_sessions_of
from gateway.store.suspending import suspend_keys

router = APIRouter()


@router.get("/people")
async def show_people(page: Page) -> Response:
    after, idle = whole_number(page.query.get("after", "")), page.console.spec.sessions.idle
    people, has_more = await page.ask(list_people, page.wide_reach(), after=after, idle=idle)
    return page.render(
        "people.html",
        people=people,
        **page.pages("/people", after, people[-1].id if has_more else None),
        may_stop=bool(_stopping(page).namespaces) and not page.session.is_key,
        may_bind=may_bind(page),
        issuers=issuers(page.console),
    )


@router.post("/people/{person}/end-sessions")
async def end_sessions(page: PersonPage, person: str) -> Response:
    await page.run(end_sessions_of, await _find(page, person), page.actor)
    return redirect(f"{BASE}/people?done=ended")


@router.post("/people/{person}/suspend-keys")
async def suspend(page: PersonPage, person: str) -> Response:
    """Suspend the person's keys in the accounts where the one who asks may do so."""
    person_id = await _find(page, person)
    found = await page.ask(live_keys_of, _stopping(page), person_id)
    await page.ask(suspend_keys, found, page.actor)
    return redirect(f"{BASE}/people?done=suspended-all")


def issuers(console: ConsoleServices) -> list[str]:
    """Those who vouch for people that an account can be given to."""
    spec = console.spec
    return [each.issuer for each in (spec.oidc, spec.proxy) if each is not None]


def may_bind(page: PageRequest) -> bool:
    """True for a person who may give accounts of some namespace, where people can come."""
    may = bool(binding_reach(page).namespaces and issuers(page.console))
    return may and not page.session.is_key


def binding_reach(page: PageRequest) -> AccountSet:
    """The accounts that this person may give and take, of whole namespaces."""
    return AccountSet(page.principal.reach("bind").namespaces)


async def find_person_in_reach(
    page: PageRequest, reach: AccountSet, person: str
) -> PersonLine | None:
    """A person who is bound in reach, by the number of its row."""
    person_id = whole_number(person)
    if person_id is None:
        return None
    found, _ = await page.ask(list_people, reach, after=person_id + 1, limit=1)
    return found[0] if found and found[0].id == person_id else None


def _stopping(page: PageRequest) -> AccountSet:
    """The accounts whose keys this person may stop, of whole namespaces."""
    return AccountSet(page.principal.reach("stop").namespaces)


async def _find(page: PageRequest, person: str) -> int:
    """A person whose accounts this one looks after. Raises `HTTPException`."""
    page.wide_reach()
    found = await find_person_in_reach(page, _stopping(page), person)
    if found is None:
        raise HTTPException(404)
    return found.id
