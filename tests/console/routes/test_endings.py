"""Sessions and keys that pages end, and the files of figures: each does its work, and no more."""

import csv
import io
from typing import Any

import httpx

from gateway.core.principal import AccountSet
from gateway.store.change_log import read_changes_within
from gateway.store.key_list import KeyFilter, list_shown_keys
from tests.console.routes.world import INSTALLATION, Asked, Target, World


def is_in(world: World, browser: Asked) -> bool:
    return world.ask("GET", "/settings", browser).status_code == 200


def lines_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def statuses(world: World, account: str) -> dict[str, str]:
    """The keys of an account by their ids, each with its status."""
    reach = AccountSet(accounts=frozenset({account}))
    found = list_shown_keys(world.database, INSTALLATION, reach, KeyFilter(), 50)
    return {key.key_id: key.status for key in found.keys}


def newest_change(world: World, target: Target) -> dict[str, Any]:
    reach = AccountSet(accounts=frozenset({target.account}))
    return read_changes_within(world.database, INSTALLATION, reach, 1)[0]


def test_a_person_ends_one_session_of_their_own(world: World) -> None:
    mine, other = world.make_target("team/sessions"), world.make_target("team/sessions")
    here, there = Asked(mine.cookie), world.sign_in_again(mine)
    foreign = {"session": str(other.session)}
    for odd in (foreign, {"session": "0"}, {"session": "-1"}, {"session": "x"}):
        before = world.dump()
        sent = world.ask("POST", "/settings/sessions", here, odd)
        assert sent.headers["location"] == "/console/settings?done=ended"
        assert world.dump() == before
    world.ask("POST", "/settings/sessions", there, {"session": str(mine.session)})
    assert (is_in(world, here), is_in(world, there)) == (False, True)
    assert is_in(world, Asked(other.cookie))


def test_or_all_of_them(world: World) -> None:
    mine, other = world.make_target("team/sessions"), world.make_target("team/sessions")
    here, there = Asked(mine.cookie), world.sign_in_again(mine)
    sent = world.ask("POST", "/settings/sessions", here)
    assert sent.headers["location"] == "/console/signed-out"
    assert sent.headers["set-cookie"].startswith('__Host-faregate=""; ')
    assert (is_in(world, here), is_in(world, there)) == (False, False)
    assert is_in(world, Asked(other.cookie))


def test_a_manager_ends_all_sessions_of_a_person(world: World) -> None:
    target, other = world.make_target("team/ended"), world.make_target("team/ended")
    manager = world.sign_in("manager", target)
    sent = world.ask("POST", f"/people/{target.person}/end-sessions", manager)
    assert sent.headers["location"] == "/console/people?done=ended"
    assert not is_in(world, Asked(target.cookie))
    assert is_in(world, Asked(other.cookie))
    newest = newest_change(world, target)
    assert (newest["kind"], target.mark in newest["subject"]) == ("sessions.ended", True)
    assert newest["actor"].startswith("person manager (")


def test_a_manager_suspends_the_keys_of_a_person_where_they_may(world: World) -> None:
    target, other = world.make_target("team/stopped"), world.make_target("team/stopped")
    world.bind(target.person, "other/stopped")
    elsewhere, _ = world.make_key("other/stopped", target.mark, target.person)
    manager = world.sign_in("manager", target)
    sent = world.ask("POST", f"/people/{target.person}/suspend-keys", manager)
    assert sent.headers["location"] == "/console/people?done=suspended-all"
    here = statuses(world, "team/stopped")
    assert (here[target.key_id], here[other.key_id]) == ("suspended", "active")
    assert statuses(world, "other/stopped") == {elsewhere: "active"}
    assert newest_change(world, target)["kind"] == "key.suspended"


def test_the_ledger_comes_as_a_file(world: World) -> None:
    target = world.make_target("team/files")
    request_id = world.charge(target, 3, tags='{"team":"search"}')
    answer = world.ask("GET", "/ledger.csv?account=team/files", world.sign_in("member", target))
    name = 'attachment; filename="entries-team-files.csv"'
    assert answer.headers["content-disposition"] == name
    charge, grant = lines_of(answer)
    assert (charge["request_id"], charge["credits"]) == (request_id, "-3")
    assert charge["balance_after"] == "4"
    assert charge["tags"] == '{"team":"search"}'
    assert (grant["kind"], grant["credits"], grant["reference"]) == ("grant", "7", target.mark)


def test_so_does_usage(world: World) -> None:
    target = world.make_target("team/used")
    for model in ("kimi-k2.5", "open", "open"):
        world.charge(target, 2, model)
    path = "/usage.csv?account=team/used&by=model&days=7"
    answer = world.ask("GET", path, world.sign_in("auditor", target))
    name = 'attachment; filename="usage-team-used.csv"'
    assert answer.headers["content-disposition"] == name
    lines = lines_of(answer)
    found = sorted((line["model"], line["requests"], line["credits"]) for line in lines)
    assert found == [("kimi-k2.5", "1", "2"), ("open", "2", "4")]


def test_files_of_what_is_not_there_are_refused(world: World) -> None:
    target = world.make_target("team/filters")
    member = world.sign_in("member", target)
    for asked in (
        "ledger.csv?key=key_of_nobody",
        "usage.csv?key=key_of_nobody",
        "ledger.csv?from=x",
    ):
        path = f"/{asked}&account=team/filters"
        assert world.ask("GET", path, member).status_code == 404, path
