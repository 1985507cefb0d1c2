"""Building images with a Docker engine."""

import subprocess
import sys
from collections.abc import Callable

from tests.cluster.clusters.images import Image


def run(*arguments: str, given: str | None = None) -> str:
    """Run a program; its standard output. Ends the run with what it printed when it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True, input=given)
    if done.returncode:
        sys.exit(f"{' '.join(arguments[:4])} …: {(done.stdout + done.stderr).strip()[-2000:]}")
    return done.stdout


def answers(*command: str) -> bool:
    """True if a program is there and ends well within some seconds."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def build(image: Image, address_of: Callable[[Image], str]) -> None:
    """Build an image unless the engine has it already."""
    address = address_of(image)
    if subprocess.run(["docker", "image", "inspect", address], capture_output=True).returncode == 0:
        return
    if not image.inputs and image.parent:
        run("docker", "tag", address_of(image.parent), address)
        return
    options = ["--build-arg", f"PARENT={address_of(image.parent)}"] if image.parent else []
    with image.context() as folder:
        run("docker", "build", "--quiet", "--tag", address, *options, str(folder))
