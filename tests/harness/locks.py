"""A lock is complete if it pins all that its requirements need, extras included.

A lock is installed without resolving anything, so a package that it lacks is found at the first
import at best.
"""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


class Incomplete(AssertionError):
    """A lock that lacks a package, or pins a version that another package refuses."""


def pins(lock: str) -> dict[str, str]:
    """The version of each package that the text of a lock pins, by its canonical name."""
    return {canonicalize_name(name): version for name, version in _PIN.findall(lock)}


def requirements(lines: Iterable[str]) -> list[Requirement]:
    """The requirements of a file, one a line; comments and empty lines are left out."""
    stripped = (line.partition("#")[0].strip() for line in lines)
    return [Requirement(line) for line in stripped if line]


def closure(
    roots: Iterable[Requirement], pinned: dict[str, str], folders: list[str] | None = None
) -> set[str]:
    """The canonical names of all packages that `roots` need on this machine.

    The metadata of installed packages names what each of them needs: those in `folders`, or else
    those of this interpreter. Raises `Incomplete`.
    """
    installed = _installed(folders)
    waiting = list(roots)
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        _check(wanted, name, pinned)
        for extra in ("", *sorted(wanted.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            waiting += _needs(installed, name, extra)
    return {name for name, _ in seen}


def _installed(folders: list[str] | None) -> dict[str, Distribution]:
    found = distributions() if folders is None else distributions(path=folders)
    return {canonicalize_name(one.metadata["Name"]): one for one in found}


def _check(wanted: Requirement, name: str, pinned: dict[str, str]) -> None:
    if name not in pinned:
        raise Incomplete(f"the lock does not pin {wanted}")
    if not wanted.specifier.contains(pinned[name], prereleases=True):
        raise Incomplete(f"the lock pins {name} {pinned[name]}, and {wanted} is needed")


def _needs(installed: dict[str, Distribution], name: str, extra: str) -> list[Requirement]:
    if name not in installed:
        raise PackageNotFoundError(name)
    needed = [Requirement(line) for line in installed[name].requires or ()]
    return [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]


def site_packages(environment: Path) -> list[str]:
    """The folders in which a virtual environment keeps its packages."""
    return [str(path) for path in environment.glob("lib/python*/site-packages")]
