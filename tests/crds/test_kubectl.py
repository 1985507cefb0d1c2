"""The resources in the hands of people: `kubectl explain`, `get`, `wait`, `apply` and `patch`."""

import json
import re

import pytest
import yaml

from tests.crds.support import CRDS, NAMESPACE, PLURALS, ROOT, Api, Json, Kubectl, parts, schema

APPLY = ("apply", "-n", NAMESPACE, "-f", "-")
FLEET: Json = {
    "apiVersion": "faregate.dev/v1alpha1",
    "kind": "GatewayFleet",
    "metadata": {"name": "shown"},
    "spec": {
        "pricing": {"chatCreditsPerMessage": 1},
        "upstreams": [{"name": "main", "url": "simulated:"}],
        "models": [{"id": "kimi-k2.5", "upstream": "main"}],
    },
}
KEY: Json = {
    "apiVersion": "faregate.dev/v1alpha1",
    "kind": "ApiKey",
    "metadata": {"name": "shown"},
    "spec": {"account": "alice", "secretName": "alice-key"},
}
GRANT: Json = {
    "apiVersion": "faregate.dev/v1alpha1",
    "kind": "CreditGrant",
    "metadata": {"name": "shown"},
    "spec": {"account": "alice", "credits": 1000, "reference": "8841"},
}
ACCOUNT: Json = {
    "apiVersion": "faregate.dev/v1alpha1",
    "kind": "Account",
    "metadata": {"name": "shown"},
    "spec": {"account": "alice", "parent": "team"},
}
ALLOWANCE: Json = {
    "apiVersion": "faregate.dev/v1alpha1",
    "kind": "CreditAllowance",
    "metadata": {"name": "shown"},
    "spec": {"account": "alice", "credits": 1, "every": "day"},
}


def condition(ready: bool, reason: str, message: str) -> Json:
    return {
        "type": "Ready",
        "status": str(ready),
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": "2027-03-01T00:00:00Z",
    }


def report(kubectl: Kubectl, kind: str, name: str, **status: object) -> None:
    """The status as the operator would write it."""
    patch = json.dumps({"status": {"observedGeneration": 1, **status}})
    kubectl.run(
        "patch", kind, name, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch
    )


def rows(printed: str) -> list[list[str]]:
    """A table as cells; columns are parted by two blanks or more."""
    return [re.split(r"\s{2,}", line.strip()) for line in printed.strip().splitlines()]


def test_the_api_server_has_nothing_against_the_schemas(kubectl: Kubectl, api: Api) -> None:
    """No warning at the apply, and nothing in the conditions of the definitions."""
    done = kubectl.attempt("apply", "--server-side", "-f", str(ROOT / "crds"))
    assert (done.returncode, done.stderr) == (0, "")
    for plural in PLURALS.values():
        stored = json.loads(kubectl.run("get", "crd", f"{plural}.faregate.dev", "-o", "json"))
        conditions = {one["type"]: one["status"] for one in stored["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}


def test_explain_is_the_manual(kubectl: Kubectl, api: Api) -> None:
    text = kubectl.run("explain", "apikey.spec.rotation")
    assert "Raise it for a new key in the same Secret" in text
    assert "overlap" in text


@pytest.mark.parametrize("kind", sorted(CRDS))
def test_explain_knows_every_field(kubectl: Kubectl, api: Api, kind: str) -> None:
    printed = kubectl.run("explain", kind.lower(), "--recursive")
    names = {path.split(".")[-1].removesuffix("[]") for path, _ in parts(schema(kind))} - {"", "*"}
    assert {name for name in names if not re.search(rf"^\s+{name}\t", printed, re.M)} == set()


@pytest.mark.parametrize(
    ("short", "long"), [("fgk", "apikey"), ("fgg", "creditgrant"), ("fgf", "gatewayfleet")]
)
def test_short_names(kubectl: Kubectl, api: Api, short: str, long: str) -> None:
    assert kubectl.run("explain", short) == kubectl.run("explain", long)


def test_one_word_lists_all(kubectl: Kubectl, api: Api) -> None:
    for document in (KEY, ACCOUNT, GRANT, ALLOWANCE, FLEET):
        kubectl.run(*APPLY, given=json.dumps(document))
    listed = kubectl.run("get", "faregate", "-n", NAMESPACE, "-o", "name").split()
    assert {name.split(".")[0] for name in listed} == {kind.lower() for kind in CRDS}


def test_the_columns_of_a_key(kubectl: Kubectl, api: Api) -> None:
    kubectl.run(*APPLY, given=json.dumps(KEY))
    get = ("get", "fgk", "shown", "-n", NAMESPACE)
    assert rows(kubectl.run(*get))[0] == ["NAME", "ACCOUNT", "READY", "REASON", "AGE"]
    lost = condition(False, "SecretLost", "the Secret is gone")
    report(kubectl, "fgk", "shown", conditions=[lost], secretName="alice-key", prefix="sk-abc",
           balance=995)  # fmt: skip
    (row,) = rows(kubectl.run(*get, "--no-headers"))
    assert row[:4] == ["shown", "alice", "False", "SecretLost"]
    head, row = rows(kubectl.run(*get, "-o", "wide"))
    assert head[5:8] == ["SECRET", "PREFIX", "FLEET"]
    assert row[5:7] == ["alice-key", "sk-abc"]
    assert "995" in row
    assert row[-1] == "the Secret is gone"


def test_the_columns_of_a_grant(kubectl: Kubectl, api: Api) -> None:
    kubectl.run(*APPLY, given=json.dumps(GRANT))
    posted = condition(True, "Posted", "1000 credits posted")
    report(
        kubectl, "fgg", "shown", conditions=[posted], postedTime="2027-03-01T00:00:00Z", entryId=7
    )
    get = ("get", "fgg", "shown", "-n", NAMESPACE)
    head, row = rows(kubectl.run(*get))
    assert head == ["NAME", "ACCOUNT", "CREDITS", "READY", "REASON", "AGE"]
    assert row[:5] == ["shown", "alice", "1000", "True", "Posted"]
    head, row = rows(kubectl.run(*get, "-o", "wide"))
    assert head[-1] == "MESSAGE"
    assert "8841" in row
    assert row[-1] == "1000 credits posted"


def test_the_columns_of_a_fleet(kubectl: Kubectl, api: Api) -> None:
    kubectl.run(*APPLY, given=json.dumps(FLEET))
    available = condition(True, "Available", "2 of 2 replicas answer")
    report(kubectl, "fgf", "shown", conditions=[available], replicas=2, keysOfPeople=3,
           url="http://shown.cases")  # fmt: skip
    head, row = rows(kubectl.run("get", "fgf", "shown", "-n", NAMESPACE))
    assert head == ["NAME", "REPLICAS", "READY", "REASON", "KEYS OF PEOPLE", "URL", "AGE"]
    assert row[:6] == ["shown", "2", "True", "Available", "3", "http://shown.cases"]


def test_wait_sees_ready(kubectl: Kubectl, api: Api) -> None:
    document = {**KEY, "metadata": {"name": "awaited"}}
    kubectl.run(*APPLY, given=json.dumps(document))
    wait = ("wait", "-n", NAMESPACE, "--for=condition=Ready", "apikey/awaited")
    assert kubectl.attempt(*wait, "--timeout=0s").returncode != 0
    report(kubectl, "fgk", "awaited", conditions=[condition(True, "Issued", "the key works")])
    assert "condition met" in kubectl.run(*wait, "--timeout=30s")


def test_spec_and_status_are_written_apart(kubectl: Kubectl, api: Api) -> None:
    """A reporter cannot change what is asked for, and the other way round."""
    document = {**GRANT, "metadata": {"name": "apart"}}
    created = api.create({**document, "status": {"entryId": 1}}).json()
    assert "status" not in created
    changed = {**created, "spec": {**created["spec"], "void": True, "credits": 5}}
    reported = api.put_status(changed, {"entryId": 7, "observedGeneration": 1})
    assert reported["status"]["entryId"] == 7
    assert reported["spec"] == created["spec"]
    assert reported["metadata"]["generation"] == 1
    replaced = api.replace({**document, "status": {"entryId": 9}}).json()
    assert replaced["status"]["entryId"] == 7


def test_an_unknown_field_is_reported_by_kubectl(kubectl: Kubectl, api: Api) -> None:
    wrong = {**KEY, "metadata": {"name": "wrong"}, "spec": {**KEY["spec"], "model": ["kimi"]}}
    done = kubectl.attempt(*APPLY, given=json.dumps(wrong))
    assert done.returncode != 0
    assert 'unknown field "spec.model"' in done.stderr


def test_an_unknown_field_is_not_stored_whoever_sends_it(kubectl: Kubectl, api: Api) -> None:
    wrong = {**KEY, "metadata": {"name": "pruned"}, "spec": {**KEY["spec"], "model": ["kimi"]}}
    kubectl.run(*APPLY, "--validate=ignore", given=json.dumps(wrong))
    assert "model" not in api.read(wrong)["spec"]


def test_the_order_of_aliases_is_kept(kubectl: Kubectl, api: Api) -> None:
    """Of two aliases with an asterisk the first counts, also after a server-side apply."""
    document: Json = json.loads(json.dumps(FLEET))
    document["metadata"]["name"] = "ordered"
    model = document["spec"]["models"][0]
    for aliases in (["a*", "b*", "c*"], ["c*", "a*", "b*"], ["b*", "c*"]):
        model["aliases"] = aliases
        kubectl.run(*APPLY, "--server-side", given=json.dumps(document))
        assert api.read(document)["spec"]["models"][0]["aliases"] == aliases


def test_the_quickstart_is_the_same_in_a_cluster(kubectl: Kubectl, api: Api) -> None:
    """The file of a gateway without Kubernetes is taken as it stands."""
    path = ROOT / "examples/quickstart.yaml"
    documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    (namespace,) = {document["metadata"]["namespace"] for document in documents}
    kubectl.run("create", "namespace", namespace)
    done = kubectl.attempt("apply", "-f", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    for document in documents:
        assert (
            document["spec"].items() <= flat(api.read(document)["spec"], document["spec"]).items()
        )


def flat(stored: Json, given: Json) -> Json:
    """The stored object, without the API server's own members."""

    def without(there: object, here: object) -> object:
        if isinstance(there, dict) and isinstance(here, dict):
            return {key: without(there[key], here[key]) for key in here if key in there}
        if isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
            return [without(one, other) for one, other in zip(there, here, strict=True)]
        return there

    found = without(stored, given)
    assert isinstance(found, dict)
    return found
