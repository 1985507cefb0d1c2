"""The terminal of the README shows the output of the product as it is today."""

from pathlib import Path

from tests.pictures import session, terminal
from tests.pictures.all import FOLDER


def test_the_terminal_is_drawn_from_what_the_product_prints_now(tmp_path: Path) -> None:
    drawn = terminal.draw(session.record(tmp_path))
    assert (FOLDER / "terminal.svg").read_text("utf-8") == drawn, "run: make pictures"
