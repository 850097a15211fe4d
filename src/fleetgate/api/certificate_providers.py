"""Certificate providers: CreateCertificateProvider ... ListCertificateProviders."""

from __future__ import annotations

from typing import Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.names import Act
from fleetgate.registry import certificate_providers
from fleetgate.registry.certificate_providers import OPERATIONS, CertificateProvider

_PROVIDERS: Final = Listing("certificate-providers")


def create_certificate_provider(tx: Tx, act: Act, params: Params) -> Result:
    name, function = params["certificateProviderName"], params["lambdaFunctionArn"]
    provider = certificate_providers.create(tx, act, name, function, params.get("clientToken"))
    tags.put_given(tx, act, act.realm.arn("certificateprovider", name), params)
    return _named(act, provider)


def describe_certificate_provider(tx: Tx, act: Act, params: Params) -> Result:
    provider = certificate_providers.get(tx, act.realm, params["certificateProviderName"])
    return {
        **_named(act, provider),
        "lambdaFunctionArn": provider.function_arn,
        "accountDefaultForOperations": list(OPERATIONS),
        "creationDate": provider.created_at,
        "lastModifiedDate": provider.updated_at,
    }


def update_certificate_provider(tx: Tx, act: Act, params: Params) -> Result:
    """`accountDefaultForOperations` can say but one thing, which the model checks."""
    name, function = params["certificateProviderName"], params.get("lambdaFunctionArn")
    return _named(act, certificate_providers.update(tx, act, name, function))


def delete_certificate_provider(tx: Tx, act: Act, params: Params) -> Result:
    certificate_providers.delete(tx, act, params["certificateProviderName"])
    return {}


def list_certificate_providers(tx: Tx, act: Act, params: Params) -> Result:
    """One at most, so every token is none of this list."""
    _PROVIDERS.opened(params)
    provider = certificate_providers.find(tx, act.realm)
    return {"certificateProviders": [] if provider is None else [_named(act, provider)]}


def _named(act: Act, provider: CertificateProvider) -> Result:
    arn = act.realm.arn("certificateprovider", provider.name)
    return {"certificateProviderName": provider.name, "certificateProviderArn": arn}
