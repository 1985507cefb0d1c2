"""A fleet and its children in a real API server: made, repaired, changed, refused."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from gateway_operator.apply import executor
from gateway_operator.apply.fleet import reconcile_fleet
from gateway_operator.cluster import Rejected
from tests.harness.gateway import wait_until
from tests.reconcile.fleet.conftest import FleetWorld, condition
from tests.reconcile.fleet.support import NAME, Json, with_credential

AUTOSCALING = {"minReplicas": 3, "maxReplicas": 9}
INGRESS = {"host": "llm.example", "className": "nginx", "annotations": {"a": "b"}}
USUAL = {"ConfigMap", "Service", "Deployment", "PodDisruptionBudget"}
DIGEST = "faregate.dev/config-digest"


def digest(world: FleetWorld) -> str:
    """The labels that the pods carry."""
    annotations = world.live("Deployment")["spec"]["template"]["metadata"]["annotations"]
    return str(annotations[DIGEST])


def test_the_api_server_takes_every_child_and_is_asked_once(world: FleetWorld) -> None:
    given: Json = {
        "autoscaling": AUTOSCALING,
        "ingress": {**INGRESS, "tlsSecretName": "llm-tls"},
        "clientURL": "https://llm.example",
    }
    status = world.reconcile(**given)
    made = world.children()
    assert made.keys() == {*USUAL, "HorizontalPodAutoscaler", "Ingress"}
    assert condition(status) == ("False", "Progressing")
    assert condition(status, "Stalled") == ("False", "Progressing")
    assert status["url"] == "https://llm.example"
    assert status["configDigest"] == digest(world)
    assert status["observedGeneration"] == world.live("GatewayFleet")["metadata"]["generation"]
    assert world.events() == ["Progressing"]
    version = world.live("GatewayFleet")["metadata"]["resourceVersion"]
    assert world.reconcile(**given) == status
    assert world.children() == made
    assert world.live("GatewayFleet")["metadata"]["resourceVersion"] == version


def test_nothing_is_written_again_for_what_the_api_server_filled_in(
    world: FleetWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defaults and quantities come back in other words than they were given, and what is empty
    does not come back."""
    gateway: Json = {
        "name": "gateway",
        "livenessProbe": {"initialDelaySeconds": 0, "periodSeconds": 0},
        "volumeMounts": [{"name": "scratch", "mountPath": "/mnt/scratch", "readOnly": False}],
        "env": [
            {"name": "HTTPS_PROXY", "value": ""},
            {
                "name": "FAREGATE_CONNECTIONS",
                "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0.001"}},
            },
        ],
        "resources": {},
    }
    metric = {"name": "streams", "selector": {}}
    given: Json = {
        "upstreams": [with_credential()],
        "resources": {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"cpu": 1}},
        "podTemplate": {
            "metadata": {"annotations": {}, "labels": {}},
            "spec": {
                "tolerations": [{"key": "llm", "operator": "Exists", "value": ""}],
                "nodeSelector": {},
                "affinity": {"nodeAffinity": {}},
                "topologySpreadConstraints": [],
                "priorityClassName": "",
                "hostUsers": False,
                "securityContext": {"runAsUser": None},
                "containers": [gateway],
                "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}}],
            },
        },
        "serviceTemplate": {
            "metadata": {"annotations": {}},
            "spec": {"loadBalancerSourceRanges": [], "ports": [{"name": "http", "nodePort": 0}]},
        },
        "autoscaling": {
            "minReplicas": 1,
            "maxReplicas": 2,
            "metrics": [
                {
                    "type": "Pods",
                    "pods": {
                        "metric": metric,
                        "target": {"type": "AverageValue", "averageValue": "0.5"},
                    },
                }
            ],
            "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}, "scaleDown": None},
        },
        "ingress": {**INGRESS, "labels": {}, "additionalHosts": []},
    }
    world.put_secret("moonshot", **{"api-key": "k"})
    status = world.reconcile(**given)
    assert condition(status) == ("False", "Progressing"), status["conditions"]
    world.context.admitted.clear()  # as after a start
    performed: list[str] = []
    monkeypatch.setattr(executor, "execute", _noting(executor.execute, performed))
    world.reconcile(**given)
    assert performed == ["Report"]


def test_what_admission_changes_is_not_applied_again(
    world: FleetWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is changed by hand, or something else is wanted."""
    with world.mirrored_images():

        def image() -> str:
            world.reconcile(replicas=2)
            world.edit("Deployment", {"spec": {"replicas": 5}})
            return str(
                world.live("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]
            )

        wait_until(lambda: image() == "mirror.example/gateway:1", "the policy")
        performed: list[str] = []
        monkeypatch.setattr(executor, "execute", _noting(executor.execute, performed))
        world.reconcile(replicas=2)
        world.reconcile(replicas=2)
        world.reconcile(replicas=2)
        assert performed == ["Deployment", "Report", "Report", "Report"]


def _noting(carry_out: Any, performed: list[str]) -> Any:
    async def note(actions: Any, perform: Any) -> None:
        actions = list(actions)
        performed.extend(
            getattr(one, "body", {}).get("kind", type(one).__name__) for one in actions
        )
        await carry_out(actions, perform)

    return note


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("ConfigMap", {"data": {"fleet.yaml": "by hand"}}),
        ("Service", {"spec": {"selector": {"app": "other"}}}),
        ("Deployment", {"spec": {"replicas": 7}}),
        ("Deployment", {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}),
        ("Deployment", {"spec": {"template": {"spec": {"automountServiceAccountToken": None}}}}),
        ("PodDisruptionBudget", {"spec": {"maxUnavailable": 2}}),
        ("Ingress", {"spec": {"ingressClassName": "other"}}),
        ("Service", {"metadata": {"labels": {"faregate.dev/fleet": None}}}),
    ],
)
def test_what_is_changed_by_hand_is_put_back(world: FleetWorld, kind: str, change: Json) -> None:
    world.reconcile(ingress=INGRESS, replicas=2)
    before = world.live(kind)
    world.edit(kind, change)
    world.reconcile(ingress=INGRESS, replicas=2)
    after = world.live(kind)
    for part in ("spec", "data"):
        assert after.get(part, {}).keys() == before.get(part, {}).keys()
    assert after.get("data") == before.get("data")
    assert _without(after, "selector") == _without(before, "selector")
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


def _without(child: Json, name: str) -> Json:
    """A spec without a map in which others may have entries too."""
    return {key: value for key, value in child.get("spec", {}).items() if key != name}


def test_a_child_that_was_deleted_is_made_again(world: FleetWorld) -> None:
    world.reconcile()
    for kind in sorted(USUAL):
        name = world.live(kind)["metadata"]["name"]
        world.run(world.cluster.delete(kind, world.namespace, name))
    world.reconcile()
    assert world.children().keys() == USUAL


def test_image_configuration_and_secrets_roll_the_pods_and_nothing_else_does(
    world: FleetWorld,
) -> None:
    digests = []
    given: Json = {"upstreams": [with_credential()]}
    world.put_secret("moonshot", **{"api-key": "first", "unused": "a"})

    def step(**more: Any) -> None:
        given.update(more)
        status = world.reconcile(**given)
        assert status["configDigest"] == digest(world)
        digests.append(digest(world))

    step()
    step(replicas=3, ingress=INGRESS)
    world.put_secret("moonshot", **{"api-key": "first", "unused": "b"})
    step()
    assert len(set(digests)) == 1
    step(image="registry.example/faregate:2")
    step(pricing={"chatCreditsPerMessage": 5})
    world.put_secret("moonshot", **{"api-key": "the-new-one"})
    step()
    world.put_secret("database", url="postgresql://elsewhere/none")
    step()
    assert len(set(digests)) == 5
    shown = str(world.live("Deployment")) + str(world.live("ConfigMap"))
    assert "the-new-one" not in shown
    assert "elsewhere" not in shown


def test_an_ingress_comes_and_goes_with_its_field(world: FleetWorld) -> None:
    world.reconcile()
    world.reconcile(ingress=INGRESS)
    assert world.live("Ingress")["metadata"]["annotations"]["a"] == "b"
    world.reconcile(ingress={"host": "llm.example", "className": "nginx"})
    assert "a" not in world.live("Ingress")["metadata"]["annotations"]
    world.reconcile()
    assert world.children().keys() == USUAL


def test_replicas_pass_to_the_autoscaler_and_back(world: FleetWorld) -> None:
    world.reconcile(replicas=5)
    world.reconcile(autoscaling=AUTOSCALING)
    assert world.live("Deployment")["spec"]["replicas"] == 5
    for number in (8, 4):
        world.patch_workload("scale", {"spec": {"replicas": number}})
        world.reconcile(autoscaling=AUTOSCALING)
        assert world.live("Deployment")["spec"]["replicas"] == number
    before = world.children()
    world.reconcile(autoscaling=AUTOSCALING)
    assert world.children() == before
    world.reconcile(replicas=2)
    assert world.live("Deployment")["spec"]["replicas"] == 2
    assert world.get("HorizontalPodAutoscaler") is None


def test_replicas_that_nobody_gave_are_left_to_others(world: FleetWorld) -> None:
    """KEDA, or a person: with two owners of one number it would go up and down for ever."""
    world.reconcile()
    assert world.live("Deployment")["spec"]["replicas"] == 2
    for number in (7, 0, 3):
        world.patch_workload("scale", {"spec": {"replicas": number}})
        for _ in range(2):
            world.reconcile(image="registry.example/faregate:2")
            assert world.live("Deployment")["spec"]["replicas"] == number
    world.reconcile(replicas=4)
    assert world.live("Deployment")["spec"]["replicas"] == 4
    world.reconcile()
    assert world.live("Deployment")["spec"]["replicas"] == 4


def test_a_fleet_can_be_scaled_itself(world: FleetWorld) -> None:
    status = world.reconcile(replicas=2)
    assert status["selector"] == f"faregate.dev/fleet={NAME}"
    scale = world.scale(5)
    assert scale["status"]["selector"] == status["selector"]
    world.run(reconcile_fleet(world.context, world.namespace, NAME))
    assert world.live("Deployment")["spec"]["replicas"] == 5


def test_a_service_becomes_another_and_the_usual_one_again(world: FleetWorld) -> None:
    world.reconcile()
    usual = world.live("Service")
    template = {
        "metadata": {"annotations": {"cloud/backend": "x"}, "labels": {"team": "a"}},
        "spec": {"type": "NodePort", "ports": [{"name": "http", "nodePort": 30999}]},
    }
    world.reconcile(serviceTemplate=template)
    before = world.children()
    found = world.live("Service")
    assert (found["spec"]["type"], found["spec"]["ports"][0]["nodePort"]) == ("NodePort", 30999)
    assert found["metadata"]["annotations"]["cloud/backend"] == "x"
    world.reconcile(serviceTemplate=template)
    assert world.children() == before
    status = world.reconcile(serviceTemplate={"spec": {"ipFamilies": ["IPv9"]}})
    assert condition(status, "Stalled") == ("True", "InvalidSpec")
    assert "Service" in status["conditions"][0]["message"]
    world.reconcile()
    assert world.live("Service")["spec"] == usual["spec"]
    assert world.live("Service")["metadata"]["labels"] == usual["metadata"]["labels"]


def test_a_route_needs_the_gateway_api_and_comes_and_goes_with_its_field(
    world: FleetWorld,
) -> None:
    route = {"parentRefs": [{"name": "public"}], "hostnames": ["llm.example"]}
    status = world.reconcile(httpRoute=route)
    assert condition(status, "Stalled") == ("True", "InvalidSpec")
    assert "gateway.networking.k8s.io/v1" in status["conditions"][0]["message"]
    with world.gateway_api():
        assert condition(world.reconcile(httpRoute=route)) == ("False", "Progressing")
        found = world.live("HTTPRoute")
        assert found["spec"]["hostnames"] == ["llm.example"]
        before = world.children()
        world.reconcile(httpRoute=route)
        assert world.children() == before
        wrong = {"parentRefs": [{"name": "public", "port": "http"}]}
        status = world.reconcile(httpRoute=wrong)
        assert condition(status, "Stalled") == ("True", "InvalidSpec")
        world.reconcile()
        assert world.children().keys() == USUAL


@pytest.mark.parametrize("kind", sorted(USUAL))
def test_an_object_of_the_same_name_is_never_touched(world: FleetWorld, kind: str) -> None:
    world.reconcile()
    body = world.live(kind)
    name = body["metadata"]["name"]
    world.edit(kind, {"metadata": {"ownerReferences": None}})
    foreign = world.children()
    status = world.reconcile(
        replicas=4, image="registry.example/faregate:2", models=_models("other")
    )
    assert condition(status) == ("False", "NotOurs")
    assert condition(status, "Stalled") == ("True", "NotOurs")
    assert world.children() == foreign
    world.run(world.cluster.delete(kind, world.namespace, name))
    status = world.reconcile(
        replicas=4, image="registry.example/faregate:2", models=_models("other")
    )
    assert condition(status) == ("False", "Progressing")
    assert world.live("Deployment")["spec"]["replicas"] == 4


def _models(name: str) -> list[Json]:
    return [{"id": name, "upstream": "main"}]


def test_a_missing_secret_is_reported_and_what_runs_is_left_alone(world: FleetWorld) -> None:
    world.reconcile()
    before, old = world.children(), digest(world)
    given: Json = {"upstreams": [with_credential()]}
    status = world.reconcile(**given)
    assert condition(status, "Stalled") == ("False", "SecretNotFound")
    assert status["configDigest"] == old
    world.put_secret("moonshot", other="x")
    status = world.reconcile(**given)
    assert condition(status, "Stalled") == ("False", "SecretNotFound")
    assert "api-key" in status["conditions"][0]["message"]
    assert world.children() == before
    world.put_secret("moonshot", **{"api-key": "k"})
    assert condition(world.reconcile(**given)) == ("False", "Progressing")
    assert digest(world) != old


def test_authorities_are_waited_for_and_a_change_of_them_is_rolled_out(world: FleetWorld) -> None:
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        given = {"upstreamCA": {field: {"name": "company", "key": "ca.crt"}}}
        status = world.reconcile(**given)
        assert condition(status, "Stalled") == ("False", "SecretNotFound")
        assert f"there is no {kind} company" in status["conditions"][0]["message"]
        held = {"kind": kind, "apiVersion": "v1"}
        metadata = {"namespace": world.namespace, "name": "company"}
        seen = set()
        for value in ("b25l", "dHdv"):
            body = {**held, "metadata": metadata, "data": {"ca.crt": value}}
            world.run(world.cluster.apply(body))
            assert condition(world.reconcile(**given)) == ("False", "Progressing")
            seen.add(digest(world))
        assert len(seen) == 2


def test_what_the_api_server_refuses_of_the_pods_is_reported(world: FleetWorld) -> None:
    refused: list[Json] = [
        {"tolerations": "often"},
        {"nodeSelector": ["a"]},
        {"volumes": [{}]},
    ]
    for nonsense in refused:
        status = world.reconcile(podTemplate={"spec": nonsense})
        assert condition(status, "Stalled") == ("True", "InvalidSpec"), status
        assert f"Deployment {NAME}" in status["conditions"][0]["message"]
    assert condition(world.reconcile()) == ("False", "Progressing")


def test_a_fleet_elsewhere_is_refused_and_nothing_is_made(world: FleetWorld) -> None:
    elsewhere = replace(world.context.settings, namespace="somewhere")
    world.context = replace(world.context, settings=elsewhere)
    status = world.reconcile()
    assert condition(status, "Stalled") == ("True", "InvalidSpec")
    assert "own namespace, which is somewhere" in status["conditions"][0]["message"]
    assert world.children() == {}


def test_a_roll_out_is_followed_to_its_end(world: FleetWorld) -> None:
    """The status of the Deployment's controller is written here: nothing runs these pods."""
    world.reconcile()
    numbers = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    generation = world.live("Deployment")["metadata"]["generation"]
    one = {"observedGeneration": generation, **dict.fromkeys(numbers, 1)}
    world.patch_workload("status", {"status": one})
    status = world.reconcile()
    assert (condition(status), status["replicas"]) == (("False", "Progressing"), 1)
    world.patch_workload("status", {"status": dict.fromkeys(numbers, 2)})
    status = world.reconcile()
    assert (condition(status), status["replicas"]) == (("True", "Available"), 2)
    assert condition(status, "Stalled") == ("False", "Available")
    assert sorted(world.events()) == ["Available", "Progressing"]
    assert condition(world.reconcile(image="registry.example/faregate:2")) == (
        "False",
        "Progressing",
    )


def test_a_fleet_that_is_gone_needs_nothing(world: FleetWorld) -> None:
    world.put_fleet()
    world.run(world.cluster.delete("GatewayFleet", world.namespace, NAME))
    world.run(reconcile_fleet(world.context, world.namespace, NAME))
    assert world.children() == {}


def test_an_object_that_fits_no_schema_is_rejected(world: FleetWorld) -> None:
    """The API server answers a server-side apply of it with status 500."""
    metadata = {"namespace": world.namespace, "name": "wrong"}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"portz": []}}
    with pytest.raises(Rejected, match="portz"):
        world.run(world.cluster.apply(body))


def test_a_fleet_is_worked_on_by_one_at_a_time(world: FleetWorld) -> None:
    """The second of two finds the objects of the first, and has nothing to do."""
    world.put_fleet()

    async def at_once() -> None:
        await asyncio.gather(
            *(reconcile_fleet(world.context, world.namespace, NAME) for _ in range(4))
        )

    world.run(at_once())
    assert sorted(world.events()) == ["Progressing"], "one of them reported"
    assert condition(world.status()) == ("False", "Progressing")


class _Died(Exception):
    """The process ended here."""


def test_after_an_end_behind_any_action_the_next_turn_finishes(
    world: FleetWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = executor.execute
    steps: list[Json] = [
        {"ingress": INGRESS},
        {"autoscaling": AUTOSCALING, "image": "registry.example/faregate:2"},
        {"replicas": 4, "ingress": INGRESS},
        {},
    ]
    for given in steps * 2:
        for number in range(1, 12):
            monkeypatch.setattr(executor, "execute", _dying(carry_out, number))
            try:
                world.reconcile(**given)
            except _Died:
                continue
            break
        else:
            raise AssertionError("it never came to its end")
        monkeypatch.setattr(executor, "execute", carry_out)
        before = world.children()
        status = world.reconcile(**given)
        assert world.children() == before
        expected = USUAL | {"Ingress"} if "ingress" in given else USUAL
        expected = expected | {"HorizontalPodAutoscaler"} if "autoscaling" in given else expected
        assert before.keys() == expected
        assert status["configDigest"] == digest(world)


def _dying(carry_out: Any, number: int) -> Any:
    async def carry_out_and_die(actions: Any, perform: Any) -> None:
        done = 0

        async def counted(action: Any) -> None:
            nonlocal done
            await perform(action)
            done += 1
            if done == number:
                raise _Died

        await carry_out(actions, counted)

    return carry_out_and_die
