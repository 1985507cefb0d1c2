"""The table in the docs, and the pins. Needs no client."""

import json
import re
from pathlib import Path

import pytest

from tests.clients import upstreams
from tests.clients.installed import HERE, versions
from tests.clients.sights import collect, split_page, table


def test_the_table_in_the_docs_is_what_the_tests_show() -> None:
    _, inside, _ = split_page()
    assert inside == table(), "run: python -m tests.clients.sights"


def test_every_sight_names_a_pinned_package() -> None:
    assert {sight.package for sight in collect()} <= set(versions())


def test_every_javascript_client_is_locked_by_its_hash() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: one for name, one in lock["packages"].items() if name}
    bundled = {name for name, one in packages.items() if one.get("inBundle")}
    assert {name for name, one in packages.items() if not one.get("integrity")} <= bundled
    assert [name for name, one in packages.items() if "resolved" in one] == []


def test_every_go_client_is_locked_by_its_hash() -> None:
    folder = HERE / "languages" / "go"
    wanted = re.findall(r"^\s+(\S+ v\S+)", (folder / "go.mod").read_text("utf-8"), re.MULTILINE)
    locked = (folder / "go.sum").read_text("utf-8")
    assert len(wanted) > 2
    assert [one for one in wanted if f"{one} h1:" not in locked] == []


@pytest.mark.parametrize("pins", sorted((HERE / "python").glob("*.in")), ids=lambda path: path.stem)
def test_every_python_client_is_locked_by_its_hash(pins: Path) -> None:
    locked = pins.with_suffix(".txt").read_text(encoding="utf-8")
    wanted = pins.read_text(encoding="utf-8").split()
    assert [pin for pin in wanted if f"\n{pin} \\\n    --hash=sha256:" not in f"\n{locked}"] == []
    entries = [line for line in locked.splitlines() if "==" in line and not line.startswith(" ")]
    assert [line for line in entries if not line.endswith("\\")] == []


def test_every_java_and_rust_client_is_locked_by_its_hash() -> None:
    folder = HERE / "languages"
    jars = (folder / "java" / "jars.sha256").read_text("utf-8").splitlines()
    assert all(re.fullmatch(r"[0-9a-f]{64}  \S+\.jar", line) for line in jars)
    wanted = ("openai-java", "anthropic-java")
    names = [line.split()[1] for line in jars]
    assert {f"{name}-{versions()[name]}.jar" for name in wanted} <= set(names)
    crates = (folder / "rust" / "Cargo.lock").read_text("utf-8").split("[[package]]")[1:]
    ours = [crate for crate in crates if "checksum = " not in crate]
    assert [crate.split('"')[1] for crate in ours] == ["clients"]
    for name in ("async-openai", "async-anthropic"):
        assert any(f'"{name}"\nversion = "{versions()[name]}"' in crate for crate in crates)


def test_the_table_of_upstreams_is_of_the_pinned_versions() -> None:
    every = {(client, kind) for client in upstreams.CLIENTS for kind in upstreams.KINDS}
    assert upstreams.shown() == upstreams.table(every), "run: make test-clients UPSTREAMS=all"
