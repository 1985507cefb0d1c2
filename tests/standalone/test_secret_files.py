"""The value that a secretRef names: in the gateway's own file, or in a mounted folder."""

from pathlib import Path

import pytest

from gateway.core.spec_fields import SecretKeyRef, SpecError
from gateway.process.standalone.secret_files import SecretFiles

REF = SecretKeyRef(name="moonshot", key="api-key")


def mount(folder: Path, values: dict[str, bytes], name: str = "moonshot") -> None:
    """As the kubelet does it: the files are links into a folder that changes as a whole."""
    mounted = folder / "team" / name
    data = mounted / "..2026_11_23"
    data.mkdir(parents=True)
    (mounted / "..data").symlink_to(data.name)
    for key, value in values.items():
        (data / key).write_bytes(value)
        (mounted / key).symlink_to(Path("..data", key))


def test_a_mounted_secret_has_a_file_for_each_key(tmp_path: Path) -> None:
    mount(tmp_path, {"api-key": b"sk-mounted", "line": b"sk-line\n"})
    secrets = SecretFiles(tmp_path)
    assert secrets.resolve("team", REF) == "sk-mounted"
    assert secrets.resolve("team", SecretKeyRef(name="moonshot", key="line")) == "sk-line"
    for key in ("other", "..data", ".", ".."):
        assert secrets.resolve("team", SecretKeyRef(name="moonshot", key=key)) is None
    assert secrets.resolve("other-team", REF) is None


def test_what_is_mounted_comes_before_a_file_of_ours(tmp_path: Path) -> None:
    secrets = SecretFiles(tmp_path)
    secrets.write("team", "moonshot", {"api-key": "sk-ours", "more": "sk-more"})
    assert secrets.resolve("team", REF) == "sk-ours"
    mount(tmp_path, {"api-key": b"sk-mounted"})
    assert secrets.resolve("team", REF) == "sk-mounted"
    assert secrets.resolve("team", SecretKeyRef(name="moonshot", key="more")) == "sk-more"


def test_a_mounted_secret_with_the_name_of_a_file_of_ours_is_not_read_as_one(
    tmp_path: Path,
) -> None:
    mount(tmp_path, {"api-key": b"sk"}, name="moonshot.env")
    secrets = SecretFiles(tmp_path)
    assert secrets.resolve("team", REF) is None
    assert secrets.resolve("team", SecretKeyRef(name="moonshot.env", key="api-key")) == "sk"


def test_a_value_that_is_not_text_is_refused_without_being_shown(tmp_path: Path) -> None:
    mount(tmp_path, {"api-key": b"\xff\xfesk-secret"})
    with pytest.raises(SpecError, match="api-key of secret team/moonshot is not text") as caught:
        SecretFiles(tmp_path).resolve("team", REF)
    assert "sk-secret" not in str(caught.value)
