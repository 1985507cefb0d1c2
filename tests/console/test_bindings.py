"""Accounts that are given on *People*: by whom, to whom, and what comes of it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx

from gateway.console.services import ConsoleServices
from gateway.core.spec import parse_document
from gateway.store.change_log import read_all_changes
from gateway.store.database import Database
from gateway.store.grants import apply_grant
from tests.console.browser import token_of
from tests.console.vouching import (
    HEADERS,
    Documents,
    proxy,
    with_console,
    word_of,
)
from tests.harness.gateway import credit_grant

RULES = {
    "signup": False,
    "roles": [
        {"group": "leads", "namespaces": ["team"], "role": "manager"},
        {"group": "finance", "namespaces": ["*"], "role": "treasurer"},
        {"group": "audit", "namespaces": ["*"], "role": "auditor"},
        {"group": "staff", "namespaces": ["team"], "role": "member"},
    ],
}


class Person:
    """Somebody for whom the proxy vouches, in a browser of their own."""

    def __init__(self, client: httpx.AsyncClient, documents: Documents, name: str, *groups: str):
        self._client = client
        self._word = word_of(documents, sub=name, name=name, groups=list(groups))
        self._cookies: dict[str, str] = {}

    async def ask(self, path: str, fields: dict[str, str] | None = None) -> httpx.Response:
        """Get a page, or post a form with the token of this one's session."""
        self._client.cookies.clear()
        for name, value in self._cookies.items():
            self._client.cookies.set(name, value)
        if fields is None:
            answer = await self._client.get(path, headers=self._word)
        else:
            token = token_of(await self._client.get("/console/settings", headers=self._word))
            answer = await self._client.post(
                path, data={**fields, **token}, headers={**HEADERS, **self._word}
            )
        self._cookies = dict(self._client.cookies)
        return answer

    async def sign_in(self) -> int:
        return (await self.ask("/console/sign-in")).status_code


Act = Callable[[Callable[..., Person]], Awaitable[None]]


def browse(documents: Documents, url: str, act: Act) -> list[dict[str, Any]]:
    """Let people act in a console whose accounts are `team/alice` and `other/alice`; the events."""
    database = Database(url)
    for namespace in ("team", "other"):
        grant = credit_grant("one")
        grant["metadata"]["namespace"] = namespace
        apply_grant(database, "default", parse_document(grant))  # type: ignore[arg-type]

    async def run(client: httpx.AsyncClient, _: ConsoleServices) -> None:
        await act(partial(Person, client, documents))

    with_console(url, run, proxy=proxy(documents), **RULES)
    events = read_all_changes(database, "default", 100)
    database.close()
    return events


def test_a_manager_gives_an_account_and_takes_it_again(
    documents: Documents, url_of_database: str
) -> None:
    fields = {"issuer": documents.url, "subject": "nina", "account": "team/alice"}

    async def act(person: Callable[..., Person]) -> None:
        mia, nina = person("mia", "leads"), person("nina")
        assert await nina.sign_in() == 403, "nothing lets her in"
        await mia.sign_in()
        assert "nina" not in (await mia.ask("/console/people")).text
        given = await mia.ask("/console/people/bind", fields)
        assert given.headers["location"] == "/console/people?done=bound"
        assert await nina.sign_in() == 303
        assert "team/alice" in (await nina.ask("/console")).text
        assert (await nina.ask("/console/people")).status_code == 404
        people = (await mia.ask("/console/people")).text
        assert "nina" in people
        (path,) = {each for each in people.split('"') if "/unbind/" in each}
        assert "nina loses team/alice." in (await mia.ask(path)).text
        taken = await mia.ask(path, {})
        assert taken.headers["location"] == "/console/people?done=unbound"
        assert (await nina.ask("/console")).status_code == 403, "at the next look"
        assert (await mia.ask(path, {})).status_code == 404

    events = browse(documents, url_of_database, act)
    found = [each for each in events if each["kind"].startswith("person.")]
    assert [each["kind"] for each in found] == ["person.unbound", "person.bound"]
    assert {each["subject"] for each in found} == {f"nina of {documents.url}"}
    assert all(each["actor"].startswith(f"person mia (mia of {documents.url})") for each in found)


def test_nobody_gives_what_is_not_theirs_to_give(
    documents: Documents, url_of_database: str
) -> None:
    fields = {"issuer": documents.url, "subject": "nina", "account": "team/alice"}

    async def act(person: Callable[..., Person]) -> None:
        nina, mia = person("nina"), person("mia", "leads")
        await nina.sign_in()
        for name, group in (("sam", "staff"), ("olga", "audit")):
            other = person(name, group)
            await other.sign_in()
            assert (await other.ask("/console/people/bind")).status_code == 404
            assert (await other.ask("/console/people/bind", fields)).status_code == 404
        await mia.sign_in()
        for wrong in (
            {"account": "other/alice"},
            {"account": "team/nobody"},
            {"account": ""},
            {"account": "alice"},
            {"subject": "Nina"},
            {"subject": ""},
            {"issuer": "https://other.example"},
            {"issuer": "one-time link"},
            {"subject": "mia"},
        ):
            answer = await mia.ask("/console/people/bind", {**fields, **wrong})
            assert answer.status_code == 422, wrong
        assert (await nina.ask("/console")).status_code == 303
        theo = person("theo", "finance")
        await theo.sign_in()
        given = await theo.ask("/console/people/bind", {**fields, "account": "other/alice"})
        assert given.status_code == 303
        (path,) = {
            each
            for each in (await theo.ask("/console/people")).text.split('"')
            if "/unbind/" in each
        }
        assert path.endswith("/unbind/other/alice")
        for foreign in (path, path.replace("other", "team"), "/console/people/x/unbind/a/b"):
            assert (await mia.ask(foreign)).status_code == 404
            assert (await mia.ask(foreign, {})).status_code == 404

    events = browse(documents, url_of_database, act)
    found = [each["detail"] for each in events if each["kind"].startswith("person.")]
    assert found == [{"role": "member"}]
