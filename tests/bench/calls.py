"""`python -m tests.bench.calls`: the Python calls of one charged request on the event loop.

A count has no noise to speak of where CPU moves by a fifth from minute to minute, so it is what a
change of the request's path is judged by. The gateway runs here, under a profile hook; what asks it
is a thread, which the hook does not see, and its upstream another process. A coroutine that goes
on after it waited counts as another call. `own` are calls of the gateway's functions; `all` are
those of libraries and of what is written in C besides.
"""

import argparse
import asyncio
import cProfile
import gc
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import CodeType

import msgspec
import uvloop

from gateway.process.assembly import GatewayProcess
from gateway.process.settings import CommandLine, Settings, UpstreamOverride
from tests.bench.database import find_postgresql, temporary_database
from tests.bench.gateways import PATHS, ROOT
from tests.bench.load import (
    CHAT,
    CHAT_STREAM,
    MESSAGES,
    MESSAGES_STREAM,
    PUBLIC_MODEL,
    RESPONSES,
    RESPONSES_STREAM,
    Work,
    request_body,
)
from tests.bench.programs import BenchError
from tests.harness.gateway import Simulated

WORKS = {
    "chat": CHAT,
    "chat-stream": CHAT_STREAM,
    "messages": MESSAGES,
    "messages-stream": MESSAGES_STREAM,
    "responses": RESPONSES,
    "responses-stream": RESPONSES_STREAM,
}
#: requests under way at any time: a batch of charges is shared by about as many
_CONNECTIONS = 32
_WARM, _COUNTED = 3, 12
_DEADLINE_SECONDS = 120.0
#: what is called less often in a request is not shown
_LEAST = 0.05
_SECRET = Path("secrets", "bench", "bench-key.env")

Name = tuple[str, str]


class Counted(msgspec.Struct, frozen=True):
    """Calls a request: of functions in Python, and of those in C by who calls them.

    A name is `(module, function)`, the module without `.py`.
    """

    python: dict[Name, float]
    c: dict[Name, float]

    @property
    def own(self) -> float:
        """Those of the gateway's own functions."""
        return sum(
            calls for (module, _), calls in self.python.items() if module.startswith("gateway/")
        )

    @property
    def all(self) -> float:
        """Everything that the hook sees."""
        return sum(self.python.values()) + sum(self.c.values())


def count(works: Iterable[str], *, on_postgresql: bool) -> dict[str, Counted]:
    """Count requests of these kinds, keys of `WORKS`, each against one warm gateway."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faregate-calls-")))
        upstream = Simulated(folder)
        stack.callback(upstream.kill)
        upstream.start()
        settings = Settings()
        if on_postgresql:
            programs = find_postgresql()
            if programs is None:
                raise BenchError("PostgreSQL was not found")
            database = stack.enter_context(temporary_database(programs, folder / "postgresql.log"))
            settings = Settings(database_url=database.url, installation_secret="calls " + "x" * 40)
            _migrate(settings, folder)
        config = folder / "config.yaml"
        template = (ROOT / "tests" / "bench" / "config.yaml").read_text()
        config.write_text(template.replace("UPSTREAM_PORT", str(upstream.port)))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_count(settings, config, folder / "data", list(works)))


def _migrate(settings: Settings, folder: Path) -> None:
    from gateway.process.standalone.data_folder import database_url
    from gateway.store.database import Database
    from gateway.store.migrate import migrate

    database = Database(database_url(settings, folder / "data"))
    try:
        migrate(database)
    finally:
        database.close()


async def _count(
    settings: Settings, config: Path, data: Path, works: list[str]
) -> dict[str, Counted]:
    line = CommandLine(
        config=config,
        data=data,
        host="127.0.0.1",
        port=0,
        ops_port=0,
        apply=True,
        confirm_orphans=None,
        show_keys=False,
    )
    process = GatewayProcess(settings, UpstreamOverride(), line, {})
    async with process.running() as (started, listeners):
        del started
        serving = asyncio.create_task(listeners.run())
        key = _key(data / _SECRET)
        counted = {}
        try:
            for name in works:
                client = _Client(WORKS[name], listeners.port, key)
                await client.ask(_WARM)
                gc.collect()
                profile = cProfile.Profile()
                profile.enable()
                await client.ask(_COUNTED)
                profile.disable()
                counted[name] = _per_request(profile, _CONNECTIONS * _COUNTED)
        finally:
            signal.raise_signal(signal.SIGTERM)
            await serving
        return counted


def _key(secret: Path) -> str:
    for line in secret.read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "OPENAI_API_KEY":
            return value.strip().strip("'\"")
    raise BenchError("the gateway wrote no OPENAI_API_KEY")


class _Client:
    """Asks from a thread with a loop of its own, which nothing counts."""

    def __init__(self, work: Work, port: int, key: str) -> None:
        self._port = port
        body = request_body(work, PUBLIC_MODEL).encode()
        head = (
            f"POST {PATHS[work.dialect]} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
            f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body

    async def ask(self, times: int) -> None:
        """So many requests on each connection, one after the other."""
        await asyncio.to_thread(lambda: asyncio.run(self._ask_all(times)))

    async def _ask_all(self, times: int) -> None:
        async with asyncio.timeout(_DEADLINE_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(_CONNECTIONS):
                group.create_task(self._ask_on_one(times))

    async def _ask_on_one(self, times: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        for _ in range(times):
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"an answer was wrong: {head.decode()}")
            if b"chunked" in head:
                await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
        writer.close()


def _per_request(profile: cProfile.Profile, requests: int) -> Counted:
    python: Counter[Name] = Counter()
    c: Counter[Name] = Counter()
    for entry in profile.getstats():
        if isinstance(entry.code, CodeType):
            name = (_module(entry.code.co_filename), entry.code.co_qualname)
            python[name] += entry.callcount
            c[name] += sum(
                called.callcount
                for called in entry.calls or ()
                if not isinstance(called.code, CodeType)
            )
    return Counted(
        *({name: calls / requests for name, calls in kind.items()} for kind in (python, c))
    )


def _module(filename: str) -> str:
    path = Path(filename)
    if path.is_relative_to(ROOT):
        return str(path.relative_to(ROOT).with_suffix(""))
    return f"({path.parent.name}/{path.stem})"


def table(counted: Mapping[str, Counted], *, functions: bool) -> str:
    """A line for each module or function: its own calls and, after the +, its calls of C."""
    rows: dict[str, dict[str, list[float]]] = {}
    for column, each in counted.items():
        for place, kind in enumerate((each.python, each.c)):
            for (module, function), calls in kind.items():
                line = rows.setdefault(f"{module} {function}" if functions else module, {})
                line.setdefault(column, [0.0, 0.0])[place] += calls
    shown = {name: row for name, row in rows.items() if max(map(sum, row.values())) >= _LEAST}
    width = max(map(len, shown))
    lines = [" " * width + "".join(f"{name:>18}" for name in counted)]
    for name in sorted(shown):
        cells = (shown[name].get(column, [0.0, 0.0]) for column in counted)
        lines.append(f"{name:{width}}" + "".join(f"{py:9.1f} + {c:6.1f}" for py, c in cells))
    for name, sums in (
        ("own", [each.own for each in counted.values()]),
        ("all", [each.all for each in counted.values()]),
    ):
        lines.append(f"{name:{width}}" + "".join(f"{calls:18.1f}" for calls in sums))
    return "\n".join(lines)


def main() -> int:
    """Count as the command line asks, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.calls", description=__doc__)
    parser.add_argument("works", nargs="*", default=list(WORKS), help=f"some of {' '.join(WORKS)}")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL, not SQLite")
    parser.add_argument("--functions", action="store_true", help="a line for each function")
    parser.add_argument("--json", action="store_true", help="own calls and all, for a program")
    options = parser.parse_args()
    counted = count(options.works, on_postgresql=options.postgresql)
    if options.json:
        json.dump({name: [each.own, each.all] for name, each in counted.items()}, sys.stdout)
    else:
        print(table(counted, functions=options.functions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
