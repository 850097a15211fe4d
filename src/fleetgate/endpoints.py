"""Endpoint names: where the devices of an account and region connect to, and which account and region a name tells.

    gateway.endpoint_names       shared by all; they tell nothing
    ACCOUNT-REGION.SUFFIX        below gateway.endpoint_suffix: one for each account and region, without any record
    domain configurations        whatever names users gave (CreateDomainConfiguration)

One label for account and region, so that one wildcard, in DNS as in a certificate, is good for all of them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fleetgate.config import GatewayConfig
from fleetgate.database.port import Tx
from fleetgate.errors import AccessDenied, InvalidRequest
from fleetgate.names import Act, Realm
from fleetgate.registry import domains
from fleetgate.registry.domains import DomainConfiguration

_OWN: Final = re.compile(r"([0-9]{12})-([a-z0-9-]+)")


@dataclass(frozen=True, slots=True)
class Home:
    """What a server name tells."""

    realm: Realm
    domain: DomainConfiguration | None
    """None: a default endpoint."""


def address(config: GatewayConfig, realm: Realm) -> str:
    """The default endpoint of *realm*: its own name, or without a suffix the first that all share."""
    if config.endpoint_suffix is None:
        return config.endpoint_names[0]
    return f"{realm.account}-{realm.region}.{config.endpoint_suffix.lower()}"


def new_address(config: GatewayConfig, act: Act, name: str) -> str:
    """A new name for a domain configuration that brings none of its own."""
    parent = config.endpoint_suffix or next((each for each in config.endpoint_names if not _is_address(each)), None)
    if parent is None:
        raise InvalidRequest(
            "This installation's endpoints are addresses, below which there are no names. Give a domainName."
        )
    return f"d{act.id_for('domain', name).replace('-', '')[:13]}.{parent.lower()}"


def server_names(config: GatewayConfig, customs: Sequence[str]) -> tuple[str, ...]:
    """Everything that the server's certificate must speak for: *customs* are names of domain configurations."""
    suffix = config.endpoint_suffix
    if suffix is None:
        return tuple(dict.fromkeys((*config.endpoint_names, *customs)))
    others = [name for name in customs if name.partition(".")[2] != suffix.lower()]
    return tuple(dict.fromkeys((*config.endpoint_names, f"*.{suffix.lower()}", *others)))


def is_shared(config: GatewayConfig, server_name: str) -> bool:
    return server_name in {name.lower() for name in config.endpoint_names}


def home(tx: Tx, config: GatewayConfig, server_name: str | None) -> Home | None:
    """What *server_name*, a connection's SNI in small letters, tells. None where it tells nothing: no name, a shared
    one, an unknown one. Raises AccessDenied for a domain that is disabled.

    On the path of every connect: a lookup only for names that are neither shared nor below the suffix.
    """
    if server_name is None or is_shared(config, server_name):
        return None
    if realm := _own(config, server_name):
        return Home(realm, None)
    found = domains.find_domain(tx, server_name)
    if found is None:
        return None
    if found.status is domains.Status.DISABLED:
        raise AccessDenied(f"Domain configuration {found.name} of account {found.realm.account} is DISABLED.")
    return Home(found.realm, found)


def realm(tx: Tx, config: GatewayConfig, server_name: str | None) -> Realm | None:
    """The account and region alone that `home` finds. Raises AccessDenied."""
    told = home(tx, config, server_name)
    return None if told is None else told.realm


def check(domain: DomainConfiguration, protocol: str, *authentications: str) -> None:
    """Raises AccessDenied where *domain* takes another applicationProtocol, or none of these authenticationTypes."""
    if domain.application_protocol not in {"DEFAULT", protocol}:
        raise AccessDenied(f"Domain configuration {domain.name} takes {domain.application_protocol}, not {protocol}.")
    if domain.authentication_type not in {"DEFAULT", *authentications}:
        raise AccessDenied(f"Domain configuration {domain.name} takes {domain.authentication_type} alone.")


def is_reserved(config: GatewayConfig, domain_name: str) -> bool:
    """Whether no user may have *domain_name*: it is shared, or below the suffix, where names are given out."""
    suffix = config.endpoint_suffix
    below = suffix is not None and (domain_name == suffix.lower() or domain_name.endswith(f".{suffix.lower()}"))
    return below or is_shared(config, domain_name)


def _own(config: GatewayConfig, server_name: str) -> Realm | None:
    label, dot, parent = server_name.partition(".")
    if not dot or config.endpoint_suffix is None or parent != config.endpoint_suffix.lower():
        return None
    parts = _OWN.fullmatch(label)
    try:
        return None if parts is None else Realm(parts[1], parts[2])
    except InvalidRequest:  # such a region cannot be
        return None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
