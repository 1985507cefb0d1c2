"""Every page's route × who asks × own or foreign: nobody sees or changes what is others'."""

from typing import NamedTuple
from urllib.parse import unquote_plus, urlsplit

import httpx
import pytest

from gateway.console.application import routed_app
from gateway.console.site import BASE
from tests.console.routes.table import Line, lines, routes
from tests.console.routes.world import ASKERS, Asked, Target, World


def test_each_route_is_in_the_table() -> None:
    assert {(line.method, line.path) for line in lines()} == routes(), "see _TABLE in table.py"


def test_no_route_hides_from_it() -> None:
    """The table is compared with the application's description, so each route is described."""
    for included in routed_app(None).routes:
        for route in included.original_router.routes:  # type: ignore[attr-defined]
            assert route.include_in_schema, route.path


class Places(NamedTuple):
    """The own target, another of its namespace, one of another; and browsers of everybody."""

    targets: list[Target]
    browsers: dict[str, Asked]

    def reached(self, asker: str) -> list[Target]:
        """The targets in reach."""
        own, beside, _ = self.targets
        alone = {"nobody": [], "stranger": [], "key": [own], "member": [own]}
        return alone.get(asker, [own, beside])


@pytest.fixture(scope="module")
def places(world: World) -> Places:
    targets = [world.make_target(each) for each in ("team/own", "team/beside", "other/foreign")]
    return Places(targets, {asker: world.sign_in(asker, targets[0]) for asker in ASKERS})


def name_of(line: Line) -> str:
    return f"{line.method} {line.path or '.'}{line.query}"


@pytest.mark.parametrize("line", lines(), ids=name_of)
def test_a_page_serves_whom_it_is_for(world: World, line: Line, places: Places) -> None:
    served = []
    before = world.dump()
    for asker in ASKERS:
        for target in places.targets if line.is_about_target else places.targets[:1]:
            expected = line.expected(asker, is_in_reach=target in places.reached(asker))
            if expected == "in" or int(expected) >= 400:
                path, form = line.fill(target)
                answer = world.ask(line.method, path, places.browsers[asker], form)
                check(asker, places, expected, answer)
            else:
                served.append((asker, target, expected))
    assert world.dump() == before
    for asker, target, expected in served:
        browser, used = places.browsers[asker], target
        if line.method == "POST":  # it may use up both
            used = world.make_target(f"{target.account}-{lines().index(line)}")
            browser = world.sign_in(asker, used)
        path, form = line.fill(used)
        check(asker, places, expected, world.ask(line.method, path, browser, form))


def check(asker: str, places: Places, expected: str, answer: httpx.Response) -> None:
    """The answer is the expected one, and has nothing that is out of reach."""
    location = answer.headers.get("location", "")
    is_away = urlsplit(location).path == f"{BASE}/sign-in"
    assert ("in" if is_away else str(answer.status_code)) == expected, f"{asker}: {answer.text}"
    sent = unquote_plus(answer.request.content.decode())
    for target in places.targets:
        seen = f"of {target.account}"
        if target not in places.reached(asker) and seen not in sent:
            assert seen not in answer.text, f"{asker} sees {target.account}"
