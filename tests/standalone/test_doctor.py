"""`python -m gateway doctor`: each claim of a profile, asked of the simulated upstream."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.gateway import Process, Simulated, wait_until
from tests.harness.ports import free_port

CREDENTIAL = "the upstream's own credential"


def fleet(models: list[dict[str, Any]], url: str, dialect: str = "chat", **upstream: Any) -> str:
    document = {
        "apiVersion": "faregate.dev/v1alpha1",
        "kind": "GatewayFleet",
        "metadata": {"name": "fleet", "namespace": "demo"},
        "spec": {
            "pricing": {"chatCreditsPerMessage": 1},
            "upstreams": [{"name": "main", "url": url, "dialect": dialect, **upstream}],
            "models": [{"upstream": "main", **model} for model in models],
        },
    }
    return yaml.safe_dump(document)


def examine(folder: Path, text: str, **environment: str) -> tuple[int, dict[str, list[str]]]:
    """The exit status, and the line of each model's feature, split at its columns."""
    config = folder / "fleet.yaml"
    config.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", "--config", config, "--data", folder / "data"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert CREDENTIAL not in done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert lines, done.stderr
    found = {f"{line[:24].strip()} {line[42:60].strip()}": line[61:].split("  ") for line in lines}
    return done.returncode, found


@pytest.mark.parametrize(
    ("dialect", "model"),
    [
        ("chat", "kimi-k2.6"), ("chat", "kimi-k2.7-code"), ("chat", "kimi-k3"),
        ("chat", "kimi-k2-thinking"), ("chat", "an-engine"), ("messages", "claude-sonnet-4-5"),
        ("responses", "gpt-5"), ("responses", "gpt-4.1"), ("responses", "an-engine"),
    ],
)  # fmt: skip
def test_a_right_profile_is_taken_in_each_strictness(
    tmp_path: Path, simulated: Simulated, dialect: str, model: str
) -> None:
    code, found = examine(tmp_path, fleet([{"id": model}], simulated.url, dialect))
    assert {outcome for outcome, *_ in found.values()} == {"works"}, found
    assert code == 0
    assert {f"{model} answer", f"{model} stream", f"{model} tools"} <= set(found)
    assert (f"{model} images" in found) == (model != "kimi-k2-thinking")
    assert (f"{model} reasoning" in found) == (model != "gpt-4.1")


def test_embeddings_are_asked_for_alone(tmp_path: Path, simulated: Simulated) -> None:
    models = [{"id": "vectors", "embeddings": True}]
    for dialect in ("chat", "gemini"):
        code, found = examine(tmp_path, fleet(models, simulated.url, dialect))
        assert (code, found) == (0, {"vectors embeddings": ["works"]})


def test_a_wrong_profile_is_named_with_the_upstreams_words(
    tmp_path: Path, simulated: Simulated
) -> None:
    models = [{"id": "wrong", "upstreamModel": "kimi-k2.6", "profile": "generic"},
              {"id": "right", "upstreamModel": "kimi-k2.6"}]  # fmt: skip
    code, found = examine(tmp_path, fleet(models, simulated.url))
    assert code == 1
    assert found["right answer"] == ["works"]
    assert found["wrong answer"][0] == "refused"
    assert "chat_template_kwargs" in found["wrong answer"][1]


def test_a_model_that_is_not_there_is_refused_in_words(
    tmp_path: Path, simulated: Simulated
) -> None:
    code, found = examine(tmp_path, fleet([{"id": "kimi-k9"}], simulated.url))
    assert code == 1
    assert found["kimi-k9 stream"][0] == "refused"
    assert "It says: " in found["kimi-k9 stream"][1]


def test_the_count_of_tokens_is_asked_for(tmp_path: Path, simulated: Simulated) -> None:
    text = fleet([{"id": "kimi-k2.6"}], simulated.url, tokenCounter="estimate")
    assert examine(tmp_path, text)[1]["kimi-k2.6 token count"] == ["works"]


def test_an_upstream_that_is_not_there_has_failed(tmp_path: Path) -> None:
    text = fleet([{"id": "kimi-k2.6"}], f"http://127.0.0.1:{free_port()}/v1")
    code, found = examine(tmp_path, text)
    assert code == 1
    assert {outcome for outcome, *_ in found.values()} == {"failed"}


def test_a_wrong_credential_is_refused_and_not_shown(tmp_path: Path) -> None:
    process = Process(tmp_path / "upstream.log")
    port = free_port()
    process.spawn(["simulate", "--port", str(port), "--api-key", "another"])
    try:
        wait_until(lambda: "answers at" in process.log_text(), "the simulated upstream")
        reference = {"secretRef": {"name": "main", "key": "MAIN_KEY"}}
        url = f"http://127.0.0.1:{port}/v1"
        text = fleet([{"id": "kimi-k2.6"}], url, credential=reference)
        code, found = examine(tmp_path, text, MAIN_KEY=CREDENTIAL)
    finally:
        process.stop()
    assert code == 1
    assert found["kimi-k2.6 answer"][0] == "refused"
