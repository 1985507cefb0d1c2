"""From `kubectl apply` to an answer: the whole of what a team has to do."""

import re
from collections.abc import Callable
from functools import partial

import anthropic
import openai
import pytest

from tests.cluster.harness import objects
from tests.cluster.harness.clients import Client
from tests.cluster.harness.installation import HOST, ROUTED_HOST, Facts, Installation
from tests.cluster.harness.kube import Kube, names, wait_until
from tests.cluster.harness.team import Team

Teams = Callable[[str], Team]
_QUESTION = "!answer four"
_MODEL = "kimi-k2.5"


def test_a_release_brings_an_operator_and_two_gateways(faregate: Installation) -> None:
    assert len(faregate.operator_pods()) == 1
    assert len(faregate.gateway_pods()) == 2


def test_a_gateway_states_how_long_its_start_took(faregate: Installation, kube: Kube) -> None:
    took = []
    for pod in names(faregate.gateway_pods()):
        output = re.search(r"ready ([0-9.]+) s after", kube("logs", pod, "-n", faregate.namespace))
        assert output is not None, f"{pod} does not say when it was ready"
        took.append(f"{output[1]} s")
    print(f"\ngateways were ready after {', '.join(took)}")


def test_every_pod_keeps_the_restricted_standard(faregate: Installation, kube: Kube) -> None:
    """The namespace enforces it, so that pods run there at all is the proof."""
    space = kube.get("namespace", faregate.namespace)
    assert space is not None
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert names(faregate.gateway_pods() + faregate.operator_pods())


@pytest.mark.parametrize("host", [HOST, ROUTED_HOST], ids=["ingress", "gateway"])
def test_both_sdks_answer_from_outside(
    host: str, client: Client, team: Teams, faregate: Installation
) -> None:
    """The key from the Secret, whole answers and streams; each costs what it states."""
    if host == ROUTED_HOST and not faregate.facts.gateway:
        pytest.skip("this cluster has no Gateway")
    key = team("first-key").with_key(credits=10)
    chat = openai.OpenAI(
        api_key=key,
        base_url=f"{client.url}/api/openai/v1",
        default_headers={"host": host},
        max_retries=0,
    )
    whole = chat.chat.completions.create(
        model=_MODEL, messages=[{"role": "user", "content": _QUESTION}]
    )
    assert whole.choices[0].message.content == "four"
    with chat.chat.completions.stream(
        model=_MODEL, messages=[{"role": "user", "content": _QUESTION}]
    ) as completion:
        assert completion.get_final_completion().choices[0].message.content == "four"
    response = chat.responses.create(model=_MODEL, input=_QUESTION)
    assert response.output_text == "four"
    again = chat.responses.create(
        model=_MODEL, input="!answer five", previous_response_id=response.id
    )
    assert again.output_text == "five"
    messages = anthropic.Anthropic(
        auth_token=key,
        base_url=f"{client.url}/api/anthropic",
        default_headers={"host": host},
        max_retries=0,
    )
    answer = messages.messages.create(
        model="claude-4", max_tokens=100, messages=[{"role": "user", "content": _QUESTION}]
    )
    assert [block.text for block in answer.content if block.type == "text"] == ["four"]
    with messages.messages.stream(
        model="claude-4", max_tokens=100, messages=[{"role": "user", "content": _QUESTION}]
    ) as stream:
        assert stream.get_final_text() == "four"
    assert client.balance(key) == 10 - 6


def test_a_pod_needs_nothing_but_the_secret_of_its_key(
    team: Teams, faregate: Installation, client: Client, facts: Facts
) -> None:
    """`envFrom` that Secret, and both SDKs answer, streaming and not."""
    place = team("env-from")
    key = place.with_key(credits=10)
    place.apply(objects.asking_pod("asking", facts.images["sdk"], "alice-key"))
    ended = ("Succeeded", "Failed")
    wait_until(
        lambda: place.get("pod", "asking")["status"].get("phase") in ended, "the pod to end", 90
    )
    output = place.kube("logs", "asking", "-n", place.name)
    assert output.splitlines() == [
        "openai four", "openai streaming four", "anthropic four", "anthropic streaming four",
    ]  # fmt: skip
    assert client.balance(key) == 10 - 4


def test_a_key_of_ones_own_works_too(team: Teams, client: Client, faregate: Installation) -> None:
    """From a Secret that somebody made; a changed value is a rotation."""
    place = team("own-key")
    first, second = "own-" + "x" * 40, "own-" + "y" * 40
    faregate.seen.update((first, second))
    source = {"secretKeyRef": {"name": "mine", "key": "value"}}
    rotation = {"generation": 0, "overlap": "0s"}
    place.apply(
        _labelled_secret(first),
        objects.api_key("alice", valueFrom=source, rotation=rotation),
        objects.credit_grant("alice"),
    )
    place.wait("apikey", "alice")
    place.wait("creditgrant", "alice")
    _wait_for_every_replica(faregate, first)
    assert client.ask(first).status_code == 200
    place.apply(_labelled_secret(second))
    _wait_for_every_replica(faregate, second)
    assert client.ask(second).status_code == 200
    wait_until(lambda: client.status(first) == 401, "the old key to be refused", 30)
    faregate.forget(first)


@pytest.mark.usefixtures("client")
def test_everything_is_in_order_afterwards(faregate: Installation) -> None:
    faregate.check()


def _wait_for_every_replica(faregate: Installation, key: str) -> None:
    """A key of one's own is never looked up: each replica learns of it by its next poll."""
    with faregate.replicas() as replicas:
        for replica in replicas.values():
            wait_until(partial(_works, replica, key), "every replica to know the key", 30)


def _works(client: Client, key: str) -> bool:
    return client.status(key) == 200


def _labelled_secret(value: str) -> dict[str, object]:
    metadata = {"name": "mine", "labels": {"faregate.dev/key": "true"}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "stringData": {"value": value},
    }
