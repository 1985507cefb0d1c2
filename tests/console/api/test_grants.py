"""`/api/v1/grants` and `/api/v1/accounts`: credits by reference, once, and where they are."""

from typing import Any

import pytest
import yaml

from gateway.core.spec import parse_document
from tests.console.api.manager import FOREIGN, JSON, Manager
from tests.harness.gateway import NAMESPACE, GatewayProcess


def account_of(manager: Manager, shown: str) -> JSON:
    answer = manager.ask("GET", f"/accounts?search={shown}")
    assert answer.status_code == 200, answer.text
    [found] = answer.json()["data"]
    return dict(found)


def test_a_reference_is_granted_once_and_taken_back_once(manager: Manager) -> None:
    shown = f"{NAMESPACE}/granted"
    wanted = {"account": shown, "credits": 500, "reference": "order 1", "reason": "März"}
    first = manager.ask("POST", "/grants", wanted)
    again = manager.ask("POST", "/grants", wanted)
    assert [first.status_code, again.status_code] == [201, 200]
    grant = first.json()
    assert grant == again.json()
    assert (grant["left"], grant["state"], grant["reason"]) == (500, "live", "März")
    assert account_of(manager, shown)["balance"] == 500
    other = manager.ask("POST", "/grants", {**wanted, "credits": 501})
    assert (other.status_code, other.json()["error"]["details"]["reason"]) == (
        409,
        "posted_otherwise",
    )
    for _ in range(2):
        voided = manager.ask("POST", f"/grants/{grant['id']}/void")
        assert (voided.status_code, voided.json()["state"]) == (200, "voided")
    assert account_of(manager, shown)["balance"] == 0
    late = manager.ask("POST", "/grants", wanted)
    assert (late.status_code, late.json()["error"]["details"]["reason"]) == (409, "voided")
    events = manager.ask("GET", f"/events?account={shown}").json()["data"]
    assert [event["kind"] for event in events] == ["grant.voided", "grant.posted"]
    assert {event["actor"] for event in events} == {f"key {NAMESPACE}/manages"}


def test_a_management_key_that_is_not_named_prints_no_money(gateway: GatewayProcess) -> None:
    unnamed = Manager(gateway, "grants-nothing")
    wanted = {"account": f"{NAMESPACE}/alice", "credits": 1, "reference": "mine"}
    refused = unnamed.ask("POST", "/grants", wanted)
    assert refused.status_code == 403
    assert refused.json()["error"]["details"] == {"limit": "grant", "level": "role"}
    listed = unnamed.ask("GET", "/grants").json()["data"]
    assert "mine" not in [grant["reference"] for grant in listed]
    assert unnamed.ask("POST", f"/grants/{listed[-1]['id']}/void").status_code == 403


def test_an_object_s_grant_is_voided_where_it_is_declared(manager: Manager) -> None:
    [grant] = [
        each
        for each in manager.ask("GET", f"/grants?account={NAMESPACE}/automation").json()["data"]
        if each["name"] == "automation"
    ]
    answer = manager.ask("POST", f"/grants/{grant['id']}/void")
    assert answer.status_code == 409
    assert answer.json()["error"]["details"]["reason"] == "managed_by_object"
    assert f"{NAMESPACE}/automation" in answer.json()["error"]["message"]


def test_grants_come_in_pages_and_all_of_them_as_objects(manager: Manager) -> None:
    shown = f"{NAMESPACE}/paged"
    for number in range(3):
        wanted = {"account": shown, "credits": 10, "reference": f"page: {number}"}
        manager.ask("POST", "/grants", wanted | {"expires_at": "2099-01-01T00:00:00.5Z"})
    first = manager.ask("GET", f"/grants?account={shown}&limit=2").json()
    rest = manager.ask("GET", f"/grants?account={shown}&limit=2&after={first['last_id']}").json()
    assert [len(first["data"]), first["has_more"]] == [2, True]
    assert [len(rest["data"]), rest["has_more"], rest["last_id"]] == [1, False, None]
    answer = manager.ask("GET", "/grants?format=yaml")
    assert answer.headers["content-type"].startswith("application/yaml")
    documents = list(yaml.safe_load_all(answer.text))
    for document in documents:
        parse_document(document)
        assert document["metadata"]["namespace"] == NAMESPACE
    names = [document["metadata"]["name"] for document in documents]
    assert len(set(names)) == len(names)
    mine = [one for one in documents if one["spec"].get("reference") == "page: 1"]
    # An object of it is the same grant.
    again = {"account": shown, "credits": 10, "reference": "page: 1"}
    sent = again | {"expires_at": mine[0]["spec"]["expiresAt"]}
    assert manager.ask("POST", "/grants", sent).status_code == 200


def test_accounts_come_in_pages_with_what_they_have(
    gateway: GatewayProcess, manager: Manager
) -> None:
    first = manager.ask("GET", "/accounts?limit=1").json()
    second = manager.ask("GET", f"/accounts?limit=1&after={first['last_id']}").json()
    assert first["data"][0]["account"] < second["data"][0]["account"]
    alice = account_of(manager, f"{NAMESPACE}/alice")
    assert alice["balance"] == gateway.balance(gateway.key("infers"))
    assert alice["live_keys"] >= 1
    assert FOREIGN not in manager.ask("GET", "/accounts").text


def test_models_are_those_that_the_key_may_use(manager: Manager) -> None:
    listed = {each["id"]: each for each in manager.ask("GET", "/models").json()["data"]}
    assert set(listed) >= {"kimi-k2.5", "open"}
    assert listed["open"]["price"]["message"] == 2


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"credits": 0}, "credits"),
        ({"credits": 10**15 + 1}, "credits"),
        ({"credits": "5"}, "credits"),
        ({"credits": 1.0}, "credits"),
        ({"reference": ""}, "reference"),
        ({"reference": "a\nb"}, "reference"),
        ({"reference": "x" * 129}, "reference"),
        ({"reason": "x" * 257}, "reason"),
        ({"account": "alice"}, "account"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": 4102444800}, "expires_at"),
        ({"expires_at": "4102444800"}, "expires_at"),
        ({"void": True}, "void"),
    ],
    ids=str,
)
def test_a_grant_that_means_nothing_is_refused_by_name(
    manager: Manager, sent: JSON, param: str
) -> None:
    wanted: dict[str, Any] = {"account": f"{NAMESPACE}/x", "credits": 5, "reference": "r", **sent}
    answer = manager.ask("POST", "/grants", wanted)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    "query", ["grants?limit=101", "grants?format=csv", "accounts?low=1", "accounts?after=x"]
)
def test_a_question_that_means_nothing_is_refused(manager: Manager, query: str) -> None:
    answer = manager.ask("GET", f"/{query}")
    param = query.partition("?")[2].partition("=")[0]
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("grant_id", ["0", "999999999999", "x", "²", "9" * 40, "0" * 19 + "1"])
def test_a_grant_that_is_not_there_is_not_found(manager: Manager, grant_id: str) -> None:
    assert manager.ask("POST", f"/grants/{grant_id}/void").status_code == 404
