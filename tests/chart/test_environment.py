"""The processes understand what the chart sets for them."""

import argparse

import pytest

from gateway_operator import selftest
from gateway_operator.settings import OperatorSettings, read_settings
from tests.chart.helm import TRIAL, Values, container_of, environment_of, render

OWN: Values = {
    "database": {
        "existingSecret": {"name": "money", "key": "uri"},
        "ca": {"secret": "roots", "key": "root.pem"},
    },
    "installation": "east",
    "installationSecret": {"existingSecret": "pepper", "key": "value"},
    "operator": {
        "watchNamespaces": ["team-b", "team-a"],
        "sweepSeconds": 60,
        "logLevel": "DEBUG",
        "podTemplates": "any",
    },
}


def settings_of(values: Values) -> OperatorSettings:
    """The operator's settings, with what a cluster would put in for references."""
    given = {
        name: value if isinstance(value, str) else _looked_up(value)
        for name, value in environment_of(render(values).one("Deployment")).items()
    }
    return read_settings(given)


def _looked_up(reference: dict[str, dict[str, str]]) -> str:
    if "fieldRef" in reference:
        assert reference["fieldRef"]["fieldPath"] == "metadata.namespace"
        return "gate"
    return f"postgresql://{reference['secretKeyRef']['name']}"


def test_the_operator_takes_its_environment() -> None:
    settings = settings_of(TRIAL)
    assert settings.namespace == "gate"
    assert settings.namespaces == ()
    assert settings.database_url == "postgresql://faregate-postgres"
    assert settings.image == container_of(render().one("Deployment"))["image"]
    assert settings.sweep_seconds == 300
    assert settings.pod_templates == "restricted"


def test_the_operator_takes_every_value_that_is_its() -> None:
    settings = settings_of(OWN)
    assert settings.namespaces == ("gate", "team-a", "team-b")
    assert (settings.database_secret_name, settings.database_secret_key) == ("money", "uri")
    assert settings.installation == "east"
    assert settings.installation_secret_name == "pepper"
    assert settings.installation_secret_key == "value"
    assert (settings.sweep_seconds, settings.log_level) == (60, "DEBUG")
    assert settings.pod_templates == "any"
    assert (settings.database_ca_config_map, settings.database_ca_secret) == (None, "roots")
    assert settings.database_ca_key == "root.pem"


@pytest.mark.parametrize("values", [TRIAL, OWN])
def test_the_operator_listens_where_it_is_probed(values: Values) -> None:
    settings = settings_of(values)
    ports = {
        port["name"]: port["containerPort"]
        for port in container_of(render(values).one("Deployment"))["ports"]
    }
    assert ports == {"health": settings.liveness_port, "metrics": settings.readiness_port}


def test_the_selftest_takes_its_arguments() -> None:
    parser = argparse.ArgumentParser()
    selftest.add_arguments(parser)
    process, command, *arguments = container_of(render().one("Pod"))["args"]
    assert (process, command) == ("gateway_operator", "selftest")
    question = selftest.read_arguments(parser.parse_args(arguments))
    assert question.url == "http://faregate.gate.svc"
    assert (question.namespace, question.fleet, question.model) == ("gate", "faregate", "kimi-k2.5")
