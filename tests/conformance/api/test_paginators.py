"""Every paginator that boto3 has for what is served: nothing left out, nothing twice, also while rows are added."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from botocore import xform_name
from tests.conformance.api.conftest import Account
from tests.conformance.api.test_operations import BODY, POLICY, ROLE
from tests.pki import TestAuthority

from fleetgate.api.table import OPERATIONS

COUNT = 5
Filled = tuple[dict[str, Any], Callable[[int], Any]]
"""What to ask the list with, and what adds the nth row to it."""

_letters = itertools.count()


def unique() -> str:
    return f"{next(_letters):08}"


def things(iot: Any) -> Filled:
    return {}, lambda n: iot.create_thing(thingName=f"t{n}")


def found_things(iot: Any) -> Filled:
    asked = {"attributeName": "a", "attributeValue": "v", "usePrefixAttributeValue": True}
    return asked, lambda n: iot.create_thing(thingName=f"t{n}", attributePayload={"attributes": {"a": f"v{n % 2}"}})


def thing_types(iot: Any) -> Filled:
    return {}, lambda n: iot.create_thing_type(thingTypeName=f"t{n}")


def thing_groups(iot: Any) -> Filled:
    iot.create_thing_group(thingGroupName="root")
    asked = {"parentGroup": "root", "recursive": True}
    return asked, lambda n: iot.create_thing_group(thingGroupName=f"g{n}", parentGroupName=f"g{n - 1}" if n else "root")


def groups_of_a_thing(iot: Any) -> Filled:
    iot.create_thing(thingName="t")

    def add(n: int) -> None:
        iot.create_thing_group(thingGroupName=f"g{n}")
        iot.add_thing_to_thing_group(thingGroupName=f"g{n}", thingName="t")

    return {"thingName": "t"}, add


def things_in_a_group(iot: Any) -> Filled:
    iot.create_thing_group(thingGroupName="g")

    def add(n: int) -> None:
        iot.create_thing(thingName=f"t{n}")
        iot.add_thing_to_thing_group(thingGroupName="g", thingName=f"t{n}")

    return {"thingGroupName": "g", "recursive": True}, add


def billing_groups(iot: Any) -> Filled:
    return {"namePrefixFilter": "g"}, lambda n: iot.create_billing_group(billingGroupName=f"g{n}")


def things_in_a_billing_group(iot: Any) -> Filled:
    iot.create_billing_group(billingGroupName="g")
    return {"billingGroupName": "g"}, lambda n: iot.create_thing(thingName=f"t{n}", billingGroupName="g")


def certificates(iot: Any) -> Filled:
    return {"ascendingOrder": True}, lambda n: iot.create_keys_and_certificate()


def outgoing_certificates(iot: Any) -> Filled:
    def add(n: int) -> None:
        made = iot.create_keys_and_certificate()["certificateId"]
        iot.transfer_certificate(certificateId=made, targetAwsAccount="999999999999")

    return {"ascendingOrder": True}, add


def certificates_by_ca(iot: Any) -> Filled:
    ca = TestAuthority(f"CA {unique()}")
    made = iot.register_ca_certificate(caCertificate=ca.pem, certificateMode="SNI_ONLY", setAsActive=True)
    asked = {"caCertificateId": made["certificateId"], "ascendingOrder": True}
    return asked, lambda n: iot.register_certificate(certificatePem=ca.leaf())


def ca_certificates(iot: Any) -> Filled:
    def add(n: int) -> None:
        iot.register_ca_certificate(caCertificate=TestAuthority(f"CA {unique()}").pem, certificateMode="SNI_ONLY")

    return {"ascendingOrder": True}, add


def policies(iot: Any) -> Filled:
    return {"ascendingOrder": True}, lambda n: iot.create_policy(policyName=f"p{n}", policyDocument=POLICY)


def _attached(iot: Any, arn: str) -> Callable[[int], None]:
    def add(n: int) -> None:
        iot.create_policy(policyName=f"p{n}", policyDocument=POLICY)
        iot.attach_policy(policyName=f"p{n}", target=arn)

    return add


def attached_policies(iot: Any) -> Filled:
    arn = iot.create_keys_and_certificate()["certificateArn"]
    return {"target": arn}, _attached(iot, arn)


def principal_policies(iot: Any) -> Filled:
    arn = iot.create_keys_and_certificate()["certificateArn"]
    return {"principal": arn}, _attached(iot, arn)


def _targets(iot: Any) -> Filled:
    iot.create_policy(policyName="p", policyDocument=POLICY)

    def add(n: int) -> None:
        iot.attach_policy(policyName="p", target=iot.create_keys_and_certificate()["certificateArn"])

    return {"policyName": "p"}, add


def templates(iot: Any) -> Filled:
    def add(n: int) -> None:
        iot.create_provisioning_template(templateName=f"t{n}", templateBody=BODY, provisioningRoleArn=ROLE)

    return {}, add


def template_versions(iot: Any) -> Filled:
    iot.create_provisioning_template(templateName="t", templateBody=BODY, provisioningRoleArn=ROLE)

    def add(n: int) -> None:
        if n:  # the template came with its first
            iot.create_provisioning_template_version(templateName="t", templateBody=BODY)

    return {"templateName": "t"}, add


def _principals(iot: Any) -> Filled:
    iot.create_thing(thingName="t")

    def add(n: int) -> None:
        iot.attach_thing_principal(thingName="t", principal=iot.create_keys_and_certificate()["certificateArn"])

    return {"thingName": "t"}, add


def _things_of_a_principal(iot: Any) -> Filled:
    arn = iot.create_keys_and_certificate()["certificateArn"]

    def add(n: int) -> None:
        iot.create_thing(thingName=f"t{n}")
        iot.attach_thing_principal(thingName=f"t{n}", principal=arn)

    return {"principal": arn}, add


def tags(iot: Any) -> Filled:
    arn = iot.create_thing_group(thingGroupName="g")["thingGroupArn"]
    return {"resourceArn": arn}, lambda n: iot.tag_resource(resourceArn=arn, tags=[{"Key": f"k{n}"}])


LISTS: list[tuple[str, Callable[[Any], Filled]]] = [
    ("ListThings", things),
    ("ListThings", found_things),
    ("ListThingTypes", thing_types),
    ("ListThingGroups", thing_groups),
    ("ListThingGroupsForThing", groups_of_a_thing),
    ("ListThingsInThingGroup", things_in_a_group),
    ("ListBillingGroups", billing_groups),
    ("ListThingsInBillingGroup", things_in_a_billing_group),
    ("ListCertificates", certificates),
    ("ListCertificatesByCA", certificates_by_ca),
    ("ListOutgoingCertificates", outgoing_certificates),
    ("ListCACertificates", ca_certificates),
    ("ListPolicies", policies),
    ("ListAttachedPolicies", attached_policies),
    ("ListPrincipalPolicies", principal_policies),
    ("ListTargetsForPolicy", _targets),
    ("ListPolicyPrincipals", _targets),
    ("ListProvisioningTemplates", templates),
    ("ListProvisioningTemplateVersions", template_versions),
    ("ListThingPrincipals", _principals),
    ("ListThingPrincipalsV2", _principals),
    ("ListPrincipalThings", _things_of_a_principal),
    ("ListPrincipalThingsV2", _things_of_a_principal),
    ("ListTagsForResource", tags),
]


def role_aliases(iot: Any) -> Filled:
    account = iot.create_thing(thingName="t")["thingArn"].split(":")[4]
    role = f"arn:aws:iam::{account}:role/r"
    return {"ascendingOrder": True}, lambda n: iot.create_role_alias(roleAlias=f"a{n}", roleArn=role)


def authorizers(iot: Any) -> Filled:
    account = iot.create_thing(thingName="t")["thingArn"].split(":")[4]
    function = f"arn:aws:lambda:us-east-1:{account}:function:f"

    def add(n: int) -> None:
        iot.create_authorizer(authorizerName=f"a{n}", authorizerFunctionArn=function, signingDisabled=True)

    return {"ascendingOrder": True}, add


LISTS += [("ListAuthorizers", authorizers), ("ListRoleAliases", role_aliases)]

ELSEWHERE = {
    # One task runs at a time, so to fill these takes a worker: tests/unit/api/test_registration.py has one.
    "ListThingRegistrationTasks",
    "ListThingRegistrationTaskReports",
    # Every account has some to begin with.
    "ListDomainConfigurations",
    # tests/unit/api/test_topic_rules.py and tests/journeys/test_search.py.
    "ListTopicRules",
    "ListIndices",
}
"""Lists that cannot be filled here."""


def test_no_paginator_is_forgotten(iot: Any) -> None:
    paged = {name for name in OPERATIONS if iot.can_paginate(xform_name(name))}
    assert paged == {name for name, _ in LISTS} | ELSEWHERE


@pytest.mark.parametrize(("operation", "fill"), LISTS, ids=lambda value: getattr(value, "__name__", value))
def test_pages_hold_everything_once(account: Account, operation: str, fill: Callable[[Any], Filled]) -> None:
    iot = account.client()
    asked, add = fill(iot)
    for number in range(COUNT):
        add(number)
    paginator = iot.get_paginator(xform_name(operation))
    [key] = [each.expression for each in paginator.result_keys]
    whole = paginator.paginate(**asked).build_full_result()[key]
    assert len(whole) == COUNT
    size = {} if operation == "ListTagsForResource" else {"PageSize": 2}
    assert paginator.paginate(**asked, PaginationConfig=size).build_full_result()[key] == whole


@pytest.mark.parametrize(
    ("operation", "fill"), [("ListThings", things), ("ListCertificates", certificates), ("ListPolicies", policies)]
)
def test_rows_that_come_meanwhile_move_nothing(account: Account, operation: str, fill: Callable[[Any], Filled]) -> None:
    iot = account.client()
    asked, add = fill(iot)
    for number in range(COUNT):
        add(number)
    paginator = iot.get_paginator(xform_name(operation))
    [key] = [each.expression for each in paginator.result_keys]
    before = paginator.paginate(**asked).build_full_result()[key]
    seen: list[Any] = []
    for number, page in enumerate(paginator.paginate(**asked, PaginationConfig={"PageSize": 2})):
        seen += page[key]
        if number < COUNT:
            add(COUNT + number)
    assert [each for each in seen if each in before] == before
    assert all(seen.count(each) == 1 for each in seen)


@pytest.mark.parametrize("token", ["nonsense!", "AAAA", "dGhpbmdzOg=="])
def test_a_token_that_is_none(iot: Any, token: str) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.list_things(nextToken=token)
    with pytest.raises(iot.exceptions.InvalidRequestException):
        iot.list_certificates(marker=token)


def test_a_token_of_another_list(iot: Any) -> None:
    for number in range(2):
        iot.create_thing(thingName=f"t{number}")
    token = iot.list_things(maxResults=1)["nextToken"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="none of this list"):
        iot.list_certificates(marker=token)


def test_a_token_of_another_filter(iot: Any) -> None:
    for number in range(3):
        iot.create_thing(thingName=f"t{number}", attributePayload={"attributes": {"a": "1"}})
    token = iot.list_things(maxResults=1)["nextToken"]
    with pytest.raises(iot.exceptions.InvalidRequestException, match="with this filter"):
        iot.list_things(maxResults=1, nextToken=token, attributeName="a", attributeValue="1")
    assert [each["thingName"] for each in iot.list_things(nextToken=token)["things"]] == ["t1", "t2"]
