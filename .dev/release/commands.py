"""Runs other programs, and raises one error for what cannot be done."""

import subprocess
from pathlib import Path


class Failed(Exception):
    """A release cannot be made, or is not what it claims; the text is for a person."""


def run(*command: str | Path, folder: Path | None = None, env: dict[str, str] | None = None) -> str:
    """The standard output of a program without the line's end. Raises `Failed`."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    except FileNotFoundError:
        raise Failed(f"{words[0]} is not installed") from None
    if done.returncode:
        raise Failed(f"{' '.join(words[:4])} …: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout.rstrip("\n")
