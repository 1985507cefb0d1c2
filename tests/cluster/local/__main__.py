"""`python -m tests.cluster.local`: build · base · up · status · image · exec · stop · start · down.

build            install packages and bring the programs, once (some ten minutes on two cores)
base             make the images that others begin with, once
up               start the node; does nothing to one that is up
status           which components run
image DIR TAG    build a folder's Dockerfile and load it into the node
exec COMMAND …   run a command inside the node's network: API server on 127.0.0.1:6443, Traefik
                 on 127.0.0.1:80, the cluster's DNS, pods and services; KUBECONFIG and PATH set
stop NAME        end one component, such as apiserver; `start NAME` brings it back
down             end and remove everything that this kit made
"""

import os
import sys
from pathlib import Path

from tests.cluster.local import images, network, node, processes, programs
from tests.cluster.local.commands import Failed, Step, announce


def main(arguments: list[str]) -> int:
    """Run one command; what went wrong is reported in a sentence, with exit code 1."""
    try:
        return _run(arguments)
    except (Failed, OSError) as error:
        announce(f"local cluster: {error}")
        return 1


def _run(arguments: list[str]) -> int:
    match arguments:
        case ["build"]:
            programs.build()
        case ["base"]:
            images.build_base()
        case ["up"] | ["start", _]:
            with Step("starting the node"):
                node.up()
        case ["down"]:
            node.down()
        case ["stop", name] if name in node.COMPONENTS:
            processes.stop(name)
        case ["status"]:
            for name, runs in node.status().items():
                print(f"{name:<20}{'up' if runs else 'down'}")
        case ["image", folder, tag, *options]:
            images.build(Path(folder), tag, *options)
            images.load(tag)
        case ["exec", *command] if command:
            line = network.command(command)
            os.execvpe(line[0], line, network.environment())
        case _:
            announce(__doc__ or "")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
