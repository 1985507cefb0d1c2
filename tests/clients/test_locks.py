"""The locks of the Python clients are complete."""

from pathlib import Path

import pytest

from tests.clients.installed import folder
from tests.harness.locks import closure, pins, requirements, site_packages

PINS = Path(__file__).parent / "python"


@pytest.mark.parametrize("name", sorted(path.stem for path in PINS.glob("*.txt")))
def test_a_lock_pins_all_that_its_clients_need(name: str) -> None:
    wanted = requirements((PINS / f"{name}.in").read_text("utf-8").splitlines())
    pinned = pins((PINS / f"{name}.txt").read_text("utf-8"))
    found = closure(wanted, pinned, site_packages(folder() / "python" / name))
    assert len(found) > len(wanted)
