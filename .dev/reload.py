"""Run `python ARGUMENTS…` and start it again whenever a file below the given folders changes.

reload.py [--again SECONDS] FOLDER… -- ARGUMENTS…

A program that ended by itself is started by the next change, or again after so many seconds.
"""

import math
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

_LOOK_SECONDS = 0.5


def changes(folders: list[Path]) -> dict[Path, int]:
    """Every Python and YAML file, and when it was last changed."""
    found: dict[Path, int] = {}
    for folder in folders:
        for file in folder.rglob("*"):
            with suppress(FileNotFoundError):  # it went while we looked
                if file.suffix in {".py", ".yaml"}:
                    found[file] = file.stat().st_mtime_ns
    return found


def run(command: list[str], folders: list[Path], again_seconds: float) -> None:
    """Run the program until something changed, or for so long after it ended by itself."""
    seen = changes(folders)
    process = subprocess.Popen(command)

    def stop(number: int, _: FrameType | None) -> None:
        process.send_signal(number)
        sys.exit(process.wait())

    # As the first process of a container this one would not even hear of the signal otherwise.
    signal.signal(signal.SIGTERM, stop)
    ended_seconds = 0.0
    try:
        while changes(folders) == seen and ended_seconds < again_seconds:
            time.sleep(_LOOK_SECONDS)
            ended_seconds += 0 if process.poll() is None else _LOOK_SECONDS
    except KeyboardInterrupt:
        sys.exit(process.wait())
    process.send_signal(signal.SIGTERM)
    process.wait()


def main() -> None:
    arguments = sys.argv[1:]
    again_seconds = math.inf
    if arguments[0] == "--again":
        again_seconds = float(arguments[1])
        arguments = arguments[2:]
    split = arguments.index("--")
    folders = [Path(name) for name in arguments[:split]]
    while True:
        run([sys.executable, *arguments[split + 1 :]], folders, again_seconds)


if __name__ == "__main__":
    main()
