"""`python -m tests.cluster`: find or make a cluster, bring the images, run the stories in it.

    prepare        report which cluster there is, and build what it needs once
    run [ARG …]    the stories; arguments are pytest's

A cluster that was made for the run goes with it, unless FAREGATE_TEST_KEEP_CLUSTER is set: then
the next run takes it as it is.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.clusters import choose
from tests.cluster.clusters.base import Cluster
from tests.cluster.clusters.images import images
from tests.cluster.local.commands import Failed, announce

ROOT = Path(__file__).resolve().parents[2]
KEEP = "FAREGATE_TEST_KEEP_CLUSTER"
NO_SKIPS = "FAREGATE_TEST_NO_SKIPS"
#: a file that gets a line for each phase: seconds, a tab, what it was
PHASES = "FAREGATE_TEST_PHASES"


def main(arguments: list[str]) -> int:
    """Run one command. The exit code is pytest's, or 1 with a sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cluster = choose()
    try:
        match arguments:
            case ["prepare"]:
                return prepare(cluster)
            case ["run", *given]:
                return run(cluster, given)
    except (Failed, OSError) as error:
        announce(f"cluster: {error}")
        return 1
    announce(__doc__ or "")
    return 2


def prepare(cluster: Cluster) -> int:
    """Report which cluster there is; build what it needs."""
    obstacle = cluster.why_not()
    if obstacle:
        print(f"not found: its stories are skipped ({obstacle})")
        return 0
    cluster.prepare()
    print(cluster.title)
    return 0


def run(cluster: Cluster, arguments: list[str]) -> int:
    """The whole of a run."""
    obstacle = cluster.why_not()
    if obstacle:
        announce(f"no cluster, so its stories are skipped: {obstacle}")
        return 1 if os.environ.get(NO_SKIPS) else 0
    began = time.monotonic()
    cluster.prepare()
    wanted = images()
    try:
        if not os.environ.get(KEEP) or not _is_there(cluster):
            cluster.start()
        cluster.deliver(list(wanted.values()))
        _note(began, "cluster: start, images")
        began = time.monotonic()
        facts = {
            "cluster": cluster.name,
            "url": cluster.way().url,
            "class": cluster.way().class_name,
            "gateway": cluster.way().gateway,
            "images": {name: cluster.address(image) for name, image in wanted.items()},
        }
        code = _stories(cluster, facts, arguments)
        _note(began, "cluster: stories")
        return code
    finally:
        if not os.environ.get(KEEP):
            cluster.remove()


def _stories(cluster: Cluster, facts: Mapping[str, object], arguments: list[str]) -> int:
    with tempfile.NamedTemporaryFile("w", prefix="faregate-cluster-", suffix=".json") as file:
        json.dump(facts, file)
        file.flush()
        given = arguments or [str(ROOT / "tests/cluster")]
        shown = ["--capture=tee-sys", "--durations=0", "--durations-min=5"]
        line = [sys.executable, "-m", "pytest", *shown, *given]
        environment = {**cluster.environment(), "FAREGATE_TEST_CLUSTER": file.name}
        process = subprocess.Popen(cluster.command(line), env=environment, cwd=ROOT)
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def _is_there(cluster: Cluster) -> bool:
    """True if a cluster that was kept answers."""
    asked = cluster.command(["kubectl", "get", "--raw", "/readyz"])
    done = subprocess.run(asked, env={**cluster.environment()}, capture_output=True)
    return done.returncode == 0


def _note(began: float, what: str) -> None:
    if os.environ.get(PHASES):
        with Path(os.environ[PHASES]).open("a") as file:
            file.write(f"{time.monotonic() - began:.0f}\t{what}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
