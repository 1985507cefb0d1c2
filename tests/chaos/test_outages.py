"""Outages of a database with requests under way: nobody gains or loses by them, and they pass.

After each: the books are right, no complete answer was free and no incomplete one paid, requests
are answered within ten seconds of the fault's end without a restart, `/readyz` was true to it, and
the log has one line an outage with the cause.
"""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from gateway.store.audit import audit
from gateway.store.database import Database
from gateway.store.migrate import migrate
from tests.chaos.database import Pair, Server
from tests.chaos.firewall import open_firewall
from tests.clients.namespace import NamespaceRefused, loopback_only
from tests.harness.books import Books
from tests.harness.dialects import PATHS, body, ended_cleanly
from tests.harness.gateway import (
    DATABASES,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    wait_until,
)
from tests.harness.plain import NO_TLS
from tests.harness.postgres import find_programs
from tests.harness.proxy import Proxy

CREDITS = 100_000
PRICE = 2
#: after a fault's end
BACK_SECONDS = 10.0
LEASE_SECONDS = 3.0
FAST = {
    "FAREGATE_LEASE_SECONDS": str(LEASE_SECONDS),
    "FAREGATE_HEARTBEAT_SECONDS": "0.5",
    "FAREGATE_UNCONFIRMED_SECONDS": "4",
}
_BEGINS = "the database does not answer"
_ENDS = "the database answers again"


class Streams:
    """Streams of some seconds, through each of some gateways, one in each dialect."""

    def __init__(self, gateways: Sequence[GatewayProcess], key: str, seconds: int) -> None:
        self._text = f"!chunks {seconds * 10} 100"
        self._key = key
        self.complete = 0
        self.began = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(gateway.url, dialect))
            for gateway in gateways
            for dialect in PATHS
        ]

    def __enter__(self) -> "Streams":
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.began == len(self._threads), "all streams to begin")
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client hangs"

    @property
    def number(self) -> int:
        return len(self._threads)

    def _run(self, url: str, dialect: str) -> None:
        asked = {**body(dialect, self._text), "stream": True}
        headers = {"x-api-key": self._key}
        with (
            httpx.Client(timeout=60, verify=NO_TLS, trust_env=False) as http,
            http.stream("POST", url + PATHS[dialect], json=asked, headers=headers) as response,
        ):
            with self._lock:
                self.began += 1
            answer = response.read().decode()
        with self._lock:
            self.complete += response.status_code == 200 and ended_cleanly(dialect, answer)


class Place:
    """A database and gateways on it, all under `url`, which may lead through something."""

    def __init__(self, folder: Path, simulated: Simulated, url: str, direct_url: str) -> None:
        self._folder = folder
        self._simulated = simulated
        self._url = url
        self.database = Database(direct_url)
        migrate(self.database)
        self.books = Books(self.database)
        self.gateways: list[GatewayProcess] = []
        self.asked = 0

    def gateway(self, name: str, **environment: str) -> GatewayProcess:
        documents = [
            fleet(self._simulated.url),
            api_key("key", "alice"),
            credit_grant("grant", "alice", credits=CREDITS),
        ]
        started = GatewayProcess(
            self._folder,
            documents,
            database_url=self._url,
            environment={**FAST, **environment},
            name=name,
        ).start(apply=not self.gateways)
        DATABASES.discard(self._url)  # its server is this test's own
        self.gateways.append(started)
        return started

    @property
    def key(self) -> str:
        return self.gateways[0].key("key")

    def ask(self, gateway: GatewayProcess) -> int:
        """One short request; 0 where nothing came."""
        headers = {"x-api-key": self.key}
        try:
            answer = gateway.http.post(PATHS["chat"], json=body("chat", "Hi"), headers=headers)
        except httpx.TransportError:
            return 0
        self.asked += answer.status_code == 200
        return answer.status_code

    def look(self, gateway: GatewayProcess) -> int:
        """One free request."""
        return gateway.http.get("/api/v1/account", headers={"x-api-key": self.key}).status_code

    def is_away(self) -> None:
        """Every gateway reports it: to a client, and to a probe that asks whether it is ready."""
        for gateway in self.gateways:
            wait_until(lambda: gateway.readiness() == 503, "a gateway to be not ready")  # noqa: B023
            assert self.ask(gateway) == 503

    def is_back(self) -> None:
        """Every gateway serves within ten seconds, charged and free, and is ready."""
        for gateway in self.gateways:
            wait_until(lambda: self.ask(gateway) == 200, "a charged answer", BACK_SECONDS)  # noqa: B023
            wait_until(lambda: self.look(gateway) == 200, "a free answer", BACK_SECONDS)  # noqa: B023
            wait_until(lambda: gateway.readiness() == 200, "a gateway to be ready", BACK_SECONDS)  # noqa: B023

    def end_and_audit(self, complete: int, outages: int | None = 1, cause: str = "") -> None:
        """End the gateways. What was complete is charged, nothing else; each log is right."""
        wait_until(lambda: self.books.holds() == 0, "all holds to end")
        for gateway in self.gateways:
            assert gateway.stop() == 0
            log = gateway.log_text()
            assert "Traceback" not in log, log
            begins = [line for line in log.splitlines() if _BEGINS in line]
            assert all(cause in line for line in begins), begins
            if outages is not None:
                assert len(begins) == outages, log
                assert log.count(_ENDS) == outages, log
        charged = self.books.count("charge") - self.books.count("refund")
        assert charged == complete + self.asked
        assert self.books.balance("alice") == CREDITS - PRICE * charged
        assert audit(self.database) == []
        self.database.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A primary with a synchronous standby."""
    with servers() as made:
        made.start()
        yield made


@pytest.fixture
def server() -> Iterator[Server]:
    """One PostgreSQL that a test may do anything to."""
    with servers() as made:
        made.primary.initialize()
        made.primary.start()
        made.primary.ask(f'CREATE DATABASE "{Pair.DATABASE}"')
        yield made.primary


@contextmanager
def servers() -> Iterator[Pair]:
    """A pair of servers, in a folder that their own user can reach: pytest closes its own."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="faregate-outages-") as folder:
        made = Pair(programs, Path(folder))
        yield made
        made.remove()


def test_a_database_that_hangs_for_longer_than_a_lease_gives_nothing_away(
    server: Server, simulated: Simulated, tmp_path: Path
) -> None:
    url = server.url(Pair.DATABASE)
    place = Place(tmp_path, simulated, url, url)
    with Streams([place.gateway("one"), place.gateway("two")], place.key, 14) as streams:
        server.freeze(True)
        place.is_away()  # takes longer than the lease
        server.freeze(False)
        place.is_back()
    assert streams.complete == streams.number
    assert place.books.count("refund") <= 2, "only what was asked while it hung"
    place.end_and_audit(streams.complete)


def test_connections_that_go_silent_are_left(tmp_path: Path) -> None:
    """Packets of the connections that there are vanish; new connections work."""
    try:
        with loopback_only():
            _go_silent(tmp_path)
    except NamespaceRefused as refused:
        pytest.skip(f"no network namespace: {refused}")


def _go_silent(folder: Path) -> None:
    firewall = open_firewall()
    if firewall is None:
        pytest.skip("nft is not installed (apt-get install nftables)")
    own = Simulated(folder).start()
    with servers() as made:
        server = made.primary
        server.initialize()
        server.start()
        server.ask(f'CREATE DATABASE "{Pair.DATABASE}"')
        url = server.url(Pair.DATABASE)
        place = Place(folder, own, url, url)
        with Streams([place.gateway("one"), place.gateway("two")], place.key, 14) as streams:
            ports = server.ask(
                "SELECT client_port FROM pg_stat_activity WHERE client_port > 0"
                " AND application_name = 'faregate'"
            )
            for (port,) in ports:
                firewall.drop(int(str(port)), True)
            place.is_back()
        assert len(ports) >= 4
        assert streams.complete == streams.number
        place.end_and_audit(streams.complete, None)
    own.kill()


def test_an_address_that_points_at_a_standby_for_a_while(
    pair: Pair, simulated: Simulated, tmp_path: Path
) -> None:
    with Proxy(pair.primary.port) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{Pair.DATABASE}"
        place = Place(tmp_path, simulated, url, pair.primary.url(Pair.DATABASE))
        with Streams([place.gateway("one"), place.gateway("two")], place.key, 8) as streams:
            proxy.lead_to(pair.standby.port)
            place.is_away()
            proxy.lead_to(pair.primary.port)
            place.is_back()
        assert streams.complete == streams.number
        place.end_and_audit(streams.complete, cause="read-only")


def test_a_failover_to_a_standby_and_back(pair: Pair, simulated: Simulated, tmp_path: Path) -> None:
    with Proxy(pair.primary.port) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{Pair.DATABASE}"
        place = Place(tmp_path, simulated, url, url)
        gateways = [place.gateway("one"), place.gateway("two")]
        for _ in range(2):
            with Streams(gateways, place.key, 8) as streams:
                pair.fail_over()
                proxy.lead_to(pair.primary.port)
                place.is_back()
            assert streams.complete == streams.number
            place.asked += streams.complete
            pair.renew_standby()
        place.end_and_audit(0, None)


def test_a_server_that_only_reads_is_left_as_soon_as_it_reports_it(
    server: Server, simulated: Simulated, tmp_path: Path
) -> None:
    """SQLSTATE 25006 on connections that were good: no new one is made, and it is an outage."""
    url = server.url(Pair.DATABASE)
    place = Place(tmp_path, simulated, url, url)
    with Streams([place.gateway("one")], place.key, 8) as streams:
        only_read(server, True)
        place.is_away()
        only_read(server, False)
        place.is_back()
    place.end_and_audit(streams.complete)


def only_read(server: Server, only: bool) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        change = f"SET default_transaction_read_only = {'on' if only else 'off'}"
        connection.execute(f"ALTER SYSTEM {change}".encode())
        connection.execute("SELECT pg_reload_conf()")


def test_a_server_that_is_restarted(server: Server, simulated: Simulated, tmp_path: Path) -> None:
    url = server.url(Pair.DATABASE)
    place = Place(tmp_path, simulated, url, url)
    with Streams([place.gateway("one"), place.gateway("two")], place.key, 8) as streams:
        server.stop()
        place.is_away()
        server.start()
        place.is_back()
    assert streams.complete == streams.number
    place.end_and_audit(streams.complete)


def test_a_full_disk(server: Server, simulated: Simulated, tmp_path: Path) -> None:
    """Everything can be read and nothing written; when there is room again, it is over."""
    with small_disk(server, server.data.parent / "disk") as disk:
        url = server.url("small")
        place = Place(tmp_path, simulated, url, url)
        gateway = place.gateway("one")
        with Streams([gateway], place.key, 12) as streams:
            filler = disk / "filler"
            with filler.open("wb") as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            wait_until(lambda: place.ask(gateway) == 503, "the disk to be full for a charge")
            wait_until(lambda: gateway.readiness() == 503, "the gateway to be not ready")
            filler.unlink()
            place.is_back()
        assert streams.complete == streams.number
        place.end_and_audit(streams.complete, None, cause="No space left on device")


@contextmanager
def small_disk(server: Server, folder: Path) -> Iterator[Path]:
    """A database called `small` in a file system of a few megabytes."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system of our own: {mounted.stderr.decode()}")
    try:
        place = folder / "tables"
        place.mkdir()
        shutil.chown(place, "postgres", "postgres")
        server.ask(f"CREATE TABLESPACE small LOCATION '{place}'")
        server.ask("CREATE DATABASE small TABLESPACE small")
        yield folder
        server.stop()
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("step", ["+1h", "-1h"])
def test_a_clock_that_steps_by_more_than_a_lease(
    simulated: Simulated, tmp_path: Path, step: str
) -> None:
    shims = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not shims:
        pytest.skip("libfaketime is not installed (apt-get install libfaketime)")
    with servers() as made:
        server = made.primary
        clock = server.data.parent / "clock"
        clock.write_text("+0\n")
        server.environment = {
            "LD_PRELOAD": str(shims[0]),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        server.initialize()
        server.start()
        server.ask(f'CREATE DATABASE "{Pair.DATABASE}"')
        url = server.url(Pair.DATABASE)
        place = Place(tmp_path, simulated, url, url)
        with Streams([place.gateway("one"), place.gateway("two")], place.key, 12) as streams:
            before = place.books.now()
            clock.write_text(f"{step}\n")
            wait_until(
                lambda: abs((place.books.now() - before).total_seconds()) > 3000, "another time"
            )
            wait_for_looks(place)
            place.is_back()
        assert streams.complete == streams.number
        assert place.books.count("refund") == 0
        place.end_and_audit(streams.complete, outages=0)


def test_fleets_with_leases_of_different_lengths_share_a_database(
    server: Server, simulated: Simulated, tmp_path: Path
) -> None:
    """One beats more rarely than the other one's lease is long."""
    url = server.url(Pair.DATABASE)
    place = Place(tmp_path, simulated, url, url)
    long = {"FAREGATE_LEASE_SECONDS": "60", "FAREGATE_HEARTBEAT_SECONDS": "20"}
    gateways = [place.gateway("short"), place.gateway("long", **long)]
    with Streams(gateways, place.key, 12) as streams:
        wait_for_looks(place)
    assert streams.complete == streams.number
    assert place.books.count("refund") == 0
    place.end_and_audit(streams.complete, outages=0)


def wait_for_looks(place: Place) -> None:
    """Until two leases have passed by the marks that living replicas leave."""
    seen = set()

    def look() -> bool:
        seen.add(str(place.books.scalar("SELECT max(seen_at) FROM replica")))
        return len(seen) > 4 * LEASE_SECONDS

    wait_until(look, "heartbeats", 60)
