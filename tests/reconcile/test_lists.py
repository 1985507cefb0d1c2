"""The operator's memory of objects that anybody may make large."""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kopf
import pytest

from gateway_operator.login import log_in
from gateway_operator.settings import configure
from tests.reconcile.objects import api_key, brought_secret
from tests.reconcile.parts import open_context
from tests.reconcile.world import Operator, World

_MEGABYTE = "x" * 700_000
_MANY = 40


def fill(world: World) -> None:
    """As much as a Secret may hold, forty times, each labelled as one that holds a key."""

    def make(number: int) -> None:
        body = brought_secret(f"large-{number}", "k" * 40)
        body["stringData"]["more"] = _MEGABYTE
        world.team.apply(body)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make, range(_MANY)))


def peak_bytes(operator: Operator) -> int:
    status = Path(f"/proc/{operator.pid}/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_secrets_that_nobody_compares_are_not_held(world: World) -> None:
    empty = world.operator(sweep_seconds="1")
    before = peak_bytes(empty)
    empty.kill()
    fill(world)
    operator = world.operator(sweep_seconds="1")
    world.team.apply(
        api_key("alice", valueFrom={"secretKeyRef": {"name": "large-0", "key": "value"}})
    )
    world.team.wait("ApiKey", "alice", "Issued")
    assert peak_bytes(operator) - before < 12_000_000, "one of them is read at a time"


def test_lists_and_watches_of_secrets_are_of_their_metadata(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.team.apply(brought_secret("own", "k" * 40))
    monkeypatch.setenv("KUBECONFIG", world.environment["KUBECONFIG"])
    secret = base64.b64encode(b"k" * 40)

    async def look() -> None:
        async with open_context(world) as parts:
            pages = parts.cluster.pages("Secret", world.team.namespace, only_metadata=True)
            (found,) = [item async for page in pages for item in page]
            assert (found["kind"], found["metadata"]["name"]) == ("Secret", "own")
            assert "data" not in found
            read = await parts.cluster.get("Secret", world.team.namespace, "own")
            assert read is not None
            assert "data" in read
        sheet = kopf.OperatorSettings()
        configure(sheet)
        logged_in = await log_in(sheet)
        assert logged_in is not None
        url = f"{logged_in.server}/api/v1/namespaces/{world.team.namespace}/secrets"
        async with logged_in.aiohttp_session as session:
            for query in ("", "?watch=true&timeoutSeconds=1"):
                async with session.get(url + query) as answer:
                    text = await answer.read()
                assert b"PartialObjectMetadata" in text
                assert b'"own"' in text
                assert secret not in text
            async with session.get(url) as answer:
                assert (await answer.json())["items"] == [], "kopf has no work with them"
            async with session.get(f"{url}/own") as answer:
                assert secret in await answer.read()

    asyncio.run(look())
