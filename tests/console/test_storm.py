"""One browser asks for pages in a storm: chats and everybody else's pages go on."""

import asyncio
from collections import Counter

import httpx

from gateway.console.mount import AT_ONCE, WAITING_MAX
from tests.console.browser import Browser
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import GatewayProcess
from tests.harness.plain import NO_TLS

#: twice of what may be worked on and wait
STORM = 2 * (AT_ONCE + WAITING_MAX)
CHATS = 20


async def _storm(gateway: GatewayProcess, cookies: dict[str, str]) -> tuple[Counter[int], set[str]]:
    """Statuses of the storm's pages, and the words of those that were refused."""
    limits = httpx.Limits(max_connections=STORM + 2)
    options = {"base_url": gateway.url, "verify": NO_TLS, "trust_env": False, "timeout": 60}
    headers = {"authorization": f"Bearer {gateway.key('alice')}"}
    async with (
        httpx.AsyncClient(cookies=cookies, limits=limits, **options) as one,  # type: ignore[arg-type]
        httpx.AsyncClient(headers=headers, **options) as others,  # type: ignore[arg-type]
    ):
        asked = [asyncio.create_task(one.get("/console/usage")) for _ in range(STORM)]
        chats = [
            (await others.post(PATHS["chat"], json=body("chat", "Hello"))).status_code
            for _ in range(CHATS)
        ]
        other = await others.get("/console/sign-in", headers={"cookie": "a=other"})
        answers = await asyncio.gather(*asked)
    assert chats == [200] * CHATS
    assert other.status_code == 200
    refused = {answer.text for answer in answers if answer.status_code != 200}
    return Counter(answer.status_code for answer in answers), refused


def test_a_storm_of_pages_is_its_own_sender_s(gateway: GatewayProcess, treasurer: Browser) -> None:
    statuses, refused = asyncio.run(_storm(gateway, dict(treasurer.http.cookies)))
    assert statuses.keys() <= {200, 429, 503}
    assert statuses[200] >= AT_ONCE
    assert all("requests to the console" in words for words in refused), refused
    assert treasurer.get("/console/usage").status_code == 200
