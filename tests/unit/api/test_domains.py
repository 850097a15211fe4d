from __future__ import annotations

from typing import Any

import pytest

from fleetgate.names import Realm

ACM = "arn:aws:acm:us-east-1:123456789012:certificate/0f1e2d3c"


def domain(realm: Realm, label: str = "devices") -> str:
    """Domain names are one installation's, so each test takes its account's."""
    return f"{label}.{realm.account}.example.net"


def named(page: Any) -> list[str]:
    return [each["domainConfigurationName"] for each in page["domainConfigurations"]]


def test_a_custom_domain_lives_and_dies(iot: Any, realm: Realm) -> None:
    made = iot.create_domain_configuration(
        domainConfigurationName="d", domainName=domain(realm).upper(), serverCertificateArns=[ACM]
    )
    assert made["domainConfigurationArn"].startswith(realm.arn("domainconfiguration", "d/"))
    found = iot.describe_domain_configuration(domainConfigurationName="d")
    assert found["domainConfigurationArn"] == made["domainConfigurationArn"]
    assert (found["domainName"], found["domainType"]) == (domain(realm), "CUSTOMER_MANAGED")
    assert (found["domainConfigurationStatus"], found["serviceType"]) == ("ENABLED", "DATA")
    assert (found["authenticationType"], found["applicationProtocol"]) == ("DEFAULT", "DEFAULT")
    assert found["tlsConfig"]["securityPolicy"] == "IoTSecurityPolicy_TLS13_1_2_2022_10"
    [certificate] = found["serverCertificates"]
    assert (certificate["serverCertificateArn"], certificate["serverCertificateStatus"]) == (ACM, "INVALID")
    assert "authorizerConfig" not in found
    with pytest.raises(iot.exceptions.InvalidRequestException, match="Disable it first"):
        iot.delete_domain_configuration(domainConfigurationName="d")
    changed = iot.update_domain_configuration(domainConfigurationName="d", domainConfigurationStatus="DISABLED")
    assert changed["domainConfigurationArn"] == made["domainConfigurationArn"]
    later = iot.describe_domain_configuration(domainConfigurationName="d")
    assert later["domainConfigurationStatus"] == "DISABLED"
    assert later["lastStatusChangeDate"] >= found["lastStatusChangeDate"]
    iot.delete_domain_configuration(domainConfigurationName="d")
    for call in (iot.describe_domain_configuration, iot.delete_domain_configuration, iot.update_domain_configuration):
        with pytest.raises(iot.exceptions.ResourceNotFoundException):
            call(domainConfigurationName="d")


def test_without_a_domain_name_one_is_made(iot: Any) -> None:
    iot.create_domain_configuration(domainConfigurationName="d", serviceType="DATA")
    found = iot.describe_domain_configuration(domainConfigurationName="d")
    assert found["domainType"] == "AWS_MANAGED"
    assert found["domainName"].endswith(".localhost")
    assert found["serverCertificates"] == []


def test_names_are_taken_once(iot: Any, realm: Realm) -> None:
    iot.create_domain_configuration(domainConfigurationName="d", domainName=domain(realm))
    exists = iot.exceptions.ResourceAlreadyExistsException
    with pytest.raises(exists):
        iot.create_domain_configuration(domainConfigurationName="d", domainName=domain(realm, "other"))
    with pytest.raises(exists, match="another domain configuration's"):
        iot.create_domain_configuration(domainConfigurationName="e", domainName=domain(realm))


def test_the_default_endpoints(iot: Any, realm: Realm) -> None:
    assert named(iot.list_domain_configurations()) == ["iot:CredentialProvider", "iot:Data-ATS", "iot:Jobs"]
    assert named(iot.list_domain_configurations(serviceType="JOBS")) == ["iot:Jobs"]
    found = iot.describe_domain_configuration(domainConfigurationName="iot:Data-ATS")
    assert (found["domainType"], found["serviceType"], found["domainConfigurationStatus"]) == (
        "ENDPOINT",
        "DATA",
        "ENABLED",
    )
    assert found["domainName"] == iot.describe_endpoint(endpointType="iot:Data-ATS")["endpointAddress"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="cannot be updated"):
        iot.update_domain_configuration(domainConfigurationName="iot:Data-ATS", domainConfigurationStatus="DISABLED")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_domain_configuration(domainConfigurationName="iot:Nothing")


def test_lists_come_in_pages(iot: Any, realm: Realm) -> None:
    for name in ("a", "b", "z"):
        iot.create_domain_configuration(domainConfigurationName=name, domainName=domain(realm, name))
    pages = iot.get_paginator("list_domain_configurations").paginate(PaginationConfig={"PageSize": 2})
    found = [named(page) for page in pages]
    assert found == [["a", "b"], ["iot:CredentialProvider", "iot:Data-ATS"], ["iot:Jobs", "z"]]


@pytest.mark.parametrize("name", ["localhost", "nodots", "127.0.0.1", "a..b", "-a.example", "*.example.net", "a b.c"])
def test_domains_that_cannot_be(iot: Any, name: str) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match="domainName"):
        iot.create_domain_configuration(domainConfigurationName="d", domainName=name)


def test_what_would_be_promised_and_not_kept_is_refused_at_once(iot: Any) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException) as caught:
        iot.create_domain_configuration(
            domainConfigurationName="d",
            domainName="no",
            tlsConfig={"securityPolicy": "IoTSecurityPolicy_TLS13_1_3_2022_10"},
            serverCertificateConfig={"enableOCSPCheck": True},
            clientCertificateConfig={"clientCertificateCallbackArn": "arn"},
            applicationProtocol="MQTT_WSS",
            authenticationType="AWS_X509",
        )
    for word in ("securityPolicy", "OCSP", "clientCertificateConfig", "MQTT_WSS", "domainName"):
        assert word in str(caught.value)


def test_tags(iot: Any, realm: Realm) -> None:
    made = iot.create_domain_configuration(
        domainConfigurationName="d", domainName=domain(realm), tags=[{"Key": "a", "Value": "b"}]
    )
    assert iot.list_tags_for_resource(resourceArn=made["domainConfigurationArn"])["tags"] == [
        {"Key": "a", "Value": "b"}
    ]


def test_a_default_authorizer(iot: Any, realm: Realm) -> None:
    config = {"defaultAuthorizerName": "a", "allowAuthorizerOverride": True}
    with pytest.raises(iot.exceptions.InvalidRequestException, match="no authorizer a"):
        iot.create_domain_configuration(domainConfigurationName="d", domainName=domain(realm), authorizerConfig=config)
    arn = f"arn:aws:lambda:{realm.region}:{realm.account}:function:f"
    iot.create_authorizer(authorizerName="a", authorizerFunctionArn=arn, signingDisabled=True)
    iot.create_domain_configuration(domainConfigurationName="d", domainName=domain(realm), authorizerConfig=config)
    assert iot.describe_domain_configuration(domainConfigurationName="d")["authorizerConfig"] == config
    with pytest.raises(iot.exceptions.InvalidRequestException, match="not both"):
        iot.update_domain_configuration(
            domainConfigurationName="d", authorizerConfig=config, removeAuthorizerConfig=True
        )
    iot.update_domain_configuration(
        domainConfigurationName="d", authenticationType="CUSTOM_AUTH", applicationProtocol="SECURE_MQTT"
    )
    found = iot.describe_domain_configuration(domainConfigurationName="d")
    assert (found["authorizerConfig"], found["authenticationType"]) == (config, "CUSTOM_AUTH")
    with pytest.raises(iot.exceptions.InvalidRequestException, match="not with CUSTOM_AUTH"):
        iot.update_domain_configuration(domainConfigurationName="d", applicationProtocol="DEFAULT")
    iot.update_domain_configuration(domainConfigurationName="d", removeAuthorizerConfig=True)
    assert "authorizerConfig" not in iot.describe_domain_configuration(domainConfigurationName="d")
