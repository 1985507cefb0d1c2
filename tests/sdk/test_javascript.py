"""The released SDKs for JavaScript: one process for each, and a result for each of its cases.

The modules are installed outside the clone; a folder of its own, with the scripts beside a link to
the modules, is what makes `import` find them.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import GatewayProcess, Simulated

HERE = Path(__file__).parent
MODULES = "FAREGATE_TEST_NODE_MODULES"
TIMEOUT_SECONDS = 90

OPENAI = [
    "an answer is whole",
    "a stream says the same in pieces",
    "the stream helper builds the completion",
    "structured output is parsed",
    "parallel calls are read in any order",
    "a tool loop runs by itself",
    "a forced tool is called",
    "an image goes inline",
    "every failure has its class",
    "used up credits are reported once",
    "only what may pass is tried again",
    "a stream that breaks raises after what it sent",
    "a client that leaves cuts the upstream",
    "silence is filled with what the SDK skips",
    "a response is whole",
    "the response stream builds the response",
    "a response is parsed",
    "a custom tool takes and gives plain text",
    "a conversation goes on from the previous response",
    "items are referred to",
    "a response is kept and deleted",
    "nothing is kept where the client says so",
    "texts become vectors, in both forms",
    "models are listed and found",
    "another header for the key opens it too",
]
ANTHROPIC = [
    "an answer is whole",
    "a stream has its events in order",
    "the stream helper builds the message",
    "silence is filled with pings",
    "parallel calls are written one after the other",
    "thinking goes round in a tool loop",
    "the tool runner does without a thread",
    "a forced tool is called",
    "an image goes inline",
    "structured output is parsed",
    "tokens are counted",
    "every failure has its class",
    "used up credits are reported once",
    "only what may pass is tried again",
    "a stream that breaks raises after what it sent",
    "a client that leaves cuts the upstream",
    "models are listed and found",
    "another header for the key opens it too",
]
Verdicts = dict[str, str | None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The judges beside their modules."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    modules = os.environ.get(MODULES)
    if not modules or not Path(modules).is_dir():
        pytest.skip(f"the JavaScript SDKs are not installed ({MODULES} names no folder)")
    made = tmp_path_factory.mktemp("javascript")
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, made)
    (made / "node_modules").symlink_to(modules)
    return made


@pytest.fixture(scope="module")
def environment(
    gateway: GatewayProcess, simulated: Simulated, secret: dict[str, str]
) -> dict[str, str]:
    """The judge's facts: the Secret, as a pod has it, an empty account's key, the upstream."""
    return {
        "PATH": os.environ["PATH"],
        "JUDGE_SIMULATED": simulated.url.removesuffix("/v1"),
        "JUDGE_POOR_KEY": gateway.key("poor"),
        **secret,
    }


def hold(folder: Path, script: str, environment: dict[str, str]) -> Verdicts:
    """Run one judge to its end: what went wrong in each case, None where nothing did."""
    done = subprocess.run(
        ["node", str(folder / script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines: Iterator[Any] = map(json.loads, done.stdout.splitlines())
    return {line["name"]: line["error"] for line in lines}


@pytest.fixture(scope="module")
def openai_verdicts(folder: Path, environment: dict[str, str]) -> Verdicts:
    return hold(folder, "judge_openai.mjs", environment)


@pytest.fixture(scope="module")
def anthropic_verdicts(folder: Path, environment: dict[str, str]) -> Verdicts:
    return hold(folder, "judge_anthropic.mjs", environment)


def accept(verdicts: Verdicts, case: str) -> None:
    """Fail with the judge's own words."""
    complaint = verdicts.get(case, "the judge has no such case")
    if complaint is not None:
        pytest.fail(complaint, pytrace=False)


@pytest.mark.parametrize("case", OPENAI)
def test_openai(openai_verdicts: Verdicts, case: str) -> None:
    accept(openai_verdicts, case)


@pytest.mark.parametrize("case", ANTHROPIC)
def test_anthropic(anthropic_verdicts: Verdicts, case: str) -> None:
    accept(anthropic_verdicts, case)


def test_no_case_goes_unnoticed(openai_verdicts: Verdicts, anthropic_verdicts: Verdicts) -> None:
    assert list(openai_verdicts) == OPENAI
    assert list(anthropic_verdicts) == ANTHROPIC
