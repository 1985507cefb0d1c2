"""The options of a run; by these it can be had again."""

from msgspec import Struct


class Options(Struct, frozen=True, kw_only=True):
    """The command line."""

    seed: int
    #: no new round begins after so long
    seconds: float
    #: nor after so many
    faults: int
    gateways: int
    clients: int
    lease_seconds: float
    #: no fault lasts longer than a lease
    short: bool
    #: an operator takes part, where there is a Kubernetes API
    operator: bool
    #: words of the kinds that are left out
    without: tuple[str, ...]
    #: how long after a round everything may take to work again
    recovery_seconds: float

    @property
    def command(self) -> str:
        words = [f"--{name} {getattr(self, name)}" for name in ("seed", "seconds", "faults")]
        words += [f"--gateways {self.gateways} --clients {self.clients}"]
        words += [f"--lease {self.lease_seconds} --recovery {self.recovery_seconds}"]
        words += ["--short"] if self.short else []
        words += [] if self.operator else ["--no-operator"]
        words += [f'--without "{kind}"' for kind in self.without]
        return f"make chaos ARGS='{' '.join(words)}'"
