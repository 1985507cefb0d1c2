"""The terminal of the README shows the output of the product as it is today; PNGs are small."""

from pathlib import Path

from tests.harness.pages import PAGES
from tests.pictures import session, terminal
from tests.pictures.all import FOLDER
from tests.screenshots.shots import SHOWN

#: the history keeps every one for ever
_BYTES_MAX = 120_000


def test_the_terminal_is_drawn_from_what_the_product_prints_now(tmp_path: Path) -> None:
    drawn = terminal.draw(session.record(tmp_path))
    assert (FOLDER / "terminal.svg").read_text("utf-8") == drawn, "run: make pictures"


def test_each_picture_of_the_console_is_small_and_on_a_page() -> None:
    kept = {path.name: path.stat().st_size for path in FOLDER.glob("*.png")}
    assert kept.keys() == SHOWN.keys(), "run: make screenshots FOLDER=…"
    assert {name for name, size in kept.items() if size >= _BYTES_MAX} == set()
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    assert {name for name in kept if f"pictures/{name})" not in pages} == set()
