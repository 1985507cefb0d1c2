"""Usage by the values of a tag, on the page and as its file."""

import json

from tests.console.routes.world import World


def test_a_named_tag_groups_usage(world: World) -> None:
    target = world.make_target("team/tagged")
    world.charge(target, 3, tags=json.dumps({"team": "search"}))
    world.charge(target, 2)
    member = world.sign_in("member", target)
    page = world.ask("GET", f"/usage?tag=team&account={target.account}", member).text
    rows = [part.split("</tr>")[0] for part in page.split('<tr><th scope="row">')]
    names = {row.split("<")[0] for row in rows[1:]}
    assert {"search", "–"} <= names
    assert "By tag team" in page
    path = f"/usage.csv?tag=team&days=7&account={target.account}"
    lines = world.ask("GET", path, member).text.splitlines()
    assert "tag:team" in lines[0]
    assert any("search" in line for line in lines[1:])
    odd = world.ask("GET", f"/usage?tag=a+b&account={target.account}", member)
    assert (odd.status_code, "By tag a" in odd.text) == (200, False)
