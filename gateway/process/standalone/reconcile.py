"""From the documents of a file to the rows of a database, as the operator does it in a cluster.

Plain SQL finds the rows that are there already. The modules that write are loaded only where a row
has to be written: they load SQLModel, which takes half of a start and a third of a process's
memory.
"""

from collections.abc import Iterable

from gateway.core.actor import UNKNOWN_ACTOR, Actor
from gateway.core.allowances import period_at
from gateway.core.keys import (
    PEPPER,
    Credential,
    InstallationSecret,
    credential_of,
    generate_key,
    problem_of_brought_key,
    secret_values,
)
from gateway.core.orphans import orphans_max
from gateway.core.spec import ApiKey, CreditAllowance, CreditGrant
from gateway.core.spec_fields import SpecError
from gateway.process.standalone.accounts import apply_accounts
from gateway.process.standalone.applied import GrantReport, KeyReport
from gateway.process.standalone.documents import Documents
from gateway.process.standalone.secret_files import SecretFiles
from gateway.store.allowance_rows import find_allowance, forget_allowances
from gateway.store.database import Database
from gateway.store.grant_result import GrantResult
from gateway.store.grant_rows import decided, find_grant
from gateway.store.key_rows import KeyState, find_key, list_keys

Name = tuple[str, str]


def post_grants(
    database: Database, installation: str, grants: Iterable[CreditGrant], actor: Actor
) -> list[GrantReport]:
    """Post what is due and was not posted. Raises `DatabaseUnavailable`."""
    return [
        GrantReport(grant.metadata.shown, _post_grant(database, installation, grant, actor))
        for grant in grants
    ]


def _post_grant(
    database: Database, installation: str, grant: CreditGrant, actor: Actor
) -> GrantResult:
    state, now = find_grant(database, installation, grant)
    result = decided(grant, state, now)
    if state is not None and result is not None:
        return result
    from gateway.store.grants import apply_grant

    return apply_grant(database, installation, grant, actor)


def post_allowances(
    database: Database, installation: str, allowances: Iterable[CreditAllowance], actor: Actor
) -> list[GrantReport]:
    """Post what of the allowances is due. Raises `DatabaseUnavailable`."""
    reports: list[GrantReport] = []
    for allowance in allowances:
        state, now = find_allowance(database, installation, allowance)
        begin = period_at(allowance.spec.every, now).begin
        if state.since == begin and not state.due:
            continue
        from gateway.store.allowances import keep_since, post_credits

        if state.since is None:
            keep_since(database, installation, allowance, begin)
        are_posted = state.has_all_due
        for due in state.due:
            result = post_credits(database, installation, allowance, due, actor)
            if result is not None:
                name = f"{allowance.metadata.shown}:{due.period.name}:{due.account}"
                reports.append(GrantReport(name, result))
                are_posted &= not result.is_stalled
        if are_posted and state.since not in (None, begin):
            keep_since(database, installation, allowance, begin)
    return reports


class Reconciler:
    """Applies documents to one database; running it twice changes nothing.

    `confirmed_orphans` is an administrator's word: so many keys may end because their objects are
    gone, although they are many.
    """

    def __init__(
        self,
        database: Database,
        installation: str,
        secret: InstallationSecret,
        secrets: SecretFiles,
        environment: dict[str, str],
        client_url: str,
        confirmed_orphans: int | None = None,
    ) -> None:
        self._database = database
        self._installation = installation
        self._pepper = secret.pepper(PEPPER)
        self._secrets = secrets
        self._environment = environment
        self._client_url = client_url
        self._confirmed_orphans = confirmed_orphans
        self._actor = UNKNOWN_ACTOR
        #: names of the keys that `apply` revoked, and of those for which it waits for a word
        self.revoked: list[str] = []
        self.orphans: list[str] = []

    def apply(self, documents: Documents) -> tuple[list[KeyReport], list[GrantReport]]:
        """Apply keys and grants, and revoke the keys that are not there any more.

        Raises `SpecError` for an object that cannot be applied, before anything is.
        """
        self._actor = Actor(documents.source)
        living = list_keys(self._database, self._installation)
        self._check(documents, {(state.namespace, state.name): state for state in living})
        self._revoke_orphans(documents, living)
        # Limits first: nothing is charged above them.
        apply_accounts(self._database, self._installation, documents.accounts, self._actor)
        grants = post_grants(self._database, self._installation, documents.grants, self._actor)
        # An allowance for all accounts of a pattern finds those that the keys make.
        keys = [self._apply_key(key) for key in documents.keys]
        grants += self._apply_allowances(documents)
        return keys, grants

    def _apply_allowances(self, documents: Documents) -> list[GrantReport]:
        database, allowances = self._database, documents.allowances
        named = {(each.metadata.namespace, each.metadata.name) for each in allowances}
        forget_allowances(database, self._installation, named)
        return post_allowances(database, self._installation, allowances, self._actor)

    def _check(self, documents: Documents, living: dict[Name, KeyState]) -> None:
        """Refuse what could not be applied to its end."""
        generated = {(key.metadata.namespace, key.spec.secret_name) for key in documents.keys}
        owners: dict[str, str] = {}
        for key in documents.keys:
            namespace, name = key.metadata.namespace, key.metadata.name
            state = living.get((namespace, name))
            if state is not None and state.scope != key.spec.scope:
                raise SpecError(f"ApiKey {namespace}/{name}: scope is immutable; make another one")
            if key.spec.secret_name is not None:
                self._check_secret(key, key.spec.secret_name, state)
                continue
            assert key.spec.value_from is not None, "one of secretName and valueFrom is given"
            source = key.spec.value_from.secret_key_ref.name
            if (namespace, source) in generated:
                raise SpecError(
                    f"ApiKey {namespace}/{name}: secret {source} was made for another key, by its"
                    " secretName: name one in valueFrom that holds a key of its own"
                )
            owner = owners.setdefault(self._brought(key), name)
            if owner != name:
                raise SpecError(
                    f"ApiKey {namespace}/{name}: {owner} has the same key; each needs its own"
                )

    def _check_secret(self, key: ApiKey, secret_name: str, state: KeyState | None) -> None:
        namespace = key.metadata.namespace
        if state is None or key.spec.rotation.generation > state.generation:
            return
        if self._secrets.read(namespace, secret_name).get("OPENAI_API_KEY") is None:
            raise SpecError(
                f"ApiKey {namespace}/{key.metadata.name}: its secret is lost"
                f" ({self._secrets.path(namespace, secret_name).name});"
                " raise spec.rotation.generation for a new key"
            )

    def _revoke_orphans(self, documents: Documents, living: list[KeyState]) -> None:
        """Few at once, or as many as were confirmed.

        On PostgreSQL a key with a UID is a cluster's, and not the file's to revoke.
        """
        named = {(key.metadata.namespace, key.metadata.name) for key in documents.keys}
        own = [state for state in living if self._database.is_sqlite or not state.uid]
        gone = [state for state in own if (state.namespace, state.name) not in named]
        names = [f"{state.namespace}/{state.name}" for state in gone]
        if len(gone) > orphans_max(len(own)) and len(gone) != self._confirmed_orphans:
            self.orphans = names
            return
        if gone:
            from gateway.store.keys import revoke_key

            for state in gone:
                revoke_key(self._database, state.id, self._actor)
        self.revoked = names

    def _apply_key(self, key: ApiKey) -> KeyReport:
        namespace, name = key.metadata.namespace, key.metadata.name
        state = find_key(self._database, self._installation, namespace, name)
        path = None
        if key.spec.secret_name is None:
            plaintext = self._brought(key)
            self._write_row(key, self._credential(plaintext), state)
        else:
            plaintext = self._generated(key, key.spec.secret_name, state)
            path = self._secrets.path(namespace, key.spec.secret_name)
        return KeyReport(
            name=f"{namespace}/{name}",
            account=f"{namespace}/{key.spec.account}",
            plaintext=plaintext,
            secret_name=key.spec.secret_name or "",
            path=path,
        )

    def _generated(self, key: ApiKey, secret_name: str, state: KeyState | None) -> str:
        namespace = key.metadata.namespace
        kept = self._secrets.read(namespace, secret_name).get("OPENAI_API_KEY")
        if state is None or state.revoked:
            # New: the secret first, then its hash, so that a crash between leaves no key that
            # nobody knows. What a file of this name holds after a revocation is dead for good.
            plaintext = kept if kept and state is None else generate_key()
            self._write_secret(namespace, secret_name, plaintext)
            self._write_row(key, self._credential(plaintext), state)
            return plaintext
        wants_rotation = key.spec.rotation.generation > state.generation
        is_newest = kept is not None and self._credential(kept).hash == state.newest_hash
        if kept is not None and is_newest and not wants_rotation:
            self._write_row(key, self._credential(kept), state)
            self._write_secret(namespace, secret_name, kept)
            return kept
        # Rotated: the new hash first, then the secret. A crash between is seen next time by a
        # secret that does not hold the newest key.
        plaintext = generate_key()
        self._write_row(key, self._credential(plaintext), state)
        self._write_secret(namespace, secret_name, plaintext)
        return plaintext

    def _write_row(self, key: ApiKey, credential: Credential, state: KeyState | None) -> None:
        if state is not None and state.is_applied(key, credential):
            return
        from gateway.store.keys import apply_key

        apply_key(self._database, self._installation, key, credential, actor=self._actor)

    def _brought(self, key: ApiKey) -> str:
        assert key.spec.value_from is not None, "one of secretName and valueFrom is given"
        ref = key.spec.value_from.secret_key_ref
        name = f"ApiKey {key.metadata.shown}"
        plaintext = self._secrets.resolve(key.metadata.namespace, ref)
        plaintext = plaintext or self._environment.get(ref.key)
        if plaintext is None:
            path = self._secrets.path(key.metadata.namespace, ref.name)
            raise SpecError(
                f"{name}: there is no secret {ref.name} with a key {ref.key}: write"
                f" {ref.key}=… into {path}, or set the environment variable {ref.key}"
            )
        problem = problem_of_brought_key(plaintext)
        if problem is not None:
            raise SpecError(f"{name}: {problem}")
        return plaintext

    def _credential(self, plaintext: str) -> Credential:
        return credential_of(self._pepper, plaintext)

    def _write_secret(self, namespace: str, secret_name: str, plaintext: str) -> None:
        values = secret_values(plaintext, self._client_url)
        if self._secrets.read(namespace, secret_name) != values:
            self._secrets.write(namespace, secret_name, values)
