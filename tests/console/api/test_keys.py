"""`/api/v1/keys`: the API's answer is what the key may do, at once and after a restart."""

from typing import Any

import httpx
import pytest

from tests.console.api.manager import JSON, Manager, with_secret
from tests.harness.dialects import DIALECTS, PATHS, body
from tests.harness.gateway import NAMESPACE, GatewayProcess, wait_until


@pytest.fixture(scope="module")
def key(gateway: GatewayProcess) -> JSON:
    """A key that nothing happens to."""
    made, _ = Manager(gateway).made(account=f"{NAMESPACE}/quiet", name="quiet")
    return made


def status(gateway: GatewayProcess, secret: str, dialect: str = "chat", **more: Any) -> int:
    asked = body(dialect, "Hi", **more)
    answer = gateway.http.post(PATHS[dialect], json=asked, headers={"x-api-key": secret})
    return answer.status_code


def test_a_key_s_life_is_what_a_client_meets(gateway: GatewayProcess, manager: Manager) -> None:
    key, secret = manager.made(name="nightly", models=["kimi-*"])
    assert (key["name"], key["origin"], key["status"]) == ("nightly", "person", "active")
    assert key["prefix"] == secret[:10]
    path = f"/keys/{key['id']}"
    assert status(gateway, secret) == 200
    assert status(gateway, secret, model="open") == 403
    changed = manager.ask("PATCH", path, {"name": "daily", "models": []}).json()
    assert (changed["name"], changed["models"]) == ("daily", [])
    wait_until(lambda: status(gateway, secret, model="open") == 200, "the change to be known")
    manager.ask("PATCH", path, {"limits": {"credits_per_day": 2}})
    assert [status(gateway, secret), status(gateway, secret)] == [200, 429]
    assert manager.show(key)["used"]["today"] == 2
    changed = manager.ask("PATCH", path, {"limits": {"credits_per_day": None}}).json()
    assert changed["limits"]["credits_per_day"] is None
    rotated, second = with_secret(manager.ask("POST", f"{path}/rotate", {"overlap": "1h"}).json())
    assert rotated["old_secret_until"] is not None
    assert [status(gateway, secret), status(gateway, second)] == [200, 200]
    answer = manager.ask("POST", f"{path}/rotate", {"overlap": "0s"})
    assert answer.status_code == 201
    _, third = with_secret(answer.json())
    assert [status(gateway, one) for one in (secret, second, third)] == [401, 401, 200]
    suspended = manager.ask("PATCH", path, {"suspended": True}).json()
    assert (suspended["status"], status(gateway, third)) == ("suspended", 401)
    manager.ask("PATCH", path, {"suspended": False})
    wait_until(lambda: status(gateway, third) == 200, "the key to be back")
    for _ in range(2):
        revoked = manager.ask("POST", f"{path}/revoke")
        assert (revoked.status_code, revoked.json()["status"]) == (200, "revoked")
    assert status(gateway, third) == 401
    refused = manager.ask("PATCH", path, {"suspended": False})
    assert (refused.status_code, refused.json()["error"]["details"]["reason"]) == (409, "revoked")


def test_asking_again_makes_no_second_key_and_shows_no_secret(manager: Manager) -> None:
    wanted = {"name": "once", "account": f"{NAMESPACE}/once"}
    first = manager.ask("POST", "/keys", wanted, **{"idempotency-key": "once"})
    again = manager.ask("POST", "/keys", wanted, **{"idempotency-key": "once"})
    assert [first.status_code, again.status_code] == [201, 409]
    made, _ = with_secret(first.json())
    details = again.json()["error"]["details"]
    assert details == {"reason": "already_created", "key_id": made["id"]}
    without = manager.ask("POST", "/keys", wanted)
    assert (without.status_code, without.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_asking_again_rotates_once_and_shows_no_secret(
    gateway: GatewayProcess, manager: Manager
) -> None:
    key, first = manager.made(account=f"{NAMESPACE}/once-more")
    other, _ = manager.made(account=f"{NAMESPACE}/once-more")

    def rotate(of: JSON, **headers: str) -> httpx.Response:
        return manager.ask("POST", f"/keys/{of['id']}/rotate", {"overlap": "0s"}, **headers)

    answer = rotate(key, **{"idempotency-key": "in March"})
    assert answer.status_code == 201
    _, second = with_secret(answer.json())
    again = rotate(key, **{"idempotency-key": "in March"})
    assert again.status_code == 409
    error = again.json()["error"]
    assert error["details"] == {"reason": "already_rotated", "key_id": key["id"]}
    assert [status(gateway, secret) for secret in (first, second)] == [401, 402], "no credits"
    _, third = with_secret(rotate(key, **{"idempotency-key": "in April"}).json())
    assert rotate(key, **{"idempotency-key": "in March"}).status_code == 409, "for ever"
    assert status(gateway, third) == 402
    with_secret(rotate(other, **{"idempotency-key": "in March"}).json())
    for _each in range(2):
        with_secret(rotate(other).json())
    too_long = rotate(other, **{"idempotency-key": "x" * 256})
    assert (too_long.status_code, too_long.json()["error"]["param"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("name", ["", "/", "/x/y", "/*", "/UPPER", "/a\0b", "/" + "a" * 64])
def test_an_account_has_the_name_that_an_object_could_give_it(manager: Manager, name: str) -> None:
    wanted = {"name": "any", "account": f"{NAMESPACE}{name}"}
    answer = manager.ask("POST", "/keys", wanted, **{"idempotency-key": "odd"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "account")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_management_key_may_not_infer(gateway: GatewayProcess, dialect: str) -> None:
    secret = gateway.key("manages")
    answer = gateway.http.post(
        PATHS[dialect], json=body(dialect, "Hi"), headers={"x-api-key": secret}
    )
    assert answer.status_code == 403
    assert answer.headers["x-credits-charged"] == "0"
    error = answer.json()["error"]
    assert error["details"] == {"limit": "scope", "level": "key"}
    assert "management key" in error["message"]
    assert gateway.balance(secret) == 10_000


@pytest.mark.parametrize("path", ["/openai/v1/models", "/anthropic/v1/models", "/nowhere"])
def test_nor_use_any_other_route_of_the_families(gateway: GatewayProcess, path: str) -> None:
    headers = {"x-api-key": gateway.key("manages")}
    assert gateway.http.get(f"/api{path}", headers=headers).status_code == 403


def test_a_key_may_revoke_itself_and_nothing_else(
    gateway: GatewayProcess, manager: Manager
) -> None:
    leaked, secret = manager.made(account=f"{NAMESPACE}/leaky")
    other, _ = manager.made(account=f"{NAMESPACE}/leaky")

    def revoke(key_id: str) -> int:
        path = f"/api/v1/keys/{key_id}/revoke"
        return gateway.http.post(path, headers={"x-api-key": secret}).status_code

    assert revoke(other["id"]) == 403
    assert revoke(leaked["id"]) == 200
    wait_until(lambda: revoke(leaked["id"]) == 401, "the end of the key to be known")
    assert manager.show(leaked)["status"] == "revoked"
    assert manager.show(other)["status"] == "active"


def test_a_key_of_an_object_is_changed_where_it_is_declared(
    gateway: GatewayProcess, manager: Manager
) -> None:
    listed = manager.ask("GET", f"/keys?account={NAMESPACE}/alice&status=active").json()["data"]
    [infers] = [key for key in listed if key["origin"] == "object"]
    assert (infers["source"], infers["name"]) == (f"{NAMESPACE}/infers", "infers")
    for method, path in (
        ("PATCH", ""),
        ("POST", "/rotate"),
        ("POST", "/revoke"),
    ):
        answer = manager.ask(method, f"/keys/{infers['id']}{path}", {})
        assert answer.status_code == 409
        assert answer.json()["error"]["details"]["reason"] == "managed_by_object"
        assert f"{NAMESPACE}/infers" in answer.json()["error"]["message"]
    assert status(gateway, gateway.key("infers")) == 200


def test_keys_come_in_pages_and_by_state(manager: Manager) -> None:
    account = f"{NAMESPACE}/pages"
    made = [manager.made(account=account)[0] for _ in range(3)]
    manager.ask("PATCH", f"/keys/{made[0]['id']}", {"suspended": True})

    def page(query: str = "") -> JSON:
        answer = manager.ask("GET", f"/keys?account={account}{query}")
        assert answer.status_code == 200, answer.text
        found: JSON = answer.json()
        return found

    first = page("&limit=2")
    assert [key["id"] for key in first["data"]] == [made[2]["id"], made[1]["id"]]
    assert (first["has_more"], first["last_id"]) == (True, made[1]["id"])
    rest = page(f"&limit=2&after={first['last_id']}")
    assert [key["id"] for key in rest["data"]] == [made[0]["id"]]
    assert (rest["has_more"], rest["last_id"]) == (False, None)
    assert [key["id"] for key in page("&status=suspended")["data"]] == [made[0]["id"]]
    assert page("&unused_days=90")["data"] == []


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": " x"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": None}, "name"),
        ({"models": [""]}, "models.0"),
        ({"models": ["x\0"]}, "models.0"),
        ({"models": ["m"] * 257}, "models"),
        ({"limits": {"credits_per_day": -1}}, "limits.credits_per_day"),
        ({"limits": {"credits_per_day": "5"}}, "limits.credits_per_day"),
        ({"limits": {"credits_per_dya": 5}}, "limits.credits_per_dya"),
        ({"limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"suspended": 1}, "suspended"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "1969-01-01T00:00:00Z"}, "expires_at"),
        ({"scope": "manage"}, "scope"),
        ({"account": "other/foreign"}, "account"),
        ({"person_id": 1}, "person_id"),
        ([], None),
    ],
    ids=str,
)
def test_a_change_that_means_nothing_is_refused_by_name(
    manager: Manager, key: JSON, sent: Any, param: str | None
) -> None:
    answer = manager.ask("PATCH", "/keys/key_any", sent)
    unknown = answer.json()["error"]
    assert (answer.status_code, unknown["param"]) == (404, "key_id"), "what is there comes first"
    answer = manager.ask("PATCH", f"/keys/{key['id']}", sent)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert manager.show(key) == key


@pytest.mark.parametrize("query", ["status=dead", "limit=101", "after=key_none", "unused_days=0"])
def test_a_question_that_means_nothing_is_refused(manager: Manager, query: str) -> None:
    answer = manager.ask("GET", f"/keys?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, query.partition("=")[0])


def test_a_body_that_is_none_or_too_large_is_refused(manager: Manager) -> None:
    large = {"name": "x", "account": f"{NAMESPACE}/alice", "models": ["m" * 200_000]}
    answer = manager.ask("POST", "/keys", large, **{"idempotency-key": "large"})
    assert answer.status_code == 413


def test_a_key_outlives_a_restart_and_the_file_that_does_not_name_it(
    gateway: GatewayProcess, manager: Manager
) -> None:
    key, secret = manager.made(account=f"{NAMESPACE}/stays", name="stays")
    assert gateway.stop() == 0
    gateway.start()
    assert manager.show(key)["status"] == "active"
    assert gateway.account(secret)["key"]["key_id"] == key["id"]


def test_the_examples_of_the_served_description_work(
    gateway: GatewayProcess, manager: Manager
) -> None:
    described = manager.ask("GET", "/openapi.json").json()["paths"]
    assert gateway.http.get("/api/v1/openapi.json").status_code == 401

    def examples(method: str, path: str) -> list[Any]:
        content = described[f"/api/v1{path}"][method]["requestBody"]["content"]
        found: list[Any] = content["application/json"]["schema"]["examples"]
        return found

    (creation,) = examples("post", "/keys")
    made, _ = manager.made(**{**creation, "account": f"{NAMESPACE}/build"})
    assert (made["name"], made["models"]) == (creation["name"], creation["models"])
    (change,) = examples("patch", "/keys/{key_id}")
    changed = manager.ask("PATCH", f"/keys/{made['id']}", change).json()
    assert changed["limits"] == {**made["limits"], **change["limits"]}
    (rotation,) = examples("post", "/keys/{key_id}/rotate")
    (grant,) = examples("post", "/grants")
    granted = manager.ask("POST", "/grants", {**grant, "account": f"{NAMESPACE}/build"})
    assert (granted.status_code, granted.json()["credits"]) == (201, grant["credits"])
    answer = manager.ask("POST", f"/keys/{made['id']}/rotate", rotation)
    assert answer.status_code == 201
    with_secret(answer.json())
