"""The Tiltfile evaluated: its language's interpreter with Tilt's functions recorded.

Tilt's own functions would need a cluster; here each call is bound to the parameters that Tilt's
reference gives the function (docs.tilt.dev/api.html, Tilt 0.36) and kept. Files are read and the
chart is rendered for real. A function or parameter that Tilt does not have is an error.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import starlark
import yaml

from tests.harness.pages import ROOT

#: what the Tiltfile may call, with the parameters in their order
FUNCTIONS = {
    "allow_k8s_contexts": "contexts",
    "docker_build": (
        "ref context build_args dockerfile dockerfile_contents live_update match_in_env_vars ignore"
        " only entrypoint target ssh network secret extra_tag container_args cache_from pull"
        " platform extra_hosts"
    ),
    "k8s_kind": "kind api_version image_json_path image_object pod_readiness",
    "k8s_resource": (
        "workload new_name port_forwards extra_pod_selectors trigger_mode resource_deps objects"
        " auto_init pod_readiness links labels discovery_strategy"
    ),
    "k8s_yaml": "yaml allow_duplicates",
    "local_resource": (
        "name cmd deps trigger_mode resource_deps ignore auto_init serve_cmd cmd_bat serve_cmd_bat"
        " allow_parallel links labels env serve_env readiness_probe dir serve_dir"
    ),
    "port_forward": "local_port container_port name link_path host",
    "sync": "local_path remote_path",
    "version_settings": "check_updates constraint",
}
#: the same for the extensions, which are Tiltfiles themselves
EXTENSIONS = {
    "ext://uibutton": {
        "cmd_button": "name resource argv text location icon_name icon_svg inputs",
        "text_input": "name label default placeholder",
    }
}


#: what a container of an image that Tilt builds runs, before its arguments
START = ["sh", "/opt/live/start"]
#: the Kubernetes that Tilt should work on: that of `make kind-up`
CONTEXT = "kind-faregate"


class Call(NamedTuple):
    """One call of a recorded function, with its arguments by name."""

    function: str
    arguments: dict[str, Any]


class Evaluated:
    """The Tiltfile's calls. Raises `starlark.StarlarkError` with the place of a mistake."""

    def __init__(self, helm: str) -> None:
        self.calls: list[Call] = []
        self.files: set[str] = set()
        self.rendered = ""
        self._helm = helm
        source = (ROOT / "Tiltfile").read_text(encoding="utf-8")
        dialect = starlark.Dialect.extended()
        dialect.enable_load = True
        dialect.enable_top_level_stmt = True
        module = starlark.Module()
        for name, parameters in FUNCTIONS.items():
            module.add_callable(name, self._recorded(name, parameters))
        module.add_callable("read_file", self._read_file)
        module.add_callable("helm", self._render)
        module.add_callable("k8s_context", lambda: CONTEXT)
        module.add_callable("decode_yaml_stream", lambda text: list(yaml.safe_load_all(text)))
        starlark.eval(
            module,
            starlark.parse("Tiltfile", source, dialect),
            starlark.Globals.standard(),
            starlark.FileLoader(self._extension),
        )

    def all(self, function: str) -> list[dict[str, Any]]:
        """The arguments of each call of a function."""
        return [call.arguments for call in self.calls if call.function == function]

    def objects(self) -> list[dict[str, Any]]:
        """Every object that `k8s_yaml` was given."""
        (given,) = self.all("k8s_yaml")
        texts = (text if text == self.rendered else self._read_file(text) for text in given["yaml"])
        found = [object_ for text in texts for object_ in yaml.safe_load_all(text)]
        return [object_ for object_ in found if object_ is not None]

    def _recorded(self, name: str, parameters: str) -> Callable[..., Any]:
        names = parameters.split()

        def record(*given: Any, **named: Any) -> Any:
            arguments = dict(zip(names, given, strict=False))
            unknown = named.keys() - set(names)
            if len(given) > len(names) or unknown or arguments.keys() & named.keys():
                raise TypeError(f"{name}() does not take these arguments: {sorted(unknown)}")
            call = Call(name, arguments | named)
            self.calls.append(call)
            return starlark.OpaquePythonObject(call)

        return record

    def _extension(self, name: str) -> starlark.FrozenModule:
        module = starlark.Module()
        for function, parameters in EXTENSIONS[name].items():
            module.add_callable(function, self._recorded(function, parameters))
        return module.freeze()

    def _read_file(self, path: str) -> str:
        self.files.add(path)
        return (ROOT / path).read_text(encoding="utf-8")

    def _render(self, chart: str, **options: Any) -> str:
        """`helm template`, with the options that Tilt would give it."""
        assert options.keys() == {"name", "namespace", "values", "skip_crds"}
        self.files |= {chart, *options["values"]}
        assert options["skip_crds"]
        values = [part for path in options["values"] for part in ("--values", path)]
        command = [self._helm, "template", options["name"], chart, "--skip-crds", *values]
        done = subprocess.run(
            [*command, "--namespace", options["namespace"]],
            cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.rendered = done.stdout
        return self.rendered


def live_files(dockerfile: str) -> dict[str, str]:
    """The files that a Dockerfile copies for pods that change: source → place below `/opt/live`."""
    found = {}
    for *sources, goal in map(
        str.split, re.findall(r"^COPY (.* /opt/live/\S*)$", dockerfile, re.M)
    ):
        for source in sources:
            found[source] = goal + Path(source).name if goal.endswith("/") else goal
    return found
