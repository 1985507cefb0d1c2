"""Images: the base from Debian's packages, any Dockerfile with Buildah, and their way to the node.

Packages come from the registries this machine is configured for. That configuration is bound into
the build and never written into an image. An image whose tag is a hash of its inputs is built once.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.local import places
from tests.cluster.local.commands import Failed, Step, alone, run, succeeds
from tests.cluster.local.places import BIN, CACHE, SOCKET, STATE

_BUILDAH = (
    "buildah", "--root", CACHE / "images", "--runroot", CACHE / "images.run",
    "--storage-driver", "overlay",
)  # fmt: skip
#: the store is shared by all clones
_STORE_LOCK = CACHE / "images.lock"
#: the file, not its folder: packages may add to that
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
_BASE_PACKAGES = "python3,python3-venv,ca-certificates"
_UNREAD = ("usr/share/doc", "usr/share/man", "usr/share/locale")

#: the smallest process that keeps a pod's namespaces and buries its orphans
PAUSE = r"""
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int s) { (void)s; _exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) { signal(SIGTERM, stop); signal(SIGINT, stop); signal(SIGCHLD, reap); for (;;) pause(); }
"""  # noqa: E501  # a line of C


def have(tag: str) -> bool:
    """True if an image is in the builder's store."""
    return succeeds(*_BUILDAH, "inspect", "--type", "image", tag)


def build_base() -> None:
    """Make the pod's pause image and the Python image that Dockerfiles begin with, once."""
    if not have(places.PAUSE_IMAGE):
        with Step("making the pause image"), _folder() as folder:
            (folder / "pause.c").write_text(PAUSE)
            run("gcc", "-O2", "-static", "-o", folder / "pause", folder / "pause.c")
            (folder / "Dockerfile").write_text(
                'FROM scratch\nCOPY pause /pause\nENTRYPOINT ["/pause"]\n'
            )
            build(folder, places.PAUSE_IMAGE)
    if not have(places.BASE_IMAGE):
        with Step("making the base image from Debian's packages, once"), _folder() as folder:
            _make_base(folder)


def _make_base(folder: Path) -> None:
    root = folder / "root"
    run("debootstrap", "--variant=minbase", f"--include={_BASE_PACKAGES}", "trixie", root)
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
    for waste in ("var/cache/apt", "var/lib/apt/lists", *_UNREAD):
        shutil.rmtree(root / waste, ignore_errors=True)
    run("tar", "-C", root, "-cf", folder / "root.tar", ".")
    shutil.rmtree(root)
    (folder / "Dockerfile").write_text('FROM scratch\nADD root.tar /\nCMD ["python3"]\n')
    build(folder, places.BASE_IMAGE)


def build(context: Path, tag: str, *options: str) -> None:
    """Build a folder's Dockerfile; options are Buildah's."""
    with alone(_STORE_LOCK), _configuration() as bound:
        _forget_containers()  # what a build that was killed left behind
        try:
            run(
                *_BUILDAH, "bud", "--isolation", "chroot", "--layers", "--pull=never",
                "--short-name-alias-conf", "/dev/null", "--build-arg", f"BASE={places.BASE_IMAGE}",
                *bound, *options, "-t", tag, context,
            )  # fmt: skip
        except Failed:
            _forget_containers()
            raise


def _forget_containers() -> None:
    succeeds(*_BUILDAH, "rm", "--all")


@contextmanager
def _configuration() -> Iterator[list[str]]:
    """Options that lend a build this machine's certificates and configuration of pip."""
    bound = ["-v", f"{AUTHORITIES}:{AUTHORITIES}:ro"]
    values = pip_settings()
    with _folder() as folder:
        (folder / "pip.conf").write_text(pip_configuration(values))
        bound += ["-v", f"{folder / 'pip.conf'}:/etc/pip.conf:ro"]
        for place in values.get("find-links", "").split():
            if Path(place).is_dir():
                bound += ["-v", f"{place}:{place}:ro"]
        yield bound


def pip_settings() -> dict[str, str]:
    """This machine's configuration of pip for an installation."""
    lines = run(sys.executable, "-m", "pip", "config", "list").splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    return {
        name.rsplit(".", 1)[-1]: value.strip("'\"")
        for name, value in settings.items()
        if name.startswith((":env:", "global.", "install."))
    }


def pip_configuration(settings: Mapping[str, str]) -> str:
    """The same as a file of pip's."""
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder beside the cache: `/tmp` may be small, and a base is some 200 MB."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="work-", dir=CACHE))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load(*tags: str) -> None:
    """Copy images from the builder's store into the node's containerd, where they are missing."""
    there = run(*_ctr("images", "list", "--quiet")).split()
    for tag in tags:
        if tag not in there:
            _copy(tag)


def _copy(tag: str) -> None:
    """From the one's standard output to the other's input: an image is some 300 MB."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "copy.log").open("w+") as log:
        pushing = subprocess.Popen(
            [*map(str, _BUILDAH), "push", "--quiet", tag, f"docker-archive:/dev/stdout:{tag}"],
            stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
        taking = subprocess.run(
            _ctr("images", "import", "-"), stdin=pushing.stdout, stdout=log, stderr=log
        )
        if pushing.wait() or taking.returncode:
            log.seek(0)
            raise Failed(f"could not load {tag}: {log.read().strip()[-1000:]}")


def write(tag: str, archive: Path) -> None:
    """Copy an image from the builder's store into a file that an engine loads."""
    archive.unlink(missing_ok=True)
    run(*_BUILDAH, "push", "--quiet", tag, f"docker-archive:{archive}:{tag}")


def name(tag: str, other: str) -> None:
    """Let an image of the node be known by another name too."""
    run(*_ctr("images", "tag", "--force", tag, other))


def forget(family: str, keep: Iterable[str]) -> None:
    """Forget the images of a family (a repository) except some tags, and layers of no image."""
    with alone(_STORE_LOCK):
        listed = run(*_BUILDAH, "images", "--format", "{{.Name}}:{{.Tag}}").split()
        for tag in listed:
            if tag.startswith(f"{family}:") and tag not in keep:
                succeeds(*_BUILDAH, "rmi", tag)
        succeeds(*_BUILDAH, "rmi", "--prune")


def _ctr(*arguments: object) -> list[str]:
    command = [BIN / "ctr", "--address", SOCKET, "--namespace", "k8s.io", *arguments]
    return [str(part) for part in command]
