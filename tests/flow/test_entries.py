"""`GET /api/v1/entries` and the command of the same name, in a running gateway."""

import csv
import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

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
        credit_grant("start", credits=100, reason="=a start", reference="order-7"),
    ]
    folder = tmp_path_factory.mktemp("entries")
    process = GatewayProcess(folder, documents, database_url=module_database_url).start()
    tags = {"metadata": {"team": "search"}}
    for key, route, text, more in (
        ("mine", "chat", "Hi", tags),
        ("mine", "messages", "Hi", {}),
        ("second", "chat", "!error 503", tags),
    ):
        headers = {"x-api-key": process.key(key), "idempotency-key": f"{key}-{route}"}
        process.http.post(PATHS[route], json={**body(route, text), **more}, headers=headers)

    def have_ended() -> bool:
        charges = ask(process, kind="charge").json()["data"]
        return all(one["tokens"] for one in charges if one["key"]["name"] == "team/mine")

    wait_until(have_ended, "the ends to be written")
    yield process
    assert process.stop() == 0, process.log_text()
    check_books(process.database_url)


def ask(gateway: GatewayProcess, name: str = "mine", /, **values: str) -> httpx.Response:
    headers = {"x-api-key": gateway.key(name)}
    return gateway.http.get("/api/v1/entries", params=values, headers=headers)


def test_an_account_lists_its_entries(gateway: GatewayProcess) -> None:
    found = ask(gateway).json()
    assert (found["object"], found["account"]) == ("list", f"{NAMESPACE}/alice")
    assert (found["has_more"], found["last_id"]) == (False, None)
    assert [(one["kind"], one["credits"], one["balance_after"]) for one in found["data"]] == [
        ("refund", 2, 96), ("charge", -2, 94), ("charge", -2, 96), ("charge", -2, 98),
        ("grant", 100, 100),
    ]  # fmt: skip
    refund, _, messages, chat, grant = found["data"]
    assert (refund["key"]["name"], refund["route"]) == ("team/second", "chat")
    assert refund["idempotency_key"] == "second-chat"
    assert (messages["route"], chat["route"]) == ("messages", "chat")
    assert chat["tokens"]["output"] > 0
    assert (refund["tags"], chat["tags"], messages["tags"]) == ({"team": "search"},) * 2 + (None,)
    assert grant["grant"] == {"name": "team/start", "reference": "order-7", "reason": "=a start"}
    one = gateway.http.get(
        f"/api/v1/entries/{chat['request_id']}", headers={"x-api-key": gateway.key("mine")}
    ).json()
    assert (one["tokens"], one["key"]) == (chat["tokens"], chat["key"])


def test_pages_follow_each_other(gateway: GatewayProcess) -> None:
    whole = ask(gateway).json()["data"]
    found: list[dict[str, Any]] = []
    values = {"limit": "2"}
    while True:
        page = ask(gateway, **values).json()
        found += page["data"]
        if not page["has_more"]:
            break
        assert page["last_id"] == page["data"][-1]["id"]
        values["after"] = str(page["last_id"])
    assert found == whole


def test_a_filter(gateway: GatewayProcess) -> None:
    for values, kinds in (
        ({"key": "team/second"}, ["refund", "charge"]),
        ({"kind": "grant,refund"}, ["refund", "grant"]),
        ({"route": "messages"}, ["charge"]),
        ({"tag:team": "search"}, ["refund", "charge", "charge"]),
        ({"tag:team": "search", "tag:step": "1"}, []),
        ({"from": "2090-01-01"}, []),
        ({"to": "2020-01-01"}, []),
    ):
        assert [one["kind"] for one in ask(gateway, **values).json()["data"]] == kinds
    refund = ask(gateway, kind="refund").json()["data"][0]
    of_request = ask(gateway, request_id=refund["request_id"]).json()
    assert [one["kind"] for one in of_request["data"]] == ["refund", "charge"]
    assert ask(gateway, "other", request_id=refund["request_id"]).json()["data"] == []


def test_another_account_has_none(gateway: GatewayProcess) -> None:
    assert ask(gateway, "other").json()["data"] == []


def test_csv_is_the_same(gateway: GatewayProcess) -> None:
    whole = ask(gateway).json()["data"]
    sent = ask(gateway, format="csv")
    assert sent.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    rows = list(csv.DictReader(io.StringIO(sent.text)))
    assert [int(row["id"]) for row in rows] == [one["id"] for one in whole]
    assert rows[-1]["reason"] == "'=a start", "no formula for a spreadsheet"
    assert int(rows[-2]["output_tokens"]) == whole[-2]["tokens"]["output"]
    assert rows[-2]["key_id"] == whole[-2]["key"]["key_id"]
    assert len(ask(gateway, format="csv", limit="2").text.splitlines()) == 3


@pytest.mark.parametrize(
    ("values", "parameter"),
    [
        ({"page": "2"}, "page"),
        ({"kind": "gift"}, "kind"),
        ({"limit": "5000"}, "limit"),
        ({"from": "now"}, "from"),
        ({"key": "team/other"}, "key"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(
    gateway: GatewayProcess, values: dict[str, str], parameter: str
) -> None:
    for form in ({}, {"format": "csv"}):
        refused = ask(gateway, **{**form, **values})
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == parameter


@pytest.mark.parametrize("form", ["json", "csv"])
def test_the_command_prints_what_the_api_sends(gateway: GatewayProcess, form: str) -> None:
    code, printed = run_command(
        "entries", "--account", f"{NAMESPACE}/alice", "--data", str(gateway.data),
        "--kind", "charge", "--key", "team/mine", "--format", form,
        environment=gateway.environment,
    )  # fmt: skip
    sent = ask(gateway, kind="charge", key="team/mine", format=form)
    assert code == 0
    assert printed.splitlines() == sent.text.splitlines()
