"""The console while its database does not answer: each page states it, and works again after."""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.console.routes.table import lines
from tests.console.routes.world import Asked, Target, World
from tests.harness.ports import free_port
from tests.harness.postgres import PostgresServer
from tests.harness.proxy import Proxy

_PASSWORD = "canary-of-a-password"  # it opens nothing
#: need no database, or look first whether there is an identity provider, and there is none here
_ALONE = {
    *(("GET", path) for path in ("/static/{file}", "/signed-out", "/", "/start/{code}")),
    *(("GET", f"/{path}") for path in ("sign-in/start", "sign-in/again", "callback")),
    ("POST", "/backchannel-logout"),
}
_WORDS = {
    "en": ("The console cannot answer just now", "The database does not answer."),
    "zh-Hans": ("控制台暂时无法响应", "数据库没有响应。"),
}


class Reached(NamedTuple):
    world: World
    proxy: Proxy
    server: PostgresServer
    target: Target
    member: Asked


@pytest.fixture(scope="module")
def reached(postgres_server: PostgresServer) -> Iterator[Reached]:
    """A console behind a proxy that can lead its connections nowhere."""
    name = postgres_server.create_migrated().rpartition("/")[2]
    with Proxy(postgres_server.port) as proxy:
        world = World(f"postgresql://postgres:{_PASSWORD}@127.0.0.1:{proxy.port}/{name}")
        target = world.make_target("team/away")
        yield Reached(world, proxy, postgres_server, target, world.sign_in("member", target))
        world.close()


def test_each_page_states_it_and_comes_back(
    reached: Reached, caplog: pytest.LogCaptureFixture
) -> None:
    world, target = reached.world, reached.target
    caplog.set_level(logging.DEBUG)
    reached.proxy.lead_to(free_port())
    for line in lines():
        path, form = line.fill(target)
        for language, words in _WORDS.items():
            asks = {"accept-language": language}
            if line.method == "POST":
                asks |= {"sec-fetch-site": "same-origin"}
            answer = world.ask(line.method, path, reached.member, form, asks)
            is_alone = (line.method, line.path) in _ALONE
            assert (answer.status_code == 503) != is_alone, (line, answer.status_code)
            if not is_alone:
                assert [each for each in words if each not in answer.text] == [], line
                assert f'lang="{language}"' in answer.text, line
            for hidden in ("Traceback", "psycopg", "postgres", _PASSWORD, "127.0.0.1"):
                assert hidden not in answer.text, (line, hidden)
    reached.proxy.lead_to(reached.server.port)
    for line in lines():
        if line.method == "GET" and line.cells["member"].startswith("200"):
            path, _ = line.fill(target)
            assert world.ask("GET", path, reached.member).status_code == 200, line
    assert _PASSWORD not in caplog.text
