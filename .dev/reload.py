"""Run `python ARGUMENTS…` and start it anew whenever a file below the given folders changes.

reload.py FOLDER… -- ARGUMENTS…
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

_LOOK_SECONDS = 0.5


def newest(folders: list[Path]) -> float:
    """The newest change of any Python or YAML file."""
    files = (file for folder in folders for file in folder.rglob("*"))
    return max(f.stat().st_mtime for f in files if f.suffix in {".py", ".yaml"})


def main() -> int:
    split = sys.argv.index("--")
    folders = [Path(name) for name in sys.argv[1:split]]
    command = [sys.executable, *sys.argv[split + 1 :]]
    while True:
        seen = newest(folders)
        process = subprocess.Popen(command)
        try:
            while newest(folders) == seen:
                time.sleep(_LOOK_SECONDS)
        except KeyboardInterrupt:
            return process.wait()
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
