"""A real Keycloak as the tests' identity provider: `make test-keycloak`."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from tests.console.identity_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    PASSWORD,
    IdentityProvider,
)

#: names the folder that `.dev/setup-keycloak` made
FOLDER = "FAREGATE_TEST_KEYCLOAK"
_ADMIN = {"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD}
_REALM = "tests"
_GROUPS = ("finance", "staff")
_GROUPS_SCOPE = {
    "name": "groups",
    "protocol": "openid-connect",
    "attributes": {"include.in.token.scope": "true"},
    "protocolMappers": [
        {
            "name": "groups",
            "protocol": "openid-connect",
            "protocolMapper": "oidc-group-membership-mapper",
            "config": {
                "claim.name": "groups",
                "full.path": "false",
                "id.token.claim": "true",
                "userinfo.token.claim": "true",
            },
        }
    ],
}


class Keycloak(IdentityProvider):
    """One process with its database in memory; people are made when they get their groups."""

    def __init__(self, folder: Path, keycloak: Path) -> None:
        super().__init__(folder)
        self._keycloak = keycloak
        self.url = f"{self.origin}/realms/{_REALM}"
        self.sign_out_url = f"{self.url}/protocol/openid-connect/logout"
        self._people: set[str] = set()
        self._group_ids: dict[str, str] = {}

    def start(self, console_url: str) -> None:
        line = [
            "sh", "bin/kc.sh", "start", "--optimized", "--http-enabled=true", "--cache=local",
            "--hostname-strict=false", "--http-host=127.0.0.1", f"--http-port={self.port}",
        ]  # fmt: skip
        self._launch(line, cwd=self._keycloak, env=_ADMIN)
        self._wait_ready(seconds=300)
        self._admin("POST", "", {"realm": _REALM, "enabled": True})
        self._admin("POST", f"/{_REALM}/client-scopes", _GROUPS_SCOPE)
        self._admin("POST", f"/{_REALM}/clients", _client(console_url))
        for name in _GROUPS:
            self._admin("POST", f"/{_REALM}/groups", {"name": name})
        found = self._admin("GET", f"/{_REALM}/groups").json()
        self._group_ids = {each["name"]: each["id"] for each in found}

    def _is_ready(self) -> bool:
        try:
            return httpx.get(self.origin, trust_env=False).status_code < HTTPStatus.BAD_REQUEST
        except httpx.TransportError:
            return False

    def set_groups(self, person: str, *names: str) -> None:
        self.add(person)
        for name, number in self._group_ids.items():
            act = "PUT" if name in names else "DELETE"
            self._admin(act, f"/{_REALM}/users/{person}/groups/{number}")

    def add(self, person: str) -> None:
        """Make a person, whose number is the name too; imported, as only an import keeps it."""
        if person in self._people:
            return
        user = {
            "id": person,
            "username": person,
            "enabled": True,
            "email": f"{person}@example.com",
            "emailVerified": True,
            "firstName": "The person",
            "lastName": person,
            "credentials": [{"type": "password", "value": PASSWORD}],
        }
        asked = {"ifResourceExists": "FAIL", "users": [user]}
        self._admin("POST", f"/{_REALM}/partialImport", asked)
        self._people.add(person)

    def _admin(self, act: str, path: str, body: Any = None) -> httpx.Response:
        """A call of its REST API for administrators, whose tokens live for a minute."""
        with httpx.Client(base_url=self.origin, trust_env=False, timeout=60) as http:
            asked = {
                "grant_type": "password",
                "client_id": "admin-cli",
                "username": "admin",
                "password": PASSWORD,
            }
            token = http.post("/realms/master/protocol/openid-connect/token", data=asked)
            assert token.status_code == HTTPStatus.OK, token.text
            headers = {"authorization": f"Bearer {token.json()['access_token']}"}
            answer = http.request(act, f"/admin/realms{path}", json=body, headers=headers)
            assert answer.is_success, answer.text
            return answer


def _client(console_url: str) -> dict[str, Any]:
    """The client as docs/how-to/sign-in.md has it registered."""
    return {
        "clientId": CLIENT_ID,
        "secret": CLIENT_SECRET,
        "protocol": "openid-connect",
        "publicClient": False,
        "standardFlowEnabled": True,
        "redirectUris": [f"{console_url}/console/callback"],
        "attributes": {
            "pkce.code.challenge.method": "S256",
            "post.logout.redirect.uris": f"{console_url}/console/signed-out",
            "backchannel.logout.url": f"{console_url}/console/backchannel-logout",
            "backchannel.logout.session.required": "true",
        },
        "defaultClientScopes": ["basic", "profile", "email"],
        "optionalClientScopes": ["groups"],
    }
