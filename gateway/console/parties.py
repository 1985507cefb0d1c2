"""Those who vouch for people: the identity provider and the proxy of the settings, if any."""

from collections import OrderedDict

from gateway.console.identity.proxy import ProxySigner
from gateway.console.identity.relying_party import RelyingParty
from gateway.console.refusals import Refusals
from gateway.console.services import ConsoleServices
from gateway.store.session_log import log_refused

_MINUTE = 60.0
#: peers whose tries are remembered
_PEERS_MAX = 4096
#: keys that fail, and answers of the identity provider, of one address in a minute
KEY_TRIES = 10
ANSWERS = 120
#: sign-ins of one person, or one key, in a minute
SIGN_INS = 30


class Tries:
    """At most `most` tries in a minute by each peer; its memory is bounded."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._peers: OrderedDict[str, list[float]] = OrderedDict()

    def wait_seconds(self, peer: str, now: float) -> float:
        """The seconds until the peer may try again; 0 where it may."""
        recent = [each for each in self._peers.get(peer, ()) if each > now - _MINUTE]
        return recent[0] + _MINUTE - now if len(recent) >= self._most else 0.0

    def add(self, peer: str, now: float) -> None:
        """Count a try."""
        recent = [each for each in self._peers.pop(peer, ()) if each > now - _MINUTE]
        self._peers[peer] = [*recent, now][-self._most :]
        if len(self._peers) > _PEERS_MAX:
            self._peers.popitem(last=False)


class Parties:
    """Made with the application, closed with its services."""

    def __init__(self, services: ConsoleServices) -> None:
        spec, site = services.spec, services.site
        self.issuer: RelyingParty | None = None
        self.proxy: ProxySigner | None = None
        self.key_tries = Tries(KEY_TRIES)
        self.answers = Tries(ANSWERS)
        self.sign_ins = Tries(SIGN_INS)
        self.refusals = Refusals(
            lambda *event: services.run(log_refused, services.installation, *event)
        )
        services.closers.append(self.refusals.close)
        if spec.oidc is not None:
            redirect_uri = f"{site.url}/callback"
            self.issuer = RelyingParty(spec.oidc, services.settings.client_secret, redirect_uri)
            services.closers.append(self.issuer.close)
        if spec.proxy is not None:
            self.proxy = ProxySigner(spec.proxy)
            services.closers.append(self.proxy.close)

    @property
    def form_targets(self) -> list[str]:
        """The origin to which signing out leads: a browser applies the policy to it, too."""
        if self.issuer is None:
            return []
        scheme, _, rest = self.issuer.issuer.url.partition("://")
        return [f"{scheme}://{rest.split('/')[0]}"]
