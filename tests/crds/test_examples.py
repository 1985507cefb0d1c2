"""An API server takes the objects of the docs and `examples/` without a word of complaint."""

from collections.abc import Iterator

import pytest
import yaml

from tests.crds.support import CRDS, ROOT, Api, Json, complaints
from tests.harness.pages import PAGES, blocks


def shown() -> Iterator[tuple[str, Json]]:
    """Every document of our kinds, with where it stands."""
    given = [(path, path.read_text("utf-8")) for path in sorted(ROOT.glob("examples/**/*.yaml"))]
    given += [(path, text) for path in PAGES for text in blocks(path.read_text("utf-8"), "yaml")]
    for path, text in given:
        for document in yaml.safe_load_all(text):
            if document["kind"] in CRDS:
                yield f"{path.name}: {document['kind']} {document['metadata']['name']}", document


@pytest.mark.parametrize(("where", "document"), [pytest.param(*one, id=one[0]) for one in shown()])
def test_an_example_is_taken(api: Api, where: str, document: Json) -> None:
    document = {**document, "metadata": {"name": document["metadata"]["name"]}}
    answer = api.create(document)
    assert complaints(answer) == [], where
    assert "warning" not in answer.headers
    api.delete(document)


def test_the_examples_show_every_kind() -> None:
    folder = ROOT / "examples/cluster"
    kinds = {yaml.safe_load(path.read_text("utf-8"))["kind"] for path in folder.glob("*.yaml")}
    assert kinds == CRDS.keys()
