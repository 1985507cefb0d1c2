"""Takes all pictures into a folder, and those that the docs show into `docs/pictures/`."""

import sys
import tempfile
from pathlib import Path

from tests.screenshots.month import lived_in
from tests.screenshots.shots import take_all

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, lived_in(Path(place)) as gateway:
        print(f"{take_all(gateway, folder)} pictures in {folder}")
