"""One release of this clone with a small image in the place of the large one."""

from pathlib import Path

import pytest
from release.artefacts import Artefacts
from release.source import Source

from tests.release.support import EPOCH, IMAGE, VERSION, build_small_image


@pytest.fixture(scope="package")
def source() -> Source:
    return Source.of_clone(VERSION, IMAGE)._replace(epoch=EPOCH)


@pytest.fixture(scope="package")
def release(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder; a test that changes something works on a copy."""
    folder = tmp_path_factory.mktemp("release") / VERSION
    Artefacts(source, folder).build(build_small_image)
    return folder
