"""Removes from an image's environment what no process of ours ever loads.

Run by the Dockerfile with the environment's own Python, which knows nothing but the standard
library. The files that a rule names must be there: a rule that finds nothing any more is an error,
so that a new release of a package cannot make one silently useless.
"""

import shutil
import sys
import sysconfig
from pathlib import Path

#: generated classes for every kind of Kubernetes; the dynamic client works on dictionaries
_KEPT_MODELS = {"__init__.py", "v1_object_meta.py", "v1_owner_reference.py"} | {
    "v1_managed_fields_entry.py"
}
_RULES = {
    "../../../bin/[!p]*": set(),
    "bin": set(),  # packages' commands, where pip put them beside the packages
    "kubernetes/client/api/*.py": {"__init__.py"},
    "kubernetes/client/models/*.py": _KEPT_MODELS,
    "kubernetes/aio/client/api/*.py": {"__init__.py"},
    "kubernetes/aio/client/models/*.py": _KEPT_MODELS,
    "kubernetes/**/*_test.py": set(),
    "sqlalchemy/testing": set(),
    "alembic/testing": set(),
    "**/*.pyi": set(),
    "**/*.pyx": set(),
    "**/*.pxd": set(),
}


def main() -> int:
    packages = Path(sysconfig.get_path("purelib"))
    for rule, kept in _RULES.items():
        found = [path for path in packages.glob(rule) if path.name not in kept]
        if not found:
            print(f"prune: nothing matches {rule}", file=sys.stderr)
            return 1
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
