"""The report of a file that was applied."""

from pathlib import Path

from msgspec import Struct

from gateway.store.grant_result import GrantResult


class KeyReport(Struct, frozen=True):
    """One key after it was applied; `plaintext` is for its owner's terminal only.

    `path` is the file that holds it, None for a key that was brought along.
    """

    name: str
    account: str
    plaintext: str
    secret_name: str
    path: Path | None = None


class GrantReport(Struct, frozen=True):
    """One grant after it was applied."""

    name: str
    result: GrantResult


class Applied(Struct, frozen=True):
    """The result: `orphans` are keys that the file lost, and that wait for a confirmation."""

    keys: list[KeyReport]
    grants: list[GrantReport]
    revoked: list[str]
    orphans: list[str]

    @property
    def warning(self) -> str | None:
        """The administrator's warning about the orphans."""
        if not self.orphans:
            return None
        return (
            f"OrphanedKeys: the file names {len(self.orphans)} keys no more, which is too many to"
            f" revoke at once; they stay as they are ({', '.join(self.orphans[:5])}, …)."
            f" If you mean it: --confirm-orphans {len(self.orphans)}"
        )
