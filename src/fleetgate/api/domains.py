"""Domain configurations: CreateDomainConfiguration ... ListDomainConfigurations.

The default endpoints are listed as AWS lists them. One listener serves every service type, so they share one name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from fleetgate import endpoints, names
from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, all_of
from fleetgate.names import Act, Realm
from fleetgate.registry import domains
from fleetgate.registry.domains import AuthorizerConfig, DomainConfiguration, DomainType, Status
from fleetgate.runtime import Runtime

_DOMAINS: Final = Listing("domain-configurations")
_DEFAULTS: Final = {
    "iot:CredentialProvider": "CREDENTIAL_PROVIDER",
    "iot:Data-ATS": "DATA",
    "iot:Jobs": "JOBS",
}
SECURITY_POLICY: Final = "IoTSecurityPolicy_TLS13_1_2_2022_10"
"""AWS's name for what is spoken here: TLS 1.3 and 1.2."""
_FITTING: Final = {
    "DEFAULT": {"DEFAULT"},
    "SECURE_MQTT": {"DEFAULT", "AWS_X509", "CUSTOM_AUTH", "CUSTOM_AUTH_X509"},
    "MQTT_WSS": {"DEFAULT", "AWS_SIGV4", "CUSTOM_AUTH"},
    "HTTPS": {"DEFAULT", "AWS_X509", "AWS_SIGV4", "CUSTOM_AUTH", "CUSTOM_AUTH_X509"},
}
"""By applicationProtocol, the authenticationTypes that go with it."""


async def create_domain_configuration(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    """Without a domainName one is made. Server certificates in ACM are noted and not used: there is no ACM here."""
    gateway, name = runtime.config.gateway, params["domainConfigurationName"]
    given: str | None = params.get("domainName")
    if problems := [*_unserved(params), *_misfit(params), *_unusable(runtime, given)]:
        raise InvalidRequest(all_of(problems))
    domain = endpoints.new_address(gateway, act, name) if given is None else given.lower()
    kind = DomainType.AWS_MANAGED if given is None else DomainType.CUSTOMER_MANAGED
    certificates = params.get("serverCertificateArns") or [None]

    def settle(tx: Tx) -> Result:
        made = domains.create(
            tx,
            act,
            name,
            domain,
            kind,
            service_type=params.get("serviceType", "DATA"),
            server_certificate_arn=certificates[0],
            authorizer_config=_authorizer_config(params),
            authentication_type=params.get("authenticationType", "DEFAULT"),
            application_protocol=params.get("applicationProtocol", "DEFAULT"),
        )
        tags.put_given(tx, act, made.arn, params)
        return _summary(made)

    return settle


def describe_domain_configuration(runtime: Runtime, act: Act, params: Params) -> Callable[[Tx], Result]:
    name = params["domainConfigurationName"]
    if name in _DEFAULTS:
        shown = _default(runtime, act.realm, name)
        return lambda tx: shown
    return lambda tx: _description(domains.get(tx, act.realm, name))


def update_domain_configuration(tx: Tx, act: Act, params: Params) -> Result:
    """What is left out stays as it is."""
    name = params["domainConfigurationName"]
    if name in _DEFAULTS:
        raise InvalidRequest(f"{name} is a default endpoint; those cannot be updated.")
    present = domains.get(tx, act.realm, name)
    changed = replace(
        present,
        status=Status(params.get("domainConfigurationStatus", present.status)),
        authentication_type=params.get("authenticationType", present.authentication_type),
        application_protocol=params.get("applicationProtocol", present.application_protocol),
    )
    fitting = {
        "authenticationType": changed.authentication_type,
        "applicationProtocol": changed.application_protocol,
    }
    problems = [*_unserved(params), *_misfit(fitting)]
    if params.get("removeAuthorizerConfig"):
        if "authorizerConfig" in params:
            problems.append("Give an authorizerConfig, or removeAuthorizerConfig, not both.")
        changed = replace(changed, authorizer_config=None)
    elif "authorizerConfig" in params:
        changed = replace(changed, authorizer_config=_authorizer_config(params))
    if problems:
        raise InvalidRequest(all_of(problems))
    domains.update(tx, act, changed)
    return _summary(changed)


def delete_domain_configuration(tx: Tx, act: Act, params: Params) -> Result:
    domains.delete(tx, act, params["domainConfigurationName"])
    return {}


def list_domain_configurations(tx: Tx, act: Act, params: Params) -> Result:
    """By name; those of the default endpoints among them."""
    wanted = params.get("serviceType")
    found = {name: {**_default_summary(act.realm, name), "serviceType": kind} for name, kind in _DEFAULTS.items()} | {
        each.name: {**_summary(each), "serviceType": each.service_type} for each in domains.all_of(tx, act.realm)
    }
    named = sorted(name for name, each in found.items() if wanted in {None, each["serviceType"]})
    page = _DOMAINS.cut(named, params)
    return {"domainConfigurations": [found[name] for name in page.items], "nextMarker": _DOMAINS.token(page, params)}


# --- what is refused --------------------------------------------------------------------------------------------------


def _unserved(params: Params) -> Iterator[str]:
    """What would be promised and not kept."""
    policy = params.get("tlsConfig", {}).get("securityPolicy")
    if policy not in {None, SECURITY_POLICY}:
        yield f"tlsConfig.securityPolicy: every endpoint speaks TLS 1.3 and 1.2, which is {SECURITY_POLICY}."
    stapling = params.get("serverCertificateConfig", {})
    if stapling.get("enableOCSPCheck") or len(stapling.keys() - {"enableOCSPCheck"}):
        yield "serverCertificateConfig: OCSP stapling is not served here. Leave it out."
    if params.get("clientCertificateConfig"):
        yield "clientCertificateConfig: functions for client certificates are not served here. Leave it out."


def _misfit(params: Params) -> Iterator[str]:
    protocol = params.get("applicationProtocol", "DEFAULT")
    authentication = params.get("authenticationType", "DEFAULT")
    if authentication not in _FITTING[protocol]:
        yield (
            f"applicationProtocol {protocol} goes with authenticationType {', '.join(sorted(_FITTING[protocol]))}, "
            f"not with {authentication}."
        )


def _unusable(runtime: Runtime, domain: str | None) -> Iterator[str]:
    if domain is None:
        return
    if not names.is_name("domain", domain.lower()):
        yield f"domainName: {domain[:100]!r} is no host name in a domain, such as iot.example.com."
    elif endpoints.is_reserved(runtime.config.gateway, domain.lower()):
        yield f"domainName: {domain} is among this installation's own endpoint names. Leave it out to be given one."


def _authorizer_config(params: Params) -> AuthorizerConfig | None:
    given: dict[str, Any] | None = params.get("authorizerConfig")
    if given is None:
        return None
    return AuthorizerConfig(given.get("defaultAuthorizerName"), given.get("allowAuthorizerOverride", False))


# --- as they are shown ------------------------------------------------------------------------------------------------


def _summary(made: DomainConfiguration) -> Result:
    return {"domainConfigurationName": made.name, "domainConfigurationArn": made.arn}


def _default_summary(realm: Realm, name: str) -> Result:
    return {
        "domainConfigurationName": name,
        "domainConfigurationArn": realm.arn("domainconfiguration", name),
    }


def _default(runtime: Runtime, realm: Realm, name: str) -> Result:
    return {
        **_default_summary(realm, name),
        "domainName": endpoints.address(runtime.config.gateway, realm),
        "serverCertificates": [],
        "domainConfigurationStatus": Status.ENABLED,
        "serviceType": _DEFAULTS[name],
        "domainType": "ENDPOINT",
        "tlsConfig": {"securityPolicy": SECURITY_POLICY},
        "authenticationType": "DEFAULT",
        "applicationProtocol": "DEFAULT",
    }


def _description(made: DomainConfiguration) -> Result:
    shown: Result = {
        **_summary(made),
        "domainName": made.domain_name,
        "serverCertificates": _server_certificates(made),
        "domainConfigurationStatus": made.status,
        "serviceType": made.service_type,
        "domainType": made.domain_type,
        "lastStatusChangeDate": made.status_changed_at,
        "tlsConfig": {"securityPolicy": SECURITY_POLICY},
        "authenticationType": made.authentication_type,
        "applicationProtocol": made.application_protocol,
    }
    config = made.authorizer_config
    if config is not None:
        named = {} if config.default_name is None else {"defaultAuthorizerName": config.default_name}
        shown["authorizerConfig"] = {**named, "allowAuthorizerOverride": config.allow_override}
    return shown


def _server_certificates(made: DomainConfiguration) -> list[Result]:
    if made.server_certificate_arn is None:
        return []
    return [
        {
            "serverCertificateArn": made.server_certificate_arn,
            "serverCertificateStatus": "INVALID",
            "serverCertificateStatusDetail": "There is no ACM here. Devices are shown a certificate of this "
            "installation's own CA for this name.",
        }
    ]
