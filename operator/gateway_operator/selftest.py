"""`python -m gateway_operator selftest`: does an installation do what it is for?

Makes a key and a grant as any user would, waits for both, sends one request through the Service and
compares the balance with the cost in the answer. It takes away the objects that it made, and voids
the grant, so that no credits stay. It must never touch an object of another name.
"""

import argparse
import asyncio
import base64
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
from msgspec import Struct

from gateway_operator.cluster import Cluster, ClusterError

_API_VERSION = "faregate.dev/v1alpha1"
_POLL_SECONDS = 0.5
_BALANCE_POLLS = 20
#: more than the gateway charges the question for, and the cap of the answer
_INPUT_TOKENS = 1_000
_OUTPUT_TOKENS = 256
_CLEAN_UP_SECONDS = 30
_RETRY = frozenset({502, 503, 504})

Print = Callable[[str], None]


class SelftestFailed(Exception):
    """The installation does not do what it should; the message names what happened instead."""


class Question(Struct, frozen=True, kw_only=True):
    """The question, its place, and the time to try."""

    namespace: str
    #: of the ApiKey, its Secret, the CreditGrant and the account
    name: str
    fleet: str
    #: the fleet's Service, without a path
    url: str
    #: the public name of a model; empty: the first that the key may use
    model: str
    timeout_seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--namespace", required=True, help="namespace of the key and the grant")
    parser.add_argument("--name", required=True, help="name of the key, the grant and the account")
    parser.add_argument("--fleet", required=True, help="name of the fleet to test")
    parser.add_argument(
        "--url", required=True, help="URL of its Service, such as http://faregate.ai.svc"
    )
    parser.add_argument("--model", default="", help="model of the request (default: the first)")
    parser.add_argument(
        "--timeout", type=float, default=120.0, help="seconds that the test may take"
    )


def read_arguments(arguments: argparse.Namespace) -> Question:
    return Question(
        namespace=arguments.namespace,
        name=arguments.name,
        fleet=arguments.fleet,
        url=arguments.url,
        model=arguments.model,
        timeout_seconds=arguments.timeout,
    )


async def selftest(cluster: Cluster, question: Question, print_line: Print) -> None:
    """Ask once, and leave nothing behind.

    Raises `SelftestFailed` with a sentence, also where the time was not enough.
    """
    doing = _Selftest(cluster, question, print_line)
    try:
        async with asyncio.timeout(question.timeout_seconds):
            await doing.run()
    except TimeoutError:
        raise SelftestFailed(f"after {question.timeout_seconds:g} s still {doing.step}") from None
    except (ClusterError, httpx.HTTPError) as error:
        raise SelftestFailed(f"while {doing.step}: {error or type(error).__name__}") from None
    finally:
        # The rest is voided and removed by the next self-test.
        with suppress(TimeoutError, ClusterError):
            async with asyncio.timeout(_CLEAN_UP_SECONDS):
                await doing.clean_up()


class _Selftest:
    def __init__(self, cluster: Cluster, question: Question, print_line: Print) -> None:
        self._cluster = cluster
        self._ask = question
        self._print_line = print_line
        #: the step under way, to end a sentence with
        self.step = "at the start"

    async def run(self) -> None:
        self._begin("removing what an earlier self-test left")
        await self.clean_up()
        self._begin("waiting for the key")
        await self._create("ApiKey", secretName=self._ask.name, fleet=self._ask.fleet)
        await self._until_ready("ApiKey")
        key = await self._read_key()
        headers = {"authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            base_url=self._ask.url, headers=headers, timeout=60, trust_env=False
        ) as client:
            await self._send_one_request(client)

    async def _send_one_request(self, client: httpx.AsyncClient) -> None:
        self._begin("asking for the prices")
        account = await self._account(client)
        model, price = _choose(account["prices"], self._ask.model)
        self._begin("waiting for the grant")
        await self._create(
            "CreditGrant",
            credits=max(price, 1),
            reason="Selftest",
            reference=f"selftest-{secrets.token_hex(8)}",
        )
        await self._until_ready("CreditGrant")
        before = (await self._account(client))["balance"]
        self._begin(f"asking {model}")
        answer = await client.post(
            "/api/openai/v1/chat/completions",
            json={
                "model": model,
                "messages": [{"role": "user", "content": "Say OK."}],
                "max_tokens": _OUTPUT_TOKENS,
            },
        )
        if answer.status_code != 200:
            raise SelftestFailed(f"{model} answered {answer.status_code}: {answer.text[:500]}")
        charged = int(answer.headers["x-credits-charged"])
        after = await self._balance_after(client, before - charged)
        if before - after != charged:
            raise SelftestFailed(
                f"a request for {charged} credits took the balance from {before} to {after}"
            )
        self._print_line(
            f"{model} answered for {charged} credits; the balance is {after}, as it should be"
        )

    async def _balance_after(self, client: httpx.AsyncClient, expected: int) -> int:
        """The balance; what a request with token prices did not use comes back behind its end."""
        for _ in range(_BALANCE_POLLS):
            balance: int = (await self._account(client))["balance"]
            if balance == expected:
                break
            await self._pause()
        return balance

    async def clean_up(self) -> None:
        """Void the grant and remove both objects; returns when they are gone."""
        grant = await self._get("CreditGrant")
        if grant is not None and not grant["spec"].get("void"):
            void = {"spec": {"void": True}}
            await self._cluster.patch("CreditGrant", self._ask.namespace, self._ask.name, void)
        if grant is not None:
            await self._until_quiet()
        for kind in ("ApiKey", "CreditGrant"):
            await self._cluster.delete(kind, self._ask.namespace, self._ask.name)
            while await self._get(kind) is not None:
                await self._pause()

    async def _until_quiet(self) -> None:
        """Until the grant is voided, or can never become it."""
        while (grant := await self._get("CreditGrant")) is not None:
            ready, stalled = _condition(grant, "Ready"), _condition(grant, "Stalled")
            if ready.get("reason") == "Voided" or stalled.get("status") == "True":
                return
            await self._pause()

    async def _create(self, kind: str, **spec: Any) -> None:
        metadata = {"namespace": self._ask.namespace, "name": self._ask.name}
        spec = {"account": self._ask.name, **spec}
        await self._cluster.create(
            {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
        )

    async def _until_ready(self, kind: str) -> None:
        while (found := await self._get(kind)) is not None:
            stalled = _condition(found, "Stalled")
            if stalled.get("status") == "True":
                raise SelftestFailed(f"{kind} is {stalled['reason']}: {stalled['message']}")
            if _condition(found, "Ready").get("status") == "True":
                return
            await self._pause()
        raise SelftestFailed(f"somebody removed the {kind}")

    async def _read_key(self) -> str:
        secret = await self._cluster.get("Secret", self._ask.namespace, self._ask.name)
        if secret is None:
            raise SelftestFailed("the key is ready but its Secret is not there")
        return base64.b64decode(secret["data"]["OPENAI_API_KEY"]).decode()

    async def _account(self, client: httpx.AsyncClient) -> dict[str, Any]:
        """The account's statement; a gateway that is only starting is waited for."""
        while True:
            with suppress(httpx.TransportError):
                answer = await client.get("/api/v1/account")
                if answer.status_code == 200:
                    account: dict[str, Any] = answer.json()
                    return account
                if answer.status_code not in _RETRY:
                    raise SelftestFailed(
                        f"the gateway answered {answer.status_code}: {answer.text[:500]}"
                    )
            await self._pause()

    async def _get(self, kind: str) -> dict[str, Any] | None:
        return await self._cluster.get(kind, self._ask.namespace, self._ask.name)

    async def _pause(self) -> None:
        await asyncio.sleep(_POLL_SECONDS)

    def _begin(self, step: str) -> None:
        self.step = step
        self._print_line(step)


def _choose(prices: list[dict[str, Any]], wanted: str) -> tuple[str, int]:
    """A model of those that the key may use, and the most that one request to it can cost."""
    for price in prices:
        if wanted in ("", price["model"]):
            tokens = max(map(_most_of_tokens, price["rows"]), default=0)
            return price["model"], price["message"] + price["reasoning_surcharge"] + tokens
    raise SelftestFailed(f"the fleet has no model {wanted}")


def _most_of_tokens(row: dict[str, Any]) -> int:
    """The most that the prompt and the answer can cost by a row of token prices."""
    kinds = ("input", "cached_input", "cache_write", "cache_write_hour")
    # Gateways of the release before know no price of an hour.
    given: int = max(row.get(f"{kind}_per_million_tokens", 0) for kind in kinds)
    tokens = _INPUT_TOKENS * given + _OUTPUT_TOKENS * int(row["output_per_million_tokens"])
    return -(-tokens // 1_000_000)


def _condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """The condition, as far as it is about the object as it is now."""
    for condition in (found.get("status") or {}).get("conditions") or ():
        is_now = condition.get("observedGeneration") == found["metadata"].get("generation")
        if condition["type"] == kind and is_now:
            named: dict[str, Any] = condition
            return named
    return {}
