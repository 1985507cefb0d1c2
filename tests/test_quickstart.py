"""`make run`, as a newcomer does it: keys, a working curl line, the same again the second time."""

import os
import signal
import subprocess
from pathlib import Path

import httpx

from tests.harness.gateway import PLAINTEXTS, ROOT, GatewayProcess, Simulated, wait_until
from tests.harness.make_run import MakeRun


def curl_lines(printed: str) -> list[str]:
    joined = printed.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("curl ")]


def test_it_prints_keys_and_curl_lines_that_work_and_remembers_everything(tmp_path: Path) -> None:
    run = MakeRun(tmp_path)
    with run.running() as printed:
        first = run.keys
        assert len(first) == 2
        assert "account demo/alice, balance 1000 credits" in printed
        assert "account demo/bob, balance 0 credits" in printed
        lines = curl_lines(printed)
        assert len(lines) == 2
        for line in lines:
            done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=30)
            assert "You said: Hello" in done.stdout, done.stdout + done.stderr
        poor = httpx.post(
            f"http://127.0.0.1:{run.port}/api/openai/v1/chat/completions",
            json={"model": "kimi-k2.5", "messages": [{"role": "user", "content": "Hi"}]},
            headers={"authorization": f"Bearer {first[1]}"},
        )
        assert poor.status_code == 402
        beside = MakeRun(tmp_path)
        beside.log = tmp_path / "beside.log"
        assert beside.spawn().wait(60) != 0
        assert "another gateway" in beside.printed
    with run.running() as printed:
        assert run.keys == first
        assert "account demo/alice, balance 998 credits" in printed
        assert "AlreadyPosted" in printed


def test_ctrl_c_lets_an_open_stream_end(tmp_path: Path) -> None:
    run = MakeRun(tmp_path)
    process = run.spawn()
    run.wait(process)
    key = run.keys[0]
    PLAINTEXTS.add(key)
    asked = {
        "model": "kimi-k2.5",
        "stream": True,
        "messages": [{"role": "user", "content": "!chunks 50 30"}],
    }
    url = f"http://127.0.0.1:{run.port}/api/openai/v1/chat/completions"
    headers = {"authorization": f"Bearer {key}"}
    with httpx.stream("POST", url, json=asked, headers=headers, timeout=30) as response:
        pieces = response.iter_text()
        text = next(pieces)
        os.killpg(process.pid, signal.SIGINT)
        text += "".join(pieces)
    assert text.rstrip().endswith("data: [DONE]")
    process.wait(30)
    with run.running() as printed:
        assert "account demo/alice, balance 999 credits" in printed


def test_a_real_provider_takes_the_simulated_ones_place(tmp_path: Path) -> None:
    real = Simulated(tmp_path)
    real.spawn(["simulate", "--port", str(real.port), "--api-key", "provider-secret"])
    wait_until(real._answers, "the provider")
    gateway = GatewayProcess(
        tmp_path,
        [],
        environment={
            "UPSTREAM_BASE_URL": real.url,
            "UPSTREAM_API_KEY": "provider-secret",
            "UPSTREAM_MODEL": "kimi-k3",
        },
    )
    gateway.config = ROOT / "examples" / "quickstart.yaml"
    gateway.start()
    secret = (gateway.data / "secrets" / "demo" / "alice-key.env").read_text()
    key = secret.splitlines()[0].removeprefix("OPENAI_API_KEY=")
    PLAINTEXTS.add(key)
    asked = {"model": "kimi-k2.5", "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(
        "/api/openai/v1/chat/completions", json=asked, headers={"x-api-key": key}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "kimi-k2.5"
    assert "kimi-k3" in str(real.stats())
    assert "provider-secret" not in gateway.log_text()
    gateway.stop()
    real.kill()
