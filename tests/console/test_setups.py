"""The set-ups of clients: the docs hold the texts of the console, filled in for `make run`."""

import json
import tomllib

from gateway.console.client_setups import CLIENTS, ClientSetups
from gateway.core.catalog import Catalog, Model
from gateway.core.spec import GatewayFleet, parse_document
from tests.harness.gateway import fleet

KEY = "sk-" + "x" * 48


def model_named(name: str) -> Model:
    document = fleet("http://127.0.0.1:1/v1")
    document["spec"]["models"] = [{"id": name, "upstream": "main", "displayName": f"The {name}"}]
    found = parse_document(document)
    assert isinstance(found, GatewayFleet)
    return Catalog(found.spec).models[0]


def test_each_set_up_holds_url_key_and_model_whatever_they_are() -> None:
    name = """it's "7%" \\ {{1}}"""
    found = {
        each.client.id: each
        for each in ClientSetups().render("https://models.example", KEY, model_named(name))
    }
    assert list(found) == [client.id for client in CLIENTS]
    for client, setup in found.items():
        texts = (setup.environment or "") + (setup.text or "")
        assert KEY in texts, client
        assert "https://models.example/api/" in texts, client
    configurations = {client: found[client].text or "" for client in found}
    claude = json.loads(configurations["claude-code"])
    assert claude["env"]["ANTHROPIC_MODEL"] == name
    opencode = json.loads(configurations["opencode"])
    assert list(opencode["provider"]["faregate"]["models"]) == [name]
    openclaw = json.loads(configurations["openclaw"])
    (given,) = openclaw["models"]["providers"]["faregate"]["models"]
    assert (given["id"], given["name"]) == (name, f"The {name}")
    assert tomllib.loads(configurations["codex"])["model"] == name
    compile(configurations["python"], "set-up", "exec")
