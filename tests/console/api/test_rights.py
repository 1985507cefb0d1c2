"""Every route of `/api/v1` × who asks × own or foreign: nobody reads or changes what is others'.

The routes are the application's own; one without a sample fails.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import Struct

from gateway.console.api.application import BASE, account_app
from gateway.core.keys import key_id_of
from tests.console.api.manager import FOREIGN, JSON, Manager, with_secret
from tests.console.browser import Browser
from tests.console.steps import link
from tests.harness.dialects import PATHS, body
from tests.harness.gateway import NAMESPACE, PLAINTEXTS, GatewayProcess, wait_until

#: the management key of each namespace
MANAGERS = {NAMESPACE: "manages", FOREIGN: "foreign-manages"}
#: one key of the account `alice` in each
CLIENTS = {NAMESPACE: "infers", FOREIGN: "foreign"}


class Sample(Struct, frozen=True):
    """A question about something in a namespace; in braces stands what is asked about."""

    query: str = ""
    sent: JSON | None = None
    #: True where an inference key may ask it about its own account
    is_open: bool = False
    succeeds: int = 200
    #: the status where it is about something foreign, which is that of something unknown
    refused: int = 404

    def fill(self, path: str, target: JSON) -> tuple[str, JSON | None]:
        sent = self.sent and {
            name: value.format_map(target) if isinstance(value, str) else value
            for name, value in self.sent.items()
        }
        return (path + self.query).format_map(target), sent

    def names_something(self, path: str) -> bool:
        return any("{" in str(part) for part in (path, self.query, *(self.sent or {}).values()))


OF_ACCOUNT = Sample("?account={account}", is_open=True)
SAMPLES: dict[tuple[str, str], Sample] = {
    ("GET", "/account"): Sample(is_open=True),
    ("GET", "/entries"): OF_ACCOUNT,
    ("GET", "/entries/{request_id}"): OF_ACCOUNT,
    ("GET", "/events"): OF_ACCOUNT,
    ("GET", "/statement"): OF_ACCOUNT,
    ("GET", "/usage"): OF_ACCOUNT,
    ("GET", "/models"): Sample(is_open=True),
    ("GET", "/accounts"): Sample(),
    ("GET", "/grants"): Sample("?account={account}", refused=200),
    ("POST", "/grants"): Sample(
        sent={"account": "{account}", "credits": 5, "reference": "matrix"}, succeeds=201
    ),
    ("POST", "/grants/{grant_id}/void"): Sample(),
    ("GET", "/keys"): Sample("?account={account}", refused=200),
    ("POST", "/keys"): Sample(sent={"name": "x", "account": "{account}"}, succeeds=201),
    ("GET", "/keys/{key_id}"): Sample(),
    ("PATCH", "/keys/{key_id}"): Sample(sent={"name": "changed"}),
    ("POST", "/keys/{key_id}/rotate"): Sample(sent={"overlap": "0s"}, succeeds=201),
    ("POST", "/keys/{key_id}/revoke"): Sample(),
    ("GET", "/openapi.json"): Sample(is_open=True),
}


def routes() -> list[tuple[str, str]]:
    """Method and path of all routes, without their base; the description leaves itself out."""
    described = account_app(None).openapi()["paths"]
    return [
        ("GET", "/openapi.json"),
        *(
            (method.upper(), path.removeprefix(BASE))
            for path, methods in described.items()
            for method in methods
        ),
    ]


@pytest.fixture(scope="module")
def spent(gateway: GatewayProcess) -> dict[str, str]:
    """A charged request of each namespace's client."""
    return {namespace: charge(gateway, namespace) for namespace in CLIENTS}


def charge(gateway: GatewayProcess, namespace: str) -> str:
    """The id of a request that has ended."""
    headers = {"x-api-key": gateway.key(CLIENTS[namespace], namespace)}
    answer = gateway.http.post(PATHS["chat"], json=body("chat", "Hi"), headers=headers)
    assert answer.status_code == 200, answer.text
    request_id = answer.headers["x-request-id"]

    def has_ended() -> bool:
        found = gateway.http.get(f"{BASE}/entries/{request_id}", headers=headers)
        return bool(found.json()["state"] == "ended")

    wait_until(has_ended, "the end of the request")
    return request_id


def target_of(gateway: GatewayProcess, namespace: str, route: str, request_id: str) -> JSON:
    """The things of a namespace that a route is asked about; the key is new, in a new account."""
    manager = Manager(gateway, MANAGERS[namespace], namespace)
    account = f"{namespace}/" + re.sub("[^a-z]+", "-", route.lower()).strip("-")
    key, _ = manager.made(account=account)
    wanted = {"account": account, "credits": 7, "reference": route}
    grant = manager.ask("POST", "/grants", wanted).json()
    # The account of the clients is asked about, since a client may ask about no other.
    return {
        "account": f"{namespace}/alice",
        "key_account": account,
        "key_id": key["id"],
        "grant_id": grant["id"],
        "request_id": request_id,
    }


def everything(gateway: GatewayProcess, namespace: str, target: JSON) -> list[Any]:
    """All that a namespace's own keys see of it; the use of those very keys does not count."""
    manager = Manager(gateway, MANAGERS[namespace], namespace)
    keys = manager.ask("GET", "/keys").json()["data"]
    found: list[Any] = [{**key, "last_used_at": None} for key in keys]
    for account in (target["account"], target["key_account"]):
        for each in ("entries", "events"):
            found += manager.ask("GET", f"/{each}?account={account}").json()["data"]
    return found


def askers(gateway: GatewayProcess, target: str) -> Iterator[tuple[str, str | None, bool, bool]]:
    """Each one who asks: a name, its key, if it may manage, and if the target is its own.

    The one to which the target belongs comes last: it may change it.
    """
    yield "nobody", None, False, False
    for home in sorted(MANAGERS, key=lambda name: name == target):
        yield f"{home}'s client", gateway.key(CLIENTS[home], home), False, home == target
        yield f"{home}'s manager", gateway.key(MANAGERS[home], home), True, home == target


def expected(sample: Sample, key: str | None, manages: bool, is_own: bool) -> int:
    if key is None:
        return 401
    if not manages and not sample.is_open:
        return 403
    return sample.succeeds if is_own else sample.refused


def test_each_route_has_a_sample() -> None:
    assert sorted(routes()) == sorted(SAMPLES), "SAMPLES needs a request of each route"


@pytest.mark.parametrize(("method", "path"), sorted(SAMPLES))
def test_a_route_serves_whom_it_is_for(
    gateway: GatewayProcess, spent: dict[str, str], method: str, path: str
) -> None:
    sample = SAMPLES[method, path]
    for namespace in MANAGERS:
        target = target_of(gateway, namespace, f"{method}{path}", spent[namespace])
        before = everything(gateway, namespace, target)
        filled, sent = sample.fill(path, target)
        for who, key, manages, is_own in askers(gateway, namespace):
            if is_own and manages:
                now = everything(gateway, namespace, target)
                assert now == before, "one of the others changed something"
            headers = {"idempotency-key": f"matrix of {path} by {who}"}
            if key is not None:
                headers["authorization"] = f"Bearer {key}"
            answer = gateway.http.request(method, f"{BASE}{filled}", json=sent, headers=headers)
            is_fit = is_own or not sample.names_something(path)
            status = expected(sample, key, manages, is_fit)
            assert answer.status_code == status, f"{who}, of {namespace}: {answer.text}"
            if answer.status_code < 300 and not is_own:
                assert f"{namespace}/" not in answer.text, f"{who} reads what is {namespace}'s"


def test_the_foreign_are_refused_in_the_words_for_the_unknown(
    gateway: GatewayProcess, manager: Manager
) -> None:
    for path in ("/usage", "/entries", "/entries/req_1", "/statement", "/events"):
        texts = set()
        for account in (f"{FOREIGN}/alice", f"{FOREIGN}/nobody", f"{NAMESPACE}/nobody", "x\0"):
            answer = manager.ask("GET", f"{path}?account={quote(account)}")
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (404, "account"), answer.text
            texts.add(error["message"].replace(account, "A"))
        assert texts == {"there is no account A"}
        twice = manager.ask("GET", f"{path}?account={NAMESPACE}/alice&account={NAMESPACE}/alice")
        assert (twice.status_code, twice.json()["error"]["param"]) == (400, "account")


def test_a_manager_reads_what_the_account_s_own_key_reads(
    gateway: GatewayProcess, manager: Manager, spent: dict[str, str]
) -> None:
    headers = {"x-api-key": gateway.key("infers")}
    request_id = spent[NAMESPACE]
    paths = ["entries", f"entries/{request_id}", "events", "usage", "statement?month=2020-01"]
    for path in paths:
        joined = "&" if "?" in path else "?"
        own = gateway.http.get(f"/api/v1/{path}", headers=headers)
        managed = manager.ask("GET", f"/{path}{joined}account={NAMESPACE}/alice")
        assert own.status_code == 200
        # Usage has the moment up to which it was counted.
        moment = {"complete_until": None}
        assert own.json() | moment == managed.json() | moment
    assert manager.ask("GET", "/entries").json()["account"] == f"{NAMESPACE}/automation"


def test_nobody_takes_the_id_that_another_s_key_will_have(
    gateway: GatewayProcess, manager: Manager
) -> None:
    account = f"{NAMESPACE}/squatted"
    manager.made(account=account)
    (asks,) = (
        key for key in manager.ask("GET", "/keys").json()["data"] if key["name"] == "manages"
    )
    guessed = key_id_of(asks["id"], "payroll")
    with Browser(gateway.url) as mallory:
        path = link(gateway, "member", NAMESPACE)
        mallory.submit(mallory.get(path), path)
        asked = f"account={quote(account, safe='')}"
        page = mallory.get(f"/console/keys/new?{asked}")
        fields = {"label": "hers", "expires": "90", "attempt": guessed}
        shown = mallory.submit(page, f"/console/keys?{asked}", fields).text
        assert "This is the only time that the key is shown" in shown
        PLAINTEXTS.update(re.findall(r"sk-\w+", shown))
    wanted = {"name": "payroll", "account": account}
    answer = manager.ask("POST", "/keys", wanted, **{"idempotency-key": "payroll"})
    assert answer.status_code == 201
    assert with_secret(answer.json())[0]["id"] == guessed
