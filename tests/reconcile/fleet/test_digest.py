"""The digest on the pods changes if and only if a change is to be rolled out."""

from typing import Any

import pytest

from tests.reconcile.fleet.support import NAME, SECRETS, child, pod, rendered, with_credential

CREDENTIAL = {"upstreams": [with_credential()]}


@pytest.mark.parametrize(
    "given",
    [
        {"image": "other:2"},
        {"pricing": {"chatCreditsPerMessage": 3}},
        {"models": [{"id": "kimi-k2.5", "upstream": "main", "aliases": ["claude-*"]}]},
        {"limits": {"firstByteSeconds": 5}},
        {"drain": {"seconds": 30}},
        {"drain": {"seconds": 300, "preStopSeconds": 9}},
        {"resources": {"limits": {"cpu": "2"}}},
        {"podTemplate": {"metadata": {"labels": {"team": "a"}}}},
        {"podTemplate": {"spec": {"nodeSelector": {"disk": "ssd"}}}},
        {"imagePullPolicy": "Always"},
        CREDENTIAL,
    ],
)
def test_a_change_of_what_pods_are_made_of_is_a_roll_out(given: dict[str, Any]) -> None:
    assert rendered(**given).digest != rendered().digest


@pytest.mark.parametrize(
    "given",
    [
        {"replicas": 5},
        {"autoscaling": {"maxReplicas": 4}},
        {"ingress": {"host": "llm.example"}},
        {"serviceTemplate": {"spec": {"type": "NodePort"}}},
        {"httpRoute": {"parentRefs": [{"name": "public"}]}},
        {"clientURL": "https://llm.example"},
        {"drain": {"seconds": 300, "preStopSeconds": 10, "graceSeconds": 330}},
        {"limits": {"bodyBytes": 33554432, "bufferedBytes": 268435456}},
    ],
)
def test_nothing_else_is(given: dict[str, Any]) -> None:
    assert rendered(**given).digest == rendered().digest
    assert pod(**given) == pod()


def test_another_content_of_a_secret_is_a_roll_out_and_stands_nowhere_else() -> None:
    changed = rendered({**SECRETS, NAME: {"database": "d2"}})
    assert changed.digest != rendered().digest
    for one, other in zip(changed.children, rendered().children, strict=True):
        assert (one != other) == (one["kind"] == "Deployment")


def test_the_digest_is_on_the_pods() -> None:
    assert pod()["metadata"]["annotations"]["faregate.dev/config-digest"] == rendered().digest
    assert "annotations" not in child("Deployment")["metadata"]
    assert NAME not in rendered().digest
