"""The paths of a fleet's Services, for the ways in from outside the cluster."""

from gateway_operator.render.workload import console, gateways
from gateway_operator.resources.fleet import Fleet

#: the pages for people, and the JSON of accounts and keys
_OF_CONSOLE = ("/console", "/api/v1")


def paths_by_service(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """The prefixes of paths by the Service that they lead to, the longest first."""
    own = console(fleet)
    more = {} if own is None else {own.name: _OF_CONSOLE}
    return {**more, gateways(fleet).name: ("/",)}
