"""`python -m tests.bench.pages`: the CPU of each page of the console over a million entries.

The console's application runs in this process, on PostgreSQL; the CPU is that of both, over some
requests one after the other. Exit status 1 where a page needs more than it may; a statement, which
reads each entry of its month, is only printed.
"""

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from gateway.core.errors import DatabaseBusy
from gateway.store.usage_rounds import count_usage
from tests.console.routes.table import Line, lines
from tests.console.routes.world import INSTALLATION, Asked, Target, World
from tests.harness.postgres import PostgresServer, find_programs

_ENTRIES = 1_000_000
_DAYS = 90
_ACCOUNTS, _KEYS = 200, 20
_REPEATS = 20
_MILLISECONDS_MAX = 50.0
_REPORT = "/statement"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
#: pages beside those of the table of routes
_MORE = (
    "/usage?by=model&days=90&account={account}",
    "/usage?by=route&days=365&account={account}",
    "/ledger?kind=refund&account={account}",
    "/ledger?model=none&account={account}",
)
_CHARGES = """
INSERT INTO entry (account_id, kind, credits, request_id, api_key_id, model, route, created_at)
SELECT account_id, 'charge', -1, 'large_' || n, id, (ARRAY['kimi-k2.5', 'open', 'k3'])[1 + n %% 3],
  'chat', now() - make_interval(secs => (%s - n) * %s)
FROM generate_series(1, %s) n
JOIN (SELECT id, account_id, row_number() OVER (ORDER BY id) - 1 AS place FROM api_key
  WHERE account_id = %s) AS keys ON keys.place = n %% %s
ORDER BY n
"""


def fill(world: World, target: Target) -> None:
    """Give the target's account its entries, and others a grant each."""
    for number in range(_ACCOUNTS):
        world.make_target(f"other/account-{number}")
    for number in range(_KEYS):
        world.make_key(target.account, f"key {number}")
    account = world.value("SELECT account_id FROM credit_grant WHERE id = %s", target.grant_id)
    keys = world.value("SELECT count(*) FROM api_key WHERE account_id = %s", account)
    apart = _DAYS * 86_400 / _ENTRIES
    run = world._connection.execute
    run(_CHARGES.encode(), (_ENTRIES, apart, _ENTRIES, account, keys))
    run("VACUUM ANALYZE")
    is_complete = False
    while not is_complete:
        with suppress(DatabaseBusy):  # on a machine that has other work
            is_complete = count_usage(world.database, INSTALLATION).is_complete


def cpu_seconds(world: World) -> float:
    """The CPU of this process, and of the database's processes for it."""
    run = world._connection.execute
    processes = run("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
    ticks = 0
    for (number,) in processes.fetchall():
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / _TICKS_A_SECOND


def milliseconds(world: World, path: str, asked: Asked) -> tuple[int, float]:
    """The status of a page, and its CPU on average."""
    status = world.ask("GET", path, asked).status_code
    began = cpu_seconds(world)
    for _ in range(_REPEATS):
        world.ask("GET", path, asked)
    return status, (cpu_seconds(world) - began) * 1000 / _REPEATS


def is_page(line: Line) -> bool:
    return line.method == "GET" and "/static/" not in line.path and ".csv" not in line.path


def main() -> int:
    """Print a table; the exit status."""
    programs = find_programs()
    if programs is None:
        print("PostgreSQL is not installed", file=sys.stderr)
        return 2
    server = PostgresServer(programs)
    server.start()
    world = World(server.create_migrated())
    try:
        target = world.make_target("team/large")
        fill(world, target)
        asked = world.sign_in("treasurer", target)
        paths = [line.fill(target)[0] for line in lines() if is_page(line)]
        paths += [path.format(account=target.account) for path in _MORE]
        slow = 0
        for path in paths:
            status, took = milliseconds(world, path, asked)
            if status == 200:
                slow += took > _MILLISECONDS_MAX and not path.startswith(_REPORT)
                print(f"{took:7.1f} ms  {path or '/'}", flush=True)
    finally:
        world.close()
        server.remove()
    print(f"{slow} pages need more than {_MILLISECONDS_MAX:.0f} ms")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
