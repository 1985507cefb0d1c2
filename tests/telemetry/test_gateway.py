"""The metrics of a real gateway: what clients send makes no series, and keys take theirs along."""

import json
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice

import pytest

from gateway.store.database import Database
from gateway.store.key_rows import find_key
from gateway.store.keys import revoke_key
from tests.harness.books import INSTALLATION
from tests.harness.dialects import PATHS
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    running_gateway,
    wait_until,
)

_INPUTS = 100_000
_BATCH = 50
#: enough that no account's refusals are so many that they are slowed down
_ACCOUNTS = 16


@pytest.fixture(scope="module")
def gateway(
    module_database_url: str | None,
    simulated: Simulated,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url),
        api_key("alice"),
        api_key("doomed", account="bob"),
        credit_grant("alice", credits=1_000_000),
        credit_grant("bob", account="bob", credits=1_000),
        *(api_key(f"many-{number}", account=f"many-{number}") for number in range(_ACCOUNTS)),
        *(
            credit_grant(f"many-{number}", account=f"many-{number}", credits=100_000)
            for number in range(_ACCOUNTS)
        ),
    ]
    folder = tmp_path_factory.mktemp("metrics")
    with running_gateway(folder, documents, database_url=module_database_url) as process:
        yield process


def series(gateway: GatewayProcess) -> set[str]:
    """Every series without its value; not what the process reports of itself."""
    lines = gateway.metrics().splitlines()
    return {line.rpartition(" ")[0] for line in lines if line.startswith("faregate_")}


def value(gateway: GatewayProcess, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", gateway.metrics(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def test_a_revoked_key_takes_its_series_along(gateway: GatewayProcess) -> None:
    key = gateway.key("doomed")
    ask = {"model": "kimi-k2.5", "messages": [{"role": "user", "content": "!answer four"}]}
    headers = {"x-api-key": key}
    assert gateway.http.post(PATHS["chat"], headers=headers, json=ask).status_code == 200
    assert f'key="{NAMESPACE}/doomed"' in gateway.metrics()
    count_of = 'faregate_revocation_propagation_seconds_count{stage="known"}'
    before = value(gateway, count_of)
    database = Database(gateway.database_url)
    row = find_key(database, INSTALLATION, NAMESPACE, "doomed")
    assert row is not None
    revoke_key(database, row.id)
    database.close()
    wait_until(lambda: f'key="{NAMESPACE}/doomed"' not in gateway.metrics(), "its series to go")
    assert value(gateway, count_of) == before + 1
    within = value(
        gateway, 'faregate_revocation_propagation_seconds_bucket{le="10.0",stage="known"}'
    )
    assert within == before + 1
    assert gateway.http.post(PATHS["chat"], headers=headers, json=ask).status_code == 401
    assert f'key="{NAMESPACE}/doomed"' not in gateway.metrics()


@pytest.mark.parametrize("module_database_url", ["sqlite"], indirect=True)
def test_a_hundred_thousand_inputs_make_no_series(gateway: GatewayProcess) -> None:
    """Models, paths, keys, user ids, headers and methods, each one new."""
    numbers = count()
    keys = [gateway.key(f"many-{number}") for number in range(_ACCOUNTS)]
    _send(gateway, _requests(keys, numbers, 200 * _ACCOUNTS))
    before = series(gateway)
    _send(gateway, _requests(keys, numbers, _INPUTS))
    assert next(numbers) >= _INPUTS
    assert series(gateway) == before
    assert value(gateway, "faregate_folded_total") == 0


def _requests(keys: list[str], numbers: Iterator[int], amount: int) -> Iterator[bytes]:
    """Each is refused but every fiftieth, which names its user; the accounts take turns."""
    for number in (next(numbers) for _ in range(amount)):
        known = f"authorization: Bearer {keys[number // 200 % len(keys)]}\r\n"
        message = [{"role": "user", "content": "!answer four"}]
        if number % 50 == 0:
            body = {"model": "kimi-k2.5", "messages": message, "user": f"user-{number}"}
            yield _post(PATHS["chat"], known, body)
        elif number % 4 == 0:
            yield _post(PATHS["chat"], known, {"model": f"model-{number}", "messages": message})
        elif number % 4 == 1:
            yield f"GET /api/openai/v1/path-{number} HTTP/1.1\r\nhost: h\r\n{known}\r\n".encode()
        elif number % 100 == 2:
            unknown = f"authorization: Bearer sk-nobody-{number}\r\nx-header-{number}: {number}\r\n"
            yield _post(PATHS["messages"], unknown, {"model": "kimi-k2.5"})
        else:
            named = {"user_id": f"user-{number}"}
            yield _post(PATHS["messages"], known, {"model": "kimi-k2.5", "metadata": named})


def _post(path: str, headers: str, given: Mapping[str, object]) -> bytes:
    body = json.dumps(given)
    return (
        f"POST {path} HTTP/1.1\r\nhost: h\r\n{headers}content-length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _send(gateway: GatewayProcess, requests: Iterable[bytes]) -> None:
    """All of them over one connection, many at once; every one is answered."""
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection,
        connection.makefile("rb") as answers,
    ):
        waiting = iter(requests)
        while batch := list(islice(waiting, _BATCH)):
            connection.sendall(b"".join(batch))
            for _ in batch:
                assert answers.readline().startswith(b"HTTP/1.1 ")
                length = 0
                while (line := answers.readline()) != b"\r\n":
                    name, _, given = line.partition(b": ")
                    if name.lower() == b"content-length":
                        length = int(given)
                answers.read(length)
