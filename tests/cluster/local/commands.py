"""Running other programs: quietly, and with their words when they fail."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.local import places


class Failed(Exception):
    """A program ended badly; the text is what it printed last."""


def run(
    *arguments: object,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
    seconds: float = 3600,
) -> str:
    """Run a program to its end and return its standard output.

    Raises `Failed` with the end of its output when it exits with another code than 0.
    """
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        words = " ".join(str(argument) for argument in arguments[:6])
        found = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise Failed(f"{words} … ended with {done.returncode}:\n{found}")
    return done.stdout


def succeeds(*arguments: object) -> bool:
    """True if a program ends well; what it prints is of no interest."""
    try:
        run(*arguments)
    except (Failed, OSError):
        return False
    return True


def inside(*arguments: object) -> list[str]:
    """The command line that runs a program in the node's network."""
    enter = ["nsenter", f"--net=/run/netns/{places.NAMESPACE}"]
    return [*enter, *(str(argument) for argument in arguments)]


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process at a time holds this file's lock, whichever clone it is of."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def announce(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Step:
    """A long step: reports that it begins, and how long it took when it is done."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = 0.0

    def __enter__(self) -> None:
        announce(f"  {self._title} …")
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        word = "done" if kind is None else "failed"
        announce(f"  {self._title}: {word} after {time.monotonic() - self._began:.0f} s")
