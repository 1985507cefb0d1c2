"""`python -m release`: build · verify · pin.

build VERSION --image ADDRESS   checks the commit and writes dist/VERSION
verify FOLDER --repository URL  checks a release: checksums, contents, signature
pin                             writes the base image's digest into the Dockerfile
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from release.artefacts import Artefacts
from release.checks import problems
from release.commands import Failed
from release.image import build_image, pin
from release.source import Source
from release.verify import verify


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="release", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True, dest="command")
    build = commands.add_parser("build", help="check the commit and write dist/VERSION")
    build.add_argument("version", nargs="?", help="default: the package's, for a trial")
    build.add_argument("--image", help="the image's address, with its registry and without a tag")
    build.add_argument("--to", type=Path, help="the folder; default: dist/VERSION")
    build.add_argument("--base", help="another base image than the Dockerfile's, for a trial")
    build.add_argument("--build-option", action="append", default=[], help="one more for buildah")
    build.add_argument("--without-image", action="store_true", help="leave the image out")
    build.add_argument("--trial", action="store_true", help="report what is wrong, and go on")
    check = commands.add_parser("verify", help="check a release")
    check.add_argument("folder", type=Path)
    check.add_argument("--repository", help="https://…: the repository whose workflow signed it")
    pinned = commands.add_parser("pin", help="write the base image's digest into the Dockerfile")
    pinned.add_argument("--days-min", type=int, default=0, help="leave a younger image out")
    given = parser.parse_args(arguments)
    try:
        return _COMMANDS[given.command](given)
    except Failed as error:
        print(f"release: {error}", file=sys.stderr)
        return 1


def _build(given: argparse.Namespace) -> int:
    source = Source.of_clone(given.version, given.image, given.base)
    found = problems(source)
    for problem in found:
        print(f"release: {problem}", file=sys.stderr)
    if found and not given.trial:
        return 1
    folder = given.to or source.root / "dist" / source.version
    image = None if given.without_image else partial(build_image, source, given.build_option)
    Artefacts(source, folder).build(image)
    print(folder)
    return 0


def _verify(given: argparse.Namespace) -> int:
    for line in verify(given.folder, given.repository):
        print(line)
    return 0


def _pin(given: argparse.Namespace) -> int:
    print(pin(Source.of_clone().dockerfile, given.days_min))
    return 0


_COMMANDS = {"build": _build, "verify": _verify, "pin": _pin}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
