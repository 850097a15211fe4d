"""Which authorizer a connection is for, and in which account and region (AWS: domain configurations, default
authorizers, `x-amz-customauthorizer-name`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleetgate import access, endpoints
from fleetgate.access import CertificatePrincipal
from fleetgate.config import GatewayConfig
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, Refused
from fleetgate.names import Realm
from fleetgate.registry import authorizers
from fleetgate.registry.authorizers import Authorizer, Status
from fleetgate.registry.domains import DomainConfiguration

CUSTOM: Final = ("CUSTOM_AUTH", "CUSTOM_AUTH_X509")
"""The authenticationTypes of domain configurations that ask an authorizer."""


@dataclass(frozen=True, slots=True)
class Choice:
    realm: Realm
    authorizer: Authorizer
    certificate: CertificatePrincipal | None
    """The client's, where the account knows it."""


def choose(
    tx: Tx,
    config: GatewayConfig,
    wanted: str | None,
    protocol: str,
    *,
    server_name: str | None,
    fingerprint: str | None,
    now: int,
) -> Choice | None:
    """*wanted* is the authorizer that the connection names, *protocol* as domain configurations spell it;
    *fingerprint* is its certificate's, whose key was proven.

    None where nobody was named and nobody is there by default. Raises AccessDenied.
    """
    home = endpoints.home(tx, config, server_name)
    domain = None if home is None else home.domain
    if domain is not None:
        endpoints.check(domain, protocol, *CUSTOM)
    certificate = _certificate(tx, fingerprint, now, None if home is None else home.realm, domain)
    realm = home.realm if home is not None else certificate.realm if certificate is not None else None
    name = _name(domain, wanted)
    found = _everywhere(tx, name) if realm is None else (realm, _find(tx, realm, name))
    if found is None or found[1] is None:
        if name is None:
            return None
        raise AccessDenied(f"There is no authorizer {name[:128]} for this connection.")
    realm, authorizer = found[0], found[1]
    if authorizer.status is not Status.ACTIVE:
        raise AccessDenied(f"Authorizer {authorizer.name} of {realm} is {authorizer.status}, not ACTIVE.")
    return Choice(realm, authorizer, certificate)


def _certificate(
    tx: Tx, fingerprint: str | None, now: int, home: Realm | None, domain: DomainConfiguration | None
) -> CertificatePrincipal | None:
    """One that is not in force is none, unless the domain asks for one that is."""
    needed = domain is not None and domain.authentication_type == "CUSTOM_AUTH_X509"
    if fingerprint is None:
        if needed:
            raise AccessDenied("The domain asks for a client certificate beside custom authentication.")
        return None
    try:
        return access.identify(tx, fingerprint, now, home)
    except Refused:
        if needed:
            raise
        return None


def _name(domain: DomainConfiguration | None, wanted: str | None) -> str | None:
    config = None if domain is None else domain.authorizer_config
    if domain is None or config is None:
        return wanted
    if wanted is None or wanted == config.default_name:
        return config.default_name
    if not config.allow_override:
        raise AccessDenied(f"Domain configuration {domain.name} does not let a connection choose its authorizer.")
    return wanted


def _find(tx: Tx, realm: Realm, name: str | None) -> Authorizer | None:
    return authorizers.find_default(tx, realm) if name is None else authorizers.find(tx, realm, name)


def _everywhere(tx: Tx, name: str | None) -> tuple[Realm, Authorizer] | None:
    """Of a server name that tells no account. What two accounts have is nobody's: strangers are sent no credentials."""
    found = authorizers.find_everywhere(tx, name)
    if len(found) > 1:
        which = "a default authorizer" if name is None else f"an authorizer {name[:128]}"
        raise AccessDenied(f"Several accounts or regions have {which}, and the server name tells none of them.")
    return found[0] if found else None
