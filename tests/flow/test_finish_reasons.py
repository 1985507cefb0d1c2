"""An end that nobody knows is a good one in every dialect; it is counted, and logged once."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.flow.passthrough import PassthroughClient, gateway_before
from tests.harness.dialects import DIALECTS, PATHS, answer_text, body, ended_cleanly
from tests.harness.gateway import GatewayProcess, Simulated, wait_until

#: by the upstream's dialect
MODELS = {"chat": "open", "messages": "claude", "gemini": "gemini"}
WORD = "unheard_of_end" + "x" * 500


@pytest.fixture(scope="module")
def gateway(
    simulated: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    upstreams: list[dict[str, Any]] = [{"name": name, "dialect": name} for name in MODELS]
    models = [
        {"id": "claude", "upstream": "messages", "upstreamModel": "claude-new"},
        {"id": "gemini", "upstream": "gemini", "upstreamModel": "gemini-3-pro"},
    ]
    folder = tmp_path_factory.mktemp("finish_reasons")
    with gateway_before(simulated.url, folder, upstreams, models) as process:
        yield process


def counted(gateway: GatewayProcess, model: str) -> int:
    name = f'faregate_unknown_finish_reasons_total{{model="{model}"}} '
    lines = [line for line in gateway.metrics().splitlines() if line.startswith(name)]
    return int(float(lines[0].removeprefix(name))) if lines else 0


@pytest.mark.parametrize("upstream", MODELS)
def test_an_unknown_end_is_good_counted_and_logged_once(
    gateway: GatewayProcess, simulated: Simulated, upstream: str
) -> None:
    model = MODELS[upstream]
    with PassthroughClient(gateway, simulated) as client:
        for dialect in DIALECTS:
            for stream in (False, True):
                for script in ("!answer Hello", f"!finish {WORD}\n!answer Hello"):
                    asked = body(dialect, script, model=model, stream=stream)
                    response = client.http.post(PATHS[dialect], json=asked)
                    assert response.status_code == 200, response.text
                    assert answer_text(dialect, response, stream=stream) == "Hello"
                    assert not stream or ended_cleanly(dialect, response.text)
                    assert "unheard_of_end" not in response.text
    wait_until(lambda: counted(gateway, model) == 2 * len(DIALECTS), "all ends to be counted")
    (line,) = [line for line in gateway.log_text().splitlines() if f"model {model}: " in line]
    assert '"level":"warning"' in line
    assert "unheard_of_end" in line
    assert len(line) < 400
    assert "unheard_of_end" not in gateway.metrics()
