"""`GET /api/v1/usage` and the command of the same name, in a gateway that counts by itself."""

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import Request

from gateway.core.errors import InvalidRequest
from gateway.http.routes.usage import read_soon
from tests.harness.books import check_books
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import (
    NAMESPACE,
    GatewayProcess,
    Simulated,
    api_key,
    credit_grant,
    fleet,
    run_command,
    wait_until,
)


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, module_database_url: str | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = [
        fleet(simulated.url),
        api_key("mine"),
        api_key("second"),
        api_key("other", "bob"),
        api_key("manages", "automation", scope="manage"),
        credit_grant("start", credits=100),
    ]
    folder = tmp_path_factory.mktemp("usage")
    process = GatewayProcess(folder, documents, database_url=module_database_url).start()
    for key, route, text, tags in (
        ("mine", "chat", "Hi", {"metadata": {"team": "search"}}),
        ("mine", "messages", "Hi", {}),
        ("second", "chat", "Hi", {}),
        ("second", "chat", "!error 503", {"metadata": {"team": "ads", "step": "1"}}),
    ):
        headers = {"x-api-key": process.key(key)}
        if route == "messages":
            headers["x-faregate-tags"] = "team=search"
        process.http.post(PATHS[route], json={**body(route, text), **tags}, headers=headers)
    wait_until(lambda: process.balance(process.key("mine")) == 94, "three are charged, one is not")

    def is_counted() -> bool:
        total = ask(process).json()["total"]
        return bool(total["requests"] == 4 and total["tokens"]["input"])

    wait_until(is_counted, "the gateway to count what was booked", 60)
    yield process
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


def ask(gateway: GatewayProcess, name: str = "mine", /, **values: str) -> httpx.Response:
    headers = {"x-api-key": gateway.key(name)}
    return gateway.http.get("/api/v1/usage", params=values, headers=headers)


def lines(response: httpx.Response) -> list[dict[str, str]]:
    assert response.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(response.text)))


def test_an_account_reads_what_all_of_its_keys_have_used(gateway: GatewayProcess) -> None:
    found = ask(gateway, group_by="key,route").json()
    assert (found["object"], found["account"]) == ("usage", f"{NAMESPACE}/alice")
    assert (found["timezone"], found["group_by"]) == ("UTC", ["key", "route"])
    assert [(one["key"], one["route"], one["requests"], one["failed"], one["credits"])
            for one in found["data"]] == [
        ("team/mine", "chat", 1, 0, 2),
        ("team/mine", "messages", 1, 0, 2),
        ("team/second", "chat", 2, 1, 2),
    ]  # fmt: skip
    assert all(one["key_id"].startswith("key_") for one in found["data"])
    total = found["total"]
    assert (total["requests"], total["failed"], total["credits"]) == (4, 1, 6)
    assert (total["credits_charged"], total["credits_refunded"]) == (8, 2)
    assert total["tokens"]["output"] > 0
    assert datetime.fromisoformat(found["complete_until"]) < datetime.now(UTC)


def test_tags_group_what_was_used(gateway: GatewayProcess) -> None:
    found = ask(gateway, group_by="tag:team").json()
    assert found["group_by"] == ["tag:team"]
    assert [(one["tag:team"], one["requests"], one["credits"]) for one in found["data"]] == [
        (None, 1, 2), ("ads", 1, 0), ("search", 2, 4),
    ]  # fmt: skip
    assert found["total"]["credits"] == 6
    only = ask(gateway, group_by="key,route", **{"tag:team": "search"}).json()
    assert [(one["route"], one["credits"]) for one in only["data"]] == [
        ("chat", 2),
        ("messages", 2),
    ]
    rows = lines(ask(gateway, group_by="tag:team", format="csv"))
    assert [row["tag:team"] for row in rows] == ["", "ads", "search"]
    code, printed = run_command(
        "usage", "--account", f"{NAMESPACE}/alice", "--data", str(gateway.data),
        "--group-by", "", "--tag", "team=search", environment=gateway.environment,
    )  # fmt: skip
    assert code == 0
    assert '"total":{"requests":2' in printed


def test_another_account_has_used_nothing(gateway: GatewayProcess) -> None:
    found = ask(gateway, "other").json()
    assert (found["data"], found["total"]["requests"]) == ([], 0)


def test_days_are_those_of_the_zone(gateway: GatewayProcess) -> None:
    [utc] = ask(gateway, group_by="hour").json()["data"]
    [tokyo] = ask(gateway, group_by="hour", timezone="Asia/Tokyo").json()["data"]
    assert utc["hour"].endswith(":00:00Z")
    assert tokyo["hour"].endswith(":00:00+09:00")
    assert datetime.fromisoformat(utc["hour"]) == datetime.fromisoformat(tokyo["hour"])
    [day] = ask(gateway, timezone="Asia/Tokyo").json()["data"]
    assert day["day"] == tokyo["hour"][:10]
    headers = {"x-api-key": gateway.key("mine")}
    url = f"/api/v1/usage?group_by=hour&timezone=+09:00&from={tokyo['hour']}"
    found = gateway.http.get(url, headers=headers).json()
    assert (found["timezone"], found["data"]) == ("+09:00", [tokyo]), "its plus is not encoded"


def test_csv_has_the_same_sums(gateway: GatewayProcess) -> None:
    values = {"group_by": "day,key,model,route"}
    whole: list[dict[str, Any]] = ask(gateway, **values).json()["data"]
    rows = lines(ask(gateway, **values, format="csv"))
    assert len(rows) == 3
    for row, one in zip(rows, whole, strict=True):
        assert [row[name] for name in ("day", "key", "key_id", "model", "route")] == [
            one[name] for name in ("day", "key", "key_id", "model", "route")
        ]
        assert int(row["credits"]) == one["credits"]
        assert int(row["input_tokens"]) == one["tokens"]["input"]
    headers = {"x-api-key": gateway.key("mine"), "accept": "text/csv"}
    by_header = gateway.http.get("/api/v1/usage", params=values, headers=headers)
    assert lines(by_header) == rows
    assert lines(ask(gateway, model="none", format="csv")) == []


FOCUS = {"format": "focus", "currency": "EUR", "credit_price": "0.25"}


def test_focus_has_the_same_sums_as_costs(gateway: GatewayProcess) -> None:
    rows = lines(ask(gateway, **FOCUS))
    assert [(row["ResourceName"], row["SkuId"], row["x_Route"], row["BilledCost"])
            for row in rows] == [
        ("team/mine", "kimi-k2.5", "chat", "0.50"),
        ("team/mine", "kimi-k2.5", "messages", "0.50"),
        ("team/second", "kimi-k2.5", "chat", "1.00"),
        ("team/second", "kimi-k2.5", "chat", "-0.50"),
    ]  # fmt: skip
    assert {row["BillingAccountId"] for row in rows} == {f"{NAMESPACE}/alice"}
    tagged = lines(ask(gateway, **FOCUS, group_by="day,tag:team", key="team/second"))
    assert [row["Tags"] for row in tagged] == ["", *['{"team":"ads"}'] * 2]
    code, printed = run_command(
        "usage", "--account", f"{NAMESPACE}/alice", "--data", str(gateway.data),
        "--format", "focus", "--currency", "EUR", "--credit-price", "0.25",
        environment=gateway.environment,
    )  # fmt: skip
    assert (code, printed.splitlines()) == (0, ask(gateway, **FOCUS).text.splitlines())
    for values, parameter in (
        ({"credit_price": "1,5"}, "credit_price"),
        ({"timezone": "Europe/Berlin"}, "timezone"),
        ({"format": "csv"}, "currency"),
    ):
        refused = ask(gateway, **{**FOCUS, **values})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, parameter)


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"group": "day"}, "group"),
        ({"group_by": "weekday"}, "group_by"),
        ({"group_by": "tag:team,tag:step"}, "group_by"),
        ({"group_by": "tag:team", "tag:step": "1"}, "tag:step"),
        ({"tag:team": ""}, "tag:team"),
        ({"timezone": "Asia/Kolkata"}, "timezone"),
        ({"from": "last week"}, "from"),
        ({"key": "team/other"}, "key"),
        ({"format": "xml"}, "format"),
        ({"model": "x" * 300}, "model"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(
    gateway: GatewayProcess, values: dict[str, str], parameter: str
) -> None:
    for form in ({}, {"format": "csv"}):
        refused = ask(gateway, **{**form, **values})
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert (error["type"], error["param"]) == ("invalid_request_error", parameter)
    twice = gateway.http.get(
        "/api/v1/usage?key=a&key=b", headers={"x-api-key": gateway.key("mine")}
    )
    assert twice.json()["error"]["param"] == "key"


def test_a_management_key_reads_all_of_its_namespace(gateway: GatewayProcess) -> None:
    own = ask(gateway, group_by="key").json()
    found = ask(gateway, "manages", group_by="namespace,account,key").json()
    assert (found["account"], found["namespaces"]) == (None, [NAMESPACE])
    assert found["total"] == own["total"]
    assert [(one["account"], one["key"]) for one in found["data"]] == [
        (f"{NAMESPACE}/alice", "team/mine"),
        (f"{NAMESPACE}/alice", "team/second"),
    ]
    assert {one["namespace"] for one in found["data"]} == {NAMESPACE}
    rows = lines(ask(gateway, "manages", group_by="account,model", format="csv"))
    assert [(row["account"], row["requests"]) for row in rows] == [(f"{NAMESPACE}/alice", "4")]
    assert ask(gateway, "manages", key="team/none").json()["error"]["param"] == "key"
    # An account may be asked for, the key's own too.
    one = ask(gateway, "manages", account=f"{NAMESPACE}/automation").json()
    assert (one["account"], one["total"]["requests"]) == (f"{NAMESPACE}/automation", 0)
    for arguments in (("--namespace", NAMESPACE), ()):
        code, printed = run_command(
            "usage", *arguments, "--data", str(gateway.data), "--group-by", "account",
            "--format", "csv", environment=gateway.environment,
        )  # fmt: skip
        assert code == 0
        assert f"{NAMESPACE}/alice,4,1,8,2," in printed


def test_a_slow_answer_is_refused_with_a_hint() -> None:
    async def read_next() -> None:
        raise AssertionError("it is not read")

    request = Request({"type": "http"})
    with pytest.raises(InvalidRequest, match="for one account, or by account and as CSV"):
        asyncio.run(read_soon(read_next, request, until=0))


def test_it_needs_a_key(gateway: GatewayProcess) -> None:
    assert gateway.http.get("/api/v1/usage").status_code == 401


@pytest.mark.parametrize("form", ["json", "csv"])
def test_the_command_prints_what_the_api_sends(gateway: GatewayProcess, form: str) -> None:
    code, printed = run_command(
        "usage", "--account", f"{NAMESPACE}/alice", "--data", str(gateway.data),
        "--group-by", "day,key", "--model", "kimi-k2.5", "--format", form,
        environment=gateway.environment,
    )  # fmt: skip
    sent = ask(gateway, group_by="day,key", model="kimi-k2.5", format=form)
    assert code == 0
    if form == "csv":
        assert printed.splitlines() == sent.text.splitlines()
    else:
        assert '"total":{"requests":4' in printed
        assert sent.json()["data"][0]["credits"] == 4


@pytest.mark.parametrize("route", PATHS)
def test_a_wrong_header_of_tags_is_refused_and_costs_nothing(
    gateway: GatewayProcess, route: str
) -> None:
    headers = {"x-api-key": gateway.key("mine"), "x-faregate-tags": "team"}
    refused = gateway.http.post(PATHS[route], json=body(route, "Hi"), headers=headers)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("x-faregate-tags: write tags as name=value")
    assert refused.headers["x-credits-charged"] == "0"
    assert gateway.balance(gateway.key("mine")) == 94


def test_a_command_erases_beside_a_gateway(gateway: GatewayProcess) -> None:
    """Here an account in which nothing was written."""
    for name, code, sentence in (
        ("bob", 0, "0 tagged requests"),
        ("nobody", 1, f"there is no account {NAMESPACE}/nobody"),
    ):
        arguments = ("--account", f"{NAMESPACE}/{name}", "--data", str(gateway.data))
        printed = run_command("erase", *arguments, environment=gateway.environment)
        assert printed[0] == code
        assert sentence in printed[1]


def test_the_command_s_errors_are_sentences(gateway: GatewayProcess) -> None:
    for arguments, sentence in (
        (("--account", "team/nobody"), "there is no account team/nobody"),
        (("--account", "team/alice", "--key", "none"), "there is no such key"),
        (("--account", "team/alice", "--timezone", "Moon"), "timezone must be"),
    ):
        code, printed = run_command(
            "usage", *arguments, "--data", str(gateway.data), environment=gateway.environment
        )
        assert code == 1
        assert sentence in printed
