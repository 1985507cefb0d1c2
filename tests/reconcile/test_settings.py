"""The operator's environment, and what kopf is given."""

import kopf
import pytest

from gateway_operator.resources.names import FINALIZER
from gateway_operator.settings import (
    OperatorSettingsError,
    configure,
    read_release_settings,
    read_settings,
)

ENVIRONMENT = {
    "FAREGATE_DATABASE_URL": "postgresql://db/faregate",
    "FAREGATE_DATABASE_SECRET_NAME": "database",
    "FAREGATE_NAMESPACE": "ai",
    "FAREGATE_IMAGE": "registry.example/faregate:1",
}


def test_the_least_that_has_to_be_given() -> None:
    url = f"\ufeff{ENVIRONMENT['FAREGATE_DATABASE_URL']}\r\n"
    given = {**ENVIRONMENT, "HOME": "/", "FAREGATE_WATCH_NAMESPACES": ""}
    settings = read_settings({**given, "FAREGATE_DATABASE_URL": url})
    assert settings.database_url == "postgresql://db/faregate"
    assert settings.namespaces == ()
    assert settings.sweep_seconds == 300
    assert settings.installation_secret_name == "faregate-installation"


def test_the_operators_own_namespace_is_always_watched() -> None:
    named = {**ENVIRONMENT, "FAREGATE_WATCH_NAMESPACES": "team-b, team-a,"}
    assert read_settings(named).namespaces == ("ai", "team-a", "team-b")
    released = {"FAREGATE_NAMESPACE": "ai", "FAREGATE_WATCH_NAMESPACES": "team-a"}
    assert read_release_settings(released).namespaces == ("ai", "team-a")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"FAREGATE_SWEEP_MINUTES": "5"}, "there is no setting FAREGATE_SWEEP_MINUTES"),
        ({"FAREGATE_SWEEP_SECONDS": "0"}, "FAREGATE_SWEEP_SECONDS is 0: expected a number > 0"),
        ({"FAREGATE_DATABASE_URL": "sqlite:///x.db"}, "must be a URL of PostgreSQL"),
        ({"FAREGATE_DATABASE_URL": ""}, "FAREGATE_DATABASE_URL is not set"),
        ({"FAREGATE_DATABASE_URL": "\n"}, "must be a URL of PostgreSQL"),
        ({"FAREGATE_PLATFORM_IDS": "on"}, "FAREGATE_PLATFORM_IDS: expected true or false"),
        ({"FAREGATE_DATABASE_CONNECTIONS": "a"}, "CONNECTIONS: expected a whole number"),
        ({"FAREGATE_NAMESPACE": "Not A Name"}, "FAREGATE_NAMESPACE: expected a text"),
    ],
)
def test_a_wrong_setting_is_named(changed: dict[str, str], sentence: str) -> None:
    with pytest.raises(OperatorSettingsError, match=sentence):
        read_settings({**ENVIRONMENT, **changed})


def test_what_kopf_is_given() -> None:
    sheet = kopf.OperatorSettings()
    configure(sheet)
    assert sheet.persistence.finalizer != FINALIZER, "kopf would take ours off"
    assert sheet.watching.label_selectors["secrets"] == "faregate.dev/key=true"
    assert sheet.watching.server_timeout is None
    assert sheet.watching.inactivity_timeout >= 62, "below that kopf reconnects all the time"
    assert not sheet.posting.enabled
    assert sheet.peering.standalone
    assert sheet.scanning.disabled
