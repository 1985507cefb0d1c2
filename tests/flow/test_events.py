"""`GET /api/v1/events` and the command: the file that made a key or posted a grant is named."""

import json
from collections.abc import Iterator

import pytest

from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    run_command,
    running_gateway,
)


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url),
        api_key("mine"),
        api_key("other", "bob"),
        credit_grant("start", credits=100, reason="a start"),
    ]
    with running_gateway(tmp_path_factory.mktemp("events"), documents) as process:
        yield process


def test_an_account_reads_its_own_events_by_pages(gateway: GatewayProcess) -> None:
    headers = {"x-api-key": gateway.key("mine")}
    first = gateway.http.get("/api/v1/events?limit=1", headers=headers).json()
    [made] = first["data"]
    assert (made["kind"], made["subject"]) == ("key.made", f"{NAMESPACE}/mine")
    assert made["actor"] == f"file {gateway.config.name}"
    assert (first["account"], first["has_more"]) == (f"{NAMESPACE}/alice", True)
    path = f"/api/v1/events?limit=1&after={first['last_id']}"
    second = gateway.http.get(path, headers=headers).json()
    [posted] = second["data"]
    assert (posted["kind"], posted["detail"]["reason"]) == ("grant.posted", "a start")
    assert second["has_more"] is False


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "after=-1", "page=2"])
def test_a_page_that_is_none_is_a_400(gateway: GatewayProcess, query: str) -> None:
    headers = {"x-api-key": gateway.key("mine")}
    answer = gateway.http.get(f"/api/v1/events?{query}", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == query.partition("=")[0]


def test_a_shell_prints_those_of_all_accounts(gateway: GatewayProcess) -> None:
    def events(*flags: str) -> list[str]:
        code, printed = run_command("events", "--data", str(gateway.data), *flags)
        assert code == 0, printed
        return [json.loads(line)["subject"] for line in printed.splitlines()]

    everything = events()
    assert sorted(everything) == [f"{NAMESPACE}/{name}" for name in ("mine", "other", "start")]
    assert events("--account", f"{NAMESPACE}/bob") == [f"{NAMESPACE}/other"]
    assert events("--limit", "1") == everything[:1]
