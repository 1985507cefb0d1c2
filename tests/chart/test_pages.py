"""The values that the pages give can be installed as they are."""

import re

import pytest
import yaml

from tests.chart.helm import TRIAL, Values, render
from tests.chart.schemas import NEWEST, schemas_of
from tests.harness.pages import PAGES

GIVEN: dict[str, Values] = {
    name: yaml.safe_load(text)
    for path in PAGES
    for name, text in re.findall(
        r"^```yaml values (\S+)\.yaml\n(.*?)^```", path.read_text("utf-8"), re.M | re.S
    )
}


@pytest.mark.parametrize("name", GIVEN)
def test_values_of_a_page_make_valid_objects(name: str) -> None:
    own_extra = [each["kind"] for each in GIVEN[name].get("extraObjects", [])]
    rendered = render({**TRIAL, **GIVEN[name]}).objects
    ours = [each for each in rendered if each["kind"] not in own_extra]
    schemas = schemas_of(NEWEST)
    assert [error for each in ours for error in schemas.errors(each)] == []
    assert len(rendered) - len(ours) == len(own_extra)
