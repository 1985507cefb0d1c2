"""The town: everything that runs. Gateways, a database, an upstream, and the links between them.

It starts and ends things; what goes wrong and when, and who asks for what, is decided elsewhere.
"""

import asyncio
import signal
import subprocess
import time
from pathlib import Path

import httpx
from msgspec import Struct

from gateway.store.database import Database
from gateway.store.migrate import migrate
from tests.chaos.database import Pair
from tests.chaos.firewall import Firewall
from tests.chaos.links import Link
from tests.chaos.observer import UpstreamObserver
from tests.harness.gateway import GatewayProcess, Simulated, fleet
from tests.harness.plain import NO_TLS

PRICE, SURCHARGE = 2, 3
#: credits for a million tokens of the model that is priced by them
INPUT, OUTPUT = 10_000, 50_000
METERED = "metered"
#: models and their upstreams' dialects; `spared` has a second upstream, for what fails at its first
MODELS = {
    "plain": "chat",
    "spared": "chat",
    "by-messages": "messages",
    "by-responses": "responses",
    METERED: "chat",
}
DEADLINE_SECONDS = 60.0
_DRAIN_SECONDS = 2.0
_WAYS = ("main", "spare", "by-messages", "by-responses")
_LIMITS = {
    "firstByteSeconds": 1,
    "keepAliveSeconds": 0.5,
    "upstreamConnectSeconds": 3,
    "upstreamSilenceSeconds": 6,
}


class Times(Struct, frozen=True):
    """The length of a lease, and the times that follow from it."""

    lease_seconds: float

    @property
    def environment(self) -> dict[str, str]:
        return {
            "FAREGATE_LEASE_SECONDS": str(self.lease_seconds),
            "FAREGATE_HEARTBEAT_SECONDS": str(self.lease_seconds / 12),
            "FAREGATE_UNCONFIRMED_SECONDS": str(self.lease_seconds / 2),
            "FAREGATE_ACCESS_LOG": "1",
        }


class Gateway:
    """One replica: its process, which comes and goes, and its own links."""

    def __init__(self, number: int, database: Link, upstream: Link) -> None:
        self.number = number
        self.database = database
        self.upstream = upstream
        self.process: GatewayProcess
        #: it is being ended or started: nobody else may
        self.lock = asyncio.Lock()

    async def start(self) -> None:
        """Start it, again and again where it ends at once: its database may be away."""
        process = self.process
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            if not process.is_running:
                process.spawn(process._arguments(False), process.environment)
            if await self.is_ready():
                return
            assert time.monotonic() < deadline, process.log_text()[-4000:]
            await asyncio.sleep(0.1)

    async def is_ready(self) -> bool:
        return await _is_ok(f"http://127.0.0.1:{self.process.ops_port}/readyz")

    async def lists_models(self, plaintext: str) -> bool:
        """True if a free route knows a key; it does only while the keys are known to be fresh."""
        return await _is_ok(f"{self.process.url}/api/openai/v1/models", plaintext)

    async def kill(self) -> None:
        await asyncio.to_thread(self.process.kill)

    async def stop(self) -> int | None:
        """Ask it to end; its exit status, None where it had to be killed."""
        if self.process.is_running:
            self.process.send(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self.process.wait, DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            await self.kill()
            return None


class Town:
    """The processes of a run. `open` starts them, `close` ends them, in any state."""

    def __init__(
        self,
        folder: Path,
        programs: Path,
        firewall: Firewall | None,
        *,
        gateways: int,
        times: Times,
    ) -> None:
        self.folder = folder
        self.times = times
        self.firewall = firewall
        servers = folder / "servers"
        servers.mkdir()
        self.pair = Pair(programs, servers)
        self.upstream = Simulated(folder)
        self._count = gateways
        self.gateways: list[Gateway] = []
        #: for those who administrate: treasurer, keys, operator, judge
        self.office: Link
        self.database: Database
        self.observer = UpstreamObserver()

    async def open(self) -> None:
        await asyncio.to_thread(self.pair.start)
        await asyncio.to_thread(self.upstream.start)
        self.office = Link(self.pair.primary.port)
        await self.office.open()
        self.database = Database(self.url(self.office), timeouts=False)
        await asyncio.to_thread(migrate, self.database)
        for number in range(self._count):
            database, upstream = (
                Link(self.pair.primary.port),
                Link(self.upstream.port, self.observer),
            )
            await database.open()
            await upstream.open()
            self.gateways.append(Gateway(number, database, upstream))

    def furnish(self, secret: str) -> None:
        """Make the gateways' processes; the installation has this secret."""
        for gateway in self.gateways:
            gateway.process = GatewayProcess(
                self.folder,
                [self._fleet(gateway)],
                database_url=self.url(gateway.database),
                environment=self.times.environment,
                name=f"gateway-{gateway.number}",
            )
            gateway.process.environment["FAREGATE_INSTALLATION_SECRET"] = secret

    def url(self, link: Link) -> str:
        return f"postgresql://postgres@127.0.0.1:{link.port}/{Pair.DATABASE}"

    def database_links(self) -> list[Link]:
        return [self.office, *(gateway.database for gateway in self.gateways)]

    def _fleet(self, gateway: Gateway) -> dict[str, object]:
        url = f"http://127.0.0.1:{gateway.upstream.port}/v1"
        models: list[dict[str, object]] = [
            {"id": name, "upstream": name, "upstreamModel": "open-weights"}
            for name in ("by-messages", "by-responses")
        ]
        models += [
            {"id": "plain", "upstream": "main", "upstreamModel": "kimi-k2.6"},
            {
                "id": METERED,
                "upstream": "main",
                "upstreamModel": "kimi-k2.6",
                "maxOutputTokens": 500,
                "pricing": {
                    "chatCreditsPerMessage": 0,
                    "chatCreditsReasoningSurcharge": 0,
                    "inputCreditsPerMillionTokens": INPUT,
                    "outputCreditsPerMillionTokens": OUTPUT,
                },
            },
            {
                "id": "spared",
                "upstream": "main",
                "upstreamModel": "kimi-k2.6",
                "fallbacks": [{"upstream": "spare", "upstreamModel": "open-weights"}],
            },
        ]
        dialects = {"by-messages": "messages", "by-responses": "responses"}
        return fleet(
            "",
            pricing={"chatCreditsPerMessage": PRICE, "chatCreditsReasoningSurcharge": SURCHARGE},
            upstreams=[
                {
                    "name": name,
                    "url": url,
                    "dialect": dialects.get(name, "chat"),
                    "circuitFailures": 0,
                }
                for name in _WAYS
            ],
            models=models,
            limits=_LIMITS,
            drain={"seconds": _DRAIN_SECONDS},
        )

    async def close(self) -> None:
        for gateway in self.gateways:
            await gateway.kill()
            await gateway.database.close()
            await gateway.upstream.close()
        await asyncio.to_thread(self.upstream.kill)
        if hasattr(self, "database"):
            self.database.close()
            await self.office.close()
        await asyncio.to_thread(self.pair.remove)


async def _is_ok(url: str, plaintext: str = "") -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=5, verify=NO_TLS) as http:
        try:
            answer = await http.get(url, headers={"x-api-key": plaintext})
        except httpx.TransportError:
            return False
        return answer.status_code == httpx.codes.OK
