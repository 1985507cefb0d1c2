"""Promises of every route of the pages, whichever it is; the routes are those of the table."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import pytest

from gateway.console.rendering import FORM_TOKEN
from gateway.console.site import BASE
from tests.console.identity_provider import IdentityProvider
from tests.console.routes.table import Line, lines
from tests.console.routes.world import OWN_FORM, URL, Asked, Target, World

#: called by servers, which prove themselves by a signature, not by a cookie and a form
_FOR_SERVERS = {"/backchannel-logout"}
#: whose form needs no session
_PUBLIC = {"/sign-in/key", "/start/{code}"}
_OF_OTHERS: list[dict[str, str]] = [
    {},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": f"{URL}.evil.example"},
    {"origin": URL.replace("https", "http")},
    OWN_FORM | {"origin": "https://evil.example"},
    OWN_FORM | {"sec-fetch-site": "cross-site"},
]
_ELSEWHERE = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "/console/../../evil.example",
    "/console//evil.example",
    "/console\\evil.example",
    "/console/\t/evil.example",
    "/console@evil.example",
    "%2f%2fevil.example",
    "/console/%2f%2fevil.example",
    "/console?x\r\nlocation: https://evil.example",
]


class Known(NamedTuple):
    """A target, and two who may together do all that there is to do, and a key."""

    target: Target
    member: Asked
    treasurer: Asked
    key: Asked

    def who_may(self, line: Line) -> Asked:
        """One whom a route serves."""
        for asker in ("member", "treasurer", "key"):
            if int(line.expected(asker, is_in_reach=True)) < 400:
                found: Asked = getattr(self, asker)
                return found
        raise AssertionError(f"nobody may {line}")


@pytest.fixture(scope="module")
def known(world: World) -> Known:
    target = world.make_target("team/known")
    asked = [world.sign_in(asker, target) for asker in ("member", "treasurer", "key")]
    return Known(target, *asked)


def forms() -> Iterator[Line]:
    yield from (line for line in lines() if line.method == "POST")


def test_a_form_of_another_site_is_refused_everywhere(world: World, known: Known) -> None:
    before = world.dump()
    for line in forms():
        if line.path in _FOR_SERVERS:
            continue
        path, form = line.fill(known.target)
        for headers in _OF_OTHERS:
            answer = world.ask("POST", path, known.who_may(line), form, headers)
            assert answer.status_code == 403, (line, headers)
            assert "This form was not sent by a page of the console." in answer.text, (
                line,
                headers,
            )
    assert world.dump() == before


def test_a_form_without_its_session_s_token_is_refused_everywhere(
    world: World, known: Known
) -> None:
    others = world.services.form_token(Asked(known.target.cookie).cookie)
    before = world.dump()
    for line in forms():
        if line.path in _FOR_SERVERS | _PUBLIC:
            continue
        path, form = line.fill(known.target)
        browser = known.who_may(line)
        for token in ({}, {FORM_TOKEN: ""}, {FORM_TOKEN: "0" * 64}, {FORM_TOKEN: others}):
            answer = world.ask("POST", path, browser, form | token, has_token=False)
            assert answer.status_code == 403, (line, token)
            assert "Send this again?" in answer.text, (line, token)
    assert world.dump() == before


def test_looking_changes_nothing(world: World, known: Known) -> None:
    """The last use of a session, once a minute, and the event of a refused sign-in are meant."""
    world.run("UPDATE session SET seen_at = seen_at - interval '2 minutes'")
    seen = "SELECT max(seen_at) FROM session"
    before, seen_before = world.dump(), world.value(seen)
    for line in lines():
        path, _ = line.fill(known.target)
        for browser in (Asked(), known.member, known.treasurer, known.key):
            for _ in range(2 if line.method == "GET" else 0):
                world.ask("GET", path, browser)
    assert world.dump() == before
    assert world.value(seen) > seen_before


def leads_away(answer: httpx.Response, allowed: str = "") -> bool:
    """True for an answer that leads a browser to another host."""
    location = answer.headers.get("location", BASE)
    if allowed and location.startswith(f"{allowed}/"):
        return False
    parts = urlsplit(location)
    is_plain = not re.search(r"[\\\s]", location) and not location.startswith("//")
    is_ours = parts.path == BASE or parts.path.startswith(f"{BASE}/")
    return bool(parts.scheme or parts.netloc or not is_plain or not is_ours or "//" in parts.path)


@pytest.mark.parametrize("there", _ELSEWHERE)
def test_no_route_leads_to_another_host(
    world: World, known: Known, issuer: IdentityProvider, there: str
) -> None:
    values = {name: quote(there, safe="") for name in ("key_id", "grant_id", "person", "code")}
    values |= {"account": f"x/{quote(there, safe='')}", "file": quote(there, safe="")}
    assert world.ask("GET", "", known.member).status_code == 200
    for line in lines():
        path = (line.path + line.query).format_map(values)
        path += ("&" if "?" in path else "?") + f"next={quote(there, safe='')}"
        away = issuer.url if line.path.startswith("/sign-in/") else ""
        ends = line.path in ("/sign-out", "/sign-in/key", "/settings/sessions")
        member = Asked(world.make_target("team/ends").cookie) if ends else known.member
        for browser in (Asked(), member):
            form = {"next": there, "account": there} if line.method == "POST" else {}
            if line.path == "/sign-in/key":  # a wrong one could soon be tried no more
                form["key"] = known.target.secret
            answer = world.ask(line.method, path, browser, form)
            assert not leads_away(answer, away), (line, answer.headers["location"])
            if "sign-in?" in answer.headers.get("location", ""):
                inside = answer.headers["location"].removeprefix(BASE)
                assert not leads_away(world.ask("GET", inside, known.member)), (line, inside)


def test_other_methods_are_refused(world: World, known: Known) -> None:
    before = world.dump()
    there = {(line.method, line.path) for line in lines()}
    for line in lines():
        path, _ = line.fill(known.target)
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            if (method, line.path) not in there:
                answer = world.ask(method, path, known.treasurer)
                assert answer.status_code in (403, 404, 405), (method, line)
    assert world.dump() == before


@pytest.mark.parametrize(
    ("method", "path", "form", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/static/nothing.css", {}, 404),
        ("GET", "/keys?account=a%00b", {}, 400),
        ("GET", "/callback?state=%00", {}, 400),
        ("POST", "/settings", {"clock": "a\0b"}, 400),
        ("POST", "/settings", {"clock": "x" * 70_000}, 413),
    ],
)
def test_errors_have_the_headers_too(
    world: World, known: Known, method: str, path: str, form: dict[str, str], status: int
) -> None:
    assert world.ask(method, path, known.member, form).status_code == status
