"""The schemas as files: everything is described, everything has an end, every rule has its case."""

import re

import pytest

from tests.crds.support import CRDS, Json, cases, parts, schema, version

KINDS = pytest.mark.parametrize("kind", sorted(CRDS))
SHORT_NAMES = {
    "Account": "fgc",
    "ApiKey": "fgk",
    "CreditAllowance": "fga",
    "CreditGrant": "fgg",
    "GatewayFleet": "fgf",
}
#: fields of others' kinds, which the API server judges when the operator applies them
OPEN_ENDS = {
    "spec.autoscaling.behavior",
    "spec.autoscaling.metrics[]",
    "spec.console.podTemplate.spec",
    "spec.httpRoute.parentRefs[]",
    "spec.podTemplate.spec",
    "spec.serviceTemplate.spec",
}


def columns(kind: str) -> list[Json]:
    found = version(kind)["additionalPrinterColumns"]
    assert isinstance(found, list)
    return found


@KINDS
def test_every_field_is_described(kind: str) -> None:
    """By sentences; the API server allows none at `metadata`."""
    silent = [
        path
        for path, part in parts(schema(kind))
        if path != "metadata" and not re.search(r"[.:]$", part.get("description", ""))
    ]
    assert silent == []
    assert [column["name"] for column in columns(kind) if not column["description"]] == []


@KINDS
def test_everything_has_an_end(kind: str) -> None:
    """Only what a pod is given besides is left to the API server's own limit on an object."""
    endless = []
    for path, part in parts(schema(kind)):
        is_bounded = {
            "string": "maxLength" in part or "enum" in part or path in ("apiVersion", "kind"),
            "integer": "minimum" in part and ("maximum" in part or path.startswith("status")),
            "array": "maxItems" in part,
            "object": "additionalProperties" not in part or "maxProperties" in part,
            "boolean": True,
            None: "x-kubernetes-int-or-string" in part and "maxLength" in part,
        }[part.get("type")]
        if not is_bounded:
            endless.append(path)
    assert endless == []


@KINDS
def test_nothing_unknown_is_kept(kind: str) -> None:
    open_ends = {
        p for p, part in parts(schema(kind)) if "x-kubernetes-preserve-unknown-fields" in part
    }
    assert open_ends == (OPEN_ENDS if kind == "GatewayFleet" else set())


@KINDS
def test_every_list_states_how_it_is_merged(kind: str) -> None:
    types = {
        path: part.get("x-kubernetes-list-type")
        for path, part in parts(schema(kind))
        if part.get("type") == "array"
    }
    merged = {path: kind for path, kind in types.items() if f"{path}[]" not in OPEN_ENDS}
    # Of rows of prices the last that holds counts: to merge two lists would make a third.
    atomic = {path for path, kind in merged.items() if kind == "atomic"}
    assert all(path.endswith("pricing.rows") for path in atomic)
    assert set(merged.values()) <= {"map", "set", "atomic"}
    assert types["status.conditions"] == "map"


@KINDS
def test_every_rule_has_a_case(kind: str) -> None:
    """Each refusal is a sentence, and some file in `reject/` provokes it."""
    messages = [
        rule["message"]
        for _, part in parts(schema(kind))
        for rule in part.get("x-kubernetes-validations", ())
    ]
    assert messages
    provoked = [text for case in cases("reject") if case.kind == kind for text in case.expected]
    assert [m for m in messages if not any(text in m for text in provoked)] == []


@KINDS
def test_the_first_columns_state_whether_it_works_and_if_not_why(kind: str) -> None:
    first = [column["name"] for column in columns(kind) if not column.get("priority")]
    assert {"Ready", "Reason", "Age"} <= set(first)
    assert len(first) <= 6
    wide = [column["name"] for column in columns(kind) if column.get("priority") == 1]
    assert wide[-1] == "Message"


@KINDS
def test_every_column_shows_a_field(kind: str) -> None:
    fields = {f".{path}" for path, _ in parts(schema(kind))} | {".metadata.creationTimestamp"}
    shown = [re.sub(r"\[\?\(.*?\)\]", "[]", column["jsonPath"]) for column in columns(kind)]
    assert [path for path in shown if path not in fields] == []


@KINDS
def test_names(kind: str) -> None:
    crd = CRDS[kind]
    names = crd["spec"]["names"]
    assert crd["metadata"]["name"] == f"{names['plural']}.faregate.dev"
    assert crd["metadata"]["annotations"]["faregate.dev/schema"] == "1"
    assert names["plural"] == f"{kind.lower()}s"
    assert names["shortNames"] == [SHORT_NAMES[kind]]
    assert names["categories"] == ["faregate"]
    assert crd["spec"]["scope"] == "Namespaced"
    subresources = version(kind)["subresources"]
    assert subresources["status"] == {}
    assert subresources.keys() - {"status"} == ({"scale"} if kind == "GatewayFleet" else set())


def test_all_kinds_report_alike() -> None:
    """`observedGeneration` and conditions are the same for all, except for what they mean."""
    reports = []
    for kind in CRDS:
        status = schema(kind)["properties"]["status"]["properties"]
        conditions = {**status["conditions"], "description": ""}
        reports.append((status["observedGeneration"], conditions))
    assert all(report == reports[0] for report in reports)
