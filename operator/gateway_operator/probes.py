"""Probes of the operator's liveness and readiness, and its metrics.

Liveness fails when a restart would help: the sweep is stuck, or what was written does not come
back through the watch. It never fails for a database or an API server that is away: a restart
repairs neither. Readiness: started, migrated, and everything compared with everything once.
"""

import time
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

SWEEPS_MISSED_MAX = 3


class Liveness:
    """The knowledge of the probes. Moments are seconds of a monotonic clock."""

    def __init__(
        self,
        sweep_seconds: float,
        silence_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._silence_seconds = silence_seconds
        self._sweep_seconds_max = SWEEPS_MISSED_MAX * sweep_seconds
        self._progress_at = clock()
        self._heartbeat: tuple[str, float] | None = None
        self._is_ready = False

    def loop_progress(self) -> None:
        """A sweep came to its end, whether it could do its work or not."""
        self._progress_at = self._clock()

    def heartbeat_sent(self, value: str) -> None:
        """A heartbeat was written; the first one that does not come back counts."""
        if self._heartbeat is None:
            self._heartbeat = (value, self._clock())

    def heartbeat_seen(self, value: str | None) -> None:
        """A heartbeat came back through the watch."""
        if self._heartbeat is not None and value is not None and value >= self._heartbeat[0]:
            self._heartbeat = None

    def pause(self) -> None:
        """The API server is away: nothing can come back, and a restart would not help."""
        self._heartbeat = None

    def set_ready(self) -> None:
        """A whole sweep succeeded."""
        self._is_ready = True

    @property
    def is_ready(self) -> bool:
        return self._is_ready

    def failure(self) -> str | None:
        """The reason why the process should be started again, or None."""
        now = self._clock()
        if now - self._progress_at > self._sweep_seconds_max:
            return f"no sweep has ended for {now - self._progress_at:.0f} s"
        if self._heartbeat is not None and now - self._heartbeat[1] > self._silence_seconds:
            return f"the watch has been silent for {now - self._heartbeat[1]:.0f} s"
        return None


class ProbeServer:
    """`/healthz`, `/readyz` and `/metrics`, on every address of either family."""

    def __init__(
        self, liveness: Liveness, exposition: Callable[[], Awaitable[bytes]], ports: Iterable[int]
    ) -> None:
        self._liveness = liveness
        self._exposition = exposition
        self._ports = tuple(ports)
        application = web.Application()
        application.add_routes(
            [
                web.get("/healthz", self._live),
                web.get("/readyz", self._answer),
                web.get("/metrics", self._expose),
            ]
        )
        self._runner = web.AppRunner(application, handle_signals=False, access_log=None)

    async def start(self) -> None:
        await self._runner.setup()
        for port in self._ports:
            await web.TCPSite(self._runner, None, port).start()

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _live(self, _: web.Request) -> web.Response:
        failure = self._liveness.failure()
        return web.Response(status=503 if failure else 200, text=f"{failure or 'alive'}\n")

    async def _answer(self, _: web.Request) -> web.Response:
        if self._liveness.is_ready:
            return web.Response(text="ready\n")
        return web.Response(status=503, text="not everything has been compared once\n")

    async def _expose(self, _: web.Request) -> web.Response:
        headers = {"content-type": CONTENT_TYPE_LATEST}
        return web.Response(body=await self._exposition(), headers=headers)
