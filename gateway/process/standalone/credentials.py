"""The credentials of upstreams and of the console: from a secret, the environment, or none."""

from collections.abc import Mapping

from gateway.core.spec import GatewayFleet, UpstreamSpec
from gateway.core.spec_fields import SecretKeyRef, SpecError
from gateway.process.settings import UpstreamOverride
from gateway.process.standalone.documents import SIMULATED, simulated_names
from gateway.process.standalone.secret_files import SecretFiles


class UpstreamCredentials:
    """The credentials of a fleet's upstreams. They are never printed."""

    def __init__(
        self,
        fleet: GatewayFleet,
        override: UpstreamOverride,
        secrets: SecretFiles,
        environment: Mapping[str, str],
    ) -> None:
        """`fleet` as it is written, before `override` takes the simulated upstream's place."""
        self._namespace = fleet.metadata.namespace
        self._console = fleet.spec.console
        self._webhook = fleet.spec.webhook
        self._replaced = simulated_names(fleet) if override.base_url else set()
        self._override = override
        self._secrets = secrets
        self._environment = environment

    def of(self, spec: UpstreamSpec) -> str | None:
        """The credential for `spec`, None for none. Raises `SpecError` where it is missing."""
        if spec.url == SIMULATED:
            return None
        if spec.credential is None:  # only who took the simulated one's place gets UPSTREAM_API_KEY
            return self._override.api_key if spec.name in self._replaced else None
        return self._resolved(f"upstream {spec.name!r}", spec.credential.secret_ref)

    def of_console(self) -> str | None:
        """The console's secret at the identity provider, None for none. Raises `SpecError`."""
        oidc = self._console and self._console.oidc
        if not oidc or oidc.secret_ref is None:
            return None
        return self._resolved("console.oidc", oidc.secret_ref)

    def of_webhook(self) -> str | None:
        """The secret that signs messages, None for none. Raises `SpecError`."""
        if self._webhook is None:
            return None
        return self._resolved("webhook", self._webhook.secret_ref)

    def _resolved(self, owner: str, ref: SecretKeyRef) -> str:
        value = self._secrets.resolve(self._namespace, ref) or self._environment.get(ref.key)
        if value is None:
            raise SpecError(
                f"{owner}: there is no secret {ref.name} with a key {ref.key},"
                f" and no environment variable {ref.key}"
            )
        return value
