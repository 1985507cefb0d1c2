"""The list of pictures."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.harness.pages import DOCS
from tests.pictures import layers, session, terminal

FOLDER = DOCS / "pictures"


def drawn() -> Iterator[tuple[str, str]]:
    """Each picture's name and its SVG."""
    yield "layers.svg", layers.draw()
    with tempfile.TemporaryDirectory() as folder:
        yield "terminal.svg", terminal.draw(session.record(Path(folder)))
