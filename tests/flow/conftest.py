"""An upstream that answers what a test has it answer."""

from collections.abc import Iterator

import pytest

from tests.harness.scripted import ScriptedUpstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as made:
        yield made
