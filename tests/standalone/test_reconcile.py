"""The file of documents against the database, as `serve` does it; each object a story."""

import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.core.actor import UNKNOWN_ACTOR
from gateway.core.groups import check_accounts
from gateway.core.key_policy import KeyPolicy
from gateway.core.keys import generate_key, generate_key_id
from gateway.core.spec import AccountObject, ApiKey, CreditGrant
from gateway.core.spec_fields import SpecError
from gateway.process.standalone.applied import KeyReport
from gateway.process.standalone.documents import Documents, read_documents
from gateway.process.standalone.reconcile import Reconciler
from gateway.process.standalone.secret_files import SecretFiles
from gateway.store.cached_keys import read_by_hash
from gateway.store.database import Database
from gateway.store.group_rows import list_governed
from gateway.store.personal_keys import KeySettings, NewKey, issue_key
from tests.harness.books import INSTALLATION, SECRET, credential, grant_object, key_object
from tests.harness.gateway import api_key, credit_grant, fleet
from tests.store.test_groups import account_object


class Standalone:
    """A data folder and its database."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.secrets = SecretFiles(folder / "secrets")
        self.environment: dict[str, str] = {}

    def apply(
        self, *objects: ApiKey | CreditGrant | AccountObject, client_url: str = "http://here"
    ) -> list[KeyReport]:
        reconciler = Reconciler(
            self.database,
            INSTALLATION,
            SECRET,
            self.secrets,
            self.environment,
            client_url,
        )
        keys = tuple(document for document in objects if isinstance(document, ApiKey))
        grants = tuple(document for document in objects if isinstance(document, CreditGrant))
        accounts = tuple(document for document in objects if isinstance(document, AccountObject))
        documents = Documents(None, keys, grants, accounts=accounts)  # type: ignore[arg-type]  # no fleet is read here
        reports, _ = reconciler.apply(documents)
        return reports

    def is_live(self, plaintext: str) -> bool:
        hashed = credential(plaintext).hash
        key = read_by_hash(self.database, [hashed])
        return (
            key is not None and not key.revoked and hashed in {issued.hash for issued in key.hashes}
        )


@pytest.fixture
def standalone(database: Database, tmp_path: Path) -> Standalone:
    return Standalone(database, tmp_path)


def test_a_key_is_made_once_and_its_secret_is_ready_for_both_sdks(standalone: Standalone) -> None:
    (first,) = standalone.apply(key_object())
    (second,) = standalone.apply(key_object())
    assert first == second
    path = standalone.secrets.path("team", "key-secret")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert standalone.secrets.read("team", "key-secret") == {
        "OPENAI_API_KEY": first.plaintext,
        "OPENAI_BASE_URL": "http://here/api/openai/v1",
        "ANTHROPIC_AUTH_TOKEN": first.plaintext,
        "ANTHROPIC_BASE_URL": "http://here/api/anthropic",
    }
    assert standalone.is_live(first.plaintext)


def test_the_secret_follows_the_clients_url(standalone: Standalone) -> None:
    standalone.apply(key_object())
    standalone.apply(key_object(), client_url="http://there")
    kept = standalone.secrets.read("team", "key-secret")
    assert kept["ANTHROPIC_BASE_URL"] == "http://there/api/anthropic"


def test_a_rotation_gives_a_new_key_and_the_old_one_its_overlap(standalone: Standalone) -> None:
    (old,) = standalone.apply(key_object())
    (new,) = standalone.apply(key_object(rotation={"generation": 1, "overlap": "1h"}))
    assert new.plaintext != old.plaintext
    assert standalone.is_live(old.plaintext)
    assert standalone.is_live(new.plaintext)
    (again,) = standalone.apply(key_object(rotation={"generation": 1, "overlap": "1h"}))
    assert again == new


def test_a_leaked_key_dies_at_once_without_an_overlap(standalone: Standalone) -> None:
    (old,) = standalone.apply(key_object())
    (new,) = standalone.apply(key_object(rotation={"generation": 1, "overlap": "0s"}))
    assert not standalone.is_live(old.plaintext)
    assert standalone.is_live(new.plaintext)


def test_a_rotation_that_ended_before_its_secret_was_written_is_done_again(
    standalone: Standalone,
) -> None:
    (old,) = standalone.apply(key_object())
    kept = standalone.secrets.read("team", "key-secret")
    rotated = key_object(rotation={"generation": 1, "overlap": "1h"})
    (lost,) = standalone.apply(rotated)
    standalone.secrets.write("team", "key-secret", kept)  # as if the process had died before
    (new,) = standalone.apply(rotated)
    assert new.plaintext not in (old.plaintext, lost.plaintext)
    assert standalone.is_live(new.plaintext)


def test_an_object_that_is_gone_is_a_revoked_key(standalone: Standalone) -> None:
    (gone,) = standalone.apply(key_object())
    standalone.apply()
    assert not standalone.is_live(gone.plaintext)
    (back,) = standalone.apply(key_object())
    assert back.plaintext != gone.plaintext
    assert standalone.is_live(back.plaintext)


def test_a_lost_secret_is_reported_and_not_silently_replaced(standalone: Standalone) -> None:
    standalone.apply(key_object())
    standalone.secrets.path("team", "key-secret").unlink()
    with pytest.raises(SpecError, match=r"raise spec\.rotation\.generation"):
        standalone.apply(key_object())
    (new,) = standalone.apply(key_object(rotation={"generation": 1}))
    assert standalone.is_live(new.plaintext)


def test_a_key_of_ones_own_is_none_that_others_know(standalone: Standalone) -> None:
    source = {"secretKeyRef": {"name": "key-secret", "key": "OPENAI_BASE_URL"}}
    other = key_object("other", secretName=None, valueFrom=source)
    with pytest.raises(SpecError, match="was made for another key"):
        standalone.apply(key_object(), other)
    standalone.environment["MY_KEY"] = "https://gateway.example.com/api/openai/v1"
    with pytest.raises(SpecError, match="may not be a URL"):
        standalone.apply(brought())


def brought(**spec: Any) -> ApiKey:
    source = {"secretKeyRef": {"name": "own", "key": "MY_KEY"}}
    return key_object(secretName=None, valueFrom=source, **spec)


def test_a_brought_key_comes_from_a_file_or_the_environment(standalone: Standalone) -> None:
    standalone.environment["MY_KEY"] = "e" * 40
    (from_environment,) = standalone.apply(brought())
    assert from_environment.plaintext == "e" * 40
    standalone.secrets.write("team", "own", {"MY_KEY": "f" * 40})
    (from_file,) = standalone.apply(brought(rotation={"overlap": "0s"}))
    assert from_file.plaintext == "f" * 40
    assert standalone.is_live("f" * 40)
    assert not standalone.is_live("e" * 40)


@pytest.mark.parametrize(
    ("value", "problem"),
    [(None, "no secret own"), ("short", "at least 32"), ("ü" * 40, "printable ASCII")],
)
def test_a_brought_key_that_cannot_be_used_is_refused_without_being_shown(
    standalone: Standalone, value: str | None, problem: str
) -> None:
    if value is not None:
        standalone.environment["MY_KEY"] = value
    with pytest.raises(SpecError, match=problem) as caught:
        standalone.apply(brought())
    assert value is None or value not in str(caught.value)


def test_grants_are_posted_by_the_same_file(standalone: Standalone) -> None:
    standalone.apply(key_object(), grant_object(credits=7))
    standalone.apply(key_object(), grant_object(credits=7))


@pytest.mark.parametrize(
    ("documents", "problem"),
    [
        ([api_key("a")], "expected one GatewayFleet, found 0"),
        ([fleet("http://x"), fleet("http://x")], "expected one GatewayFleet, found 2"),
        ([fleet("http://x"), api_key("a"), api_key("a")], "team/a is there twice"),
        ([fleet("ftp://x")], r"\$\.spec\.upstreams"),
        ([fleet("http://x"), credit_grant("g", credits=-1)], r"CreditGrant g.*credits"),
        ([{"apiVersion": "other/v1"}], "apiVersion"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(
    tmp_path: Path, documents: list[dict[str, Any]], problem: str
) -> None:
    import yaml

    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    with pytest.raises(SpecError, match=problem) as caught:
        read_documents(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_no_yaml_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    with pytest.raises(SpecError, match="No such file"):
        read_documents(path)
    path.write_text("{[a]: b, [a]: c}")
    with pytest.raises(SpecError, match="is not YAML"):
        read_documents(path)
    path.write_text("[" * 5000)
    with pytest.raises(SpecError, match="too deeply"):
        read_documents(path)
    path.write_text("a: [")
    with pytest.raises(SpecError, match="is not YAML"):
        read_documents(path)


def test_a_file_leaves_the_keys_of_people_alone(standalone: Standalone) -> None:
    plaintext = generate_key()
    wanted = NewKey(
        key_id=generate_key_id(),
        namespace="team",
        account="alice",
        settings=KeySettings(label="mine"),
    )
    database, secret = standalone.database, credential(plaintext)
    issue_key(database, INSTALLATION, wanted, secret, KeyPolicy(), UNKNOWN_ACTOR)
    (report,) = standalone.apply(key_object())
    standalone.apply()
    assert not standalone.is_live(report.plaintext)
    assert standalone.is_live(plaintext)


def tree(standalone: Standalone) -> dict[str, tuple[str | None, int | None]]:
    """Parent and limit for good of each account that an object governs."""
    return {
        state.name: (state.parent, state.limits.credits)
        for state in list_governed(standalone.database, INSTALLATION)
    }


def test_accounts_have_the_parents_and_limits_of_the_file(standalone: Standalone) -> None:
    """Those that change places too, and no limit of an object that is gone."""
    below = account_object("alice", parent="team", limits={"credits": 5})
    standalone.apply(below, account_object("team", limits={"credits": 9}), key_object())
    assert tree(standalone) == {"alice": ("team", 5), "team": (None, 9)}
    standalone.apply(account_object("team", parent="alice"), account_object("alice"), key_object())
    assert tree(standalone) == {"alice": (None, None), "team": ("alice", None)}
    standalone.apply(account_object("bob", "team", limits={"credits": 3}), key_object())
    assert tree(standalone) == {"bob": (None, 3)}


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ([("one", "alice", None), ("two", "alice", None)], "one names the account alice, too"),
        ([("a", "a", "b"), ("b", "b", "a")], "none is above itself"),
        ([("a", "a", "b"), ("b", "b", "c"), ("c", "c", "d")], "3 levels"),
    ],
)
def test_a_tree_that_is_none_is_refused(
    objects: list[tuple[str, str, str | None]], problem: str
) -> None:
    wanted = [
        account_object(account, name, **({"parent": parent} if parent else {}))
        for name, account, parent in objects
    ]
    with pytest.raises(SpecError, match=problem):
        check_accounts(wanted)
