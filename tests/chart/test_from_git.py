"""The page about Git: an Application is never out of sync for a default of the API server."""

from collections.abc import Iterator

import yaml

from tests.chart.helm import ROOT, Body
from tests.harness.pages import blocks, page


def defaults(schema: Body, path: str, *, in_list: bool = False) -> Iterator[str]:
    """The places in items of lists that the API server fills in, as jq names them."""
    if in_list and "default" in schema:
        yield path
        return
    for name, member in schema.get("properties", {}).items():
        yield from defaults(member, f"{path}.{name}", in_list=in_list)
    if "items" in schema:
        yield from defaults(schema["items"], f"{path}[]", in_list=True)


def test_every_default_in_a_list_is_ignored() -> None:
    (text,) = blocks(page("how-to/fit-your-cluster.md"), "yaml argocd ignored")
    ignored = {
        each["kind"]: set(each["jqPathExpressions"])
        for each in yaml.safe_load(text)["ignoreDifferences"]
    }
    expected = {}
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        body = yaml.safe_load(file.read_text(encoding="utf-8"))
        (version,) = body["spec"]["versions"]
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        if found := set(defaults(spec, ".spec")):
            expected[body["spec"]["names"]["kind"]] = found
    assert ignored == expected
