"""The start of a pod under Tilt, run for real: a changed file starts the process again."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.gateway import wait_until
from tests.harness.pages import ROOT
from tests.tilt.evaluated import live_files

RELOAD = [sys.executable, str(ROOT / ".dev/reload.py")]


@contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FAREGATE_")}
    with log.open("wb") as output:
        started = subprocess.Popen(
            command, cwd=log.parent, stdout=output, stderr=output, env={**clean, **environment}
        )
        try:
            yield started
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait(20)


def count(log: Path, text: str) -> int:
    return log.read_text(errors="replace").count(text)


def test_a_pod_runs_a_copy_of_its_files_and_a_changed_one_starts_it_anew(tmp_path: Path) -> None:
    image, pod, log = tmp_path / "opt-live", tmp_path / "tmp-live", tmp_path / "log"
    added = (ROOT / ".dev/tilt/live.Dockerfile").read_text(encoding="utf-8")
    for source, goal in live_files(added).items():
        place = image / Path(goal).relative_to("/opt/live")
        place.parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, place)
    start = (image / "start").read_text(encoding="utf-8")
    start = start.replace("/opt/live", str(image)).replace("/tmp/live", str(pod))
    (image / "start").write_text(start, encoding="utf-8")
    watched = str(pod / "gateway")
    ready = "the simulated upstream answers at"
    arguments = ["gateway", "simulate", "--port", "0"]
    python = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with process(
        ["sh", str(image / "start"), *arguments],
        log,
        WATCHED=watched,
        PYTHONPATH=str(pod),
        PATH=python,
    ) as running:
        wait_until(lambda: count(log, ready) >= 1, "the first start")
        program = pod / "gateway/__main__.py"
        program.write_text(program.read_text().replace(ready, "changed, it answers at"))
        wait_until(lambda: count(log, "changed, it answers at") == 1, "the new start")
        assert running.poll() is None
    assert running.returncode == 0, "the signal reaches the process, which ends well"


def test_a_process_that_fails_is_started_again_when_it_was_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = ["-c", "print('tried', flush=True); raise SystemExit(3)"]
    watched = tmp_path / "watched"
    watched.mkdir()
    with process([*RELOAD, "--again", "0.5", str(watched), "--", *program], log):
        wait_until(lambda: count(log, "tried") >= 2, "another start")
    before = tmp_path / "before"
    with process([*RELOAD, str(watched), "--", *program], before):
        wait_until(lambda: count(before, "tried") == 1, "the only start")
        (watched / "new.py").touch()
        wait_until(lambda: count(before, "tried") == 2, "the start after a change")


def test_a_signal_ends_the_process_with_its_own_code(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(60)
"""
    with process([*RELOAD, str(tmp_path / "none"), "--", "-c", program], log) as running:
        wait_until(lambda: count(log, "ready") == 1, "the start")
    assert running.returncode == 7
