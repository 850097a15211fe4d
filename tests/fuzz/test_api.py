"""Hostile requests to the operators' door, well signed, from one of two accounts: whatever is sent, the answer is never
a 500, always one that the model or AWS's general errors have, and never holds anything of the other account.

    FLEETGATE_FUZZ=100000 pytest tests/fuzz/test_api.py     so many requests instead of a few thousand
    FLEETGATE_FUZZ_SEED=7                                   another dice
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.credentials import Credentials
from tests.fuzz.api_requests import PATHS, Dice, Wanted
from tests.pki import TestAuthority, new_key, signing_request
from tests.runtime import REGION, Answer, Installed, installed, signed

from fleetgate.api.services import SERVICES
from fleetgate.names import Realm

COUNT: Final = int(os.environ.get("FLEETGATE_FUZZ", "10000"))
SEED: Final = int(os.environ.get("FLEETGATE_FUZZ_SEED", "1"))
OURS, THEIRS = "100000000001", "100000000002"
ROLE: Final = "arn:aws:iam::100000000001:role/r"
POLICY: Final = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}]}'
BODY: Final = '{"Resources":{"t":{"Type":"AWS::IoT::Thing","Properties":{"ThingName":"a"}}}}'
TRUST: Final = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}]}'
SECRET: Final = "zanzibar-secret"
"""Is in everything that the other account keeps, and in nothing that is sent here."""
GENERAL: Final = frozenset(
    {
        "AccessDeniedException",
        "InvalidRequestException",
        "InvalidSignatureException",
        "MethodNotAllowedException",
        "IncompleteSignatureException",
        "MissingAuthenticationTokenException",
        "NotImplementedException",
        "RequestEntityTooLargeException",
        "ResourceNotFoundException",
        "UnknownOperationException",
        "UnrecognizedClientException",
    }
)


@dataclass(frozen=True, slots=True)
class Filled:
    """An account with one of everything in it, all of whose descriptions hold *mark*."""

    realm: Realm
    operator: Credentials
    iot: Any
    name: str
    mark: str
    certificate: str
    """Its id."""
    pem: str
    authority: str

    def everything(self) -> list[Any]:
        """What it reads of its own: to be compared."""
        iot, name, arn = self.iot, self.name, self.realm.arn("cert", self.certificate)
        answers = [
            iot.describe_thing(thingName=name),
            iot.list_thing_principals(thingName=name),
            iot.describe_thing_type(thingTypeName=name),
            iot.describe_thing_group(thingGroupName=name),
            iot.list_things_in_thing_group(thingGroupName=name),
            iot.describe_billing_group(billingGroupName=name),
            iot.list_tags_for_resource(resourceArn=self.realm.arn("thinggroup", name)),
            iot.describe_certificate(certificateId=self.certificate),
            iot.describe_ca_certificate(certificateId=self.authority),
            iot.list_attached_policies(target=arn),
            iot.get_policy(policyName=name),
            iot.describe_provisioning_template(templateName=name),
        ]
        return [{key: value for key, value in each.items() if key != "ResponseMetadata"} for each in answers]


def fill(house: Installed, account: str, name: str, mark: str) -> Filled:
    operator = house.operator(account)
    iot = house.client(operator)
    text = f"kept for {mark}"
    iot.create_thing_type(thingTypeName=name, thingTypeProperties={"thingTypeDescription": text})
    iot.create_billing_group(billingGroupName=name, billingGroupProperties={"billingGroupDescription": text})
    attributes: Any = {"attributes": {"note": mark}}
    iot.create_thing(thingName=name, thingTypeName=name, attributePayload=attributes, billingGroupName=name)
    properties = {"thingGroupDescription": text, "attributePayload": attributes}
    tags = [{"Key": "note", "Value": mark}]
    iot.create_thing_group(thingGroupName=name, thingGroupProperties=properties, tags=tags)
    iot.add_thing_to_thing_group(thingGroupName=name, thingName=name)
    iot.create_policy(policyName=name, policyDocument=POLICY.replace('"*"', f'"arn:aws:iot:*:*:client/{mark}"'))
    iot.create_provisioning_template(
        templateName=name, templateBody=BODY, provisioningRoleArn=ROLE, description=text, enabled=True
    )
    made = iot.create_certificate_from_csr(certificateSigningRequest=signing_request(new_key(), mark), setAsActive=True)
    iot.attach_policy(policyName=name, target=made["certificateArn"])
    iot.attach_thing_principal(thingName=name, principal=made["certificateArn"])
    ca = TestAuthority(mark).pem
    authority = iot.register_ca_certificate(caCertificate=ca, certificateMode="SNI_ONLY", setAsActive=True)
    realm = Realm(account, REGION)
    return Filled(
        realm, operator, iot, name, mark, made["certificateId"], made["certificatePem"], authority["certificateId"]
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("installation")) as running:
        yield running


@pytest.fixture(scope="module")
def ours(house: Installed) -> Filled:
    return fill(house, OURS, "amber", "public")


@pytest.fixture(scope="module")
def theirs(house: Installed) -> Filled:
    return fill(house, THEIRS, "basil", SECRET)


def words(ours: Filled, theirs: Filled) -> dict[str, list[str]]:
    """What gets past the model, by shape: our own names, theirs, and names of nothing."""
    names = [ours.name, ours.name, "new", theirs.name]
    ids = [ours.certificate, ours.certificate, theirs.certificate, ours.authority, theirs.authority, "0" * 64]
    arns = [
        each.realm.arn(kind, name)
        for each in (ours, theirs)
        for kind in ("cert", "cacert", "policy", "thing", "thinggroup", "thingtype", "billinggroup", "client", "topic")
        for name in (each.name, each.certificate)
    ]
    arns += [ours.realm.arn("certificateprovider", "amber"), "arn:aws:iot:x", "arn:aws:iot:us-east-1::thing/a"]
    documents = [POLICY, "{}", "[" * 1000, '{"Statement":"\\ud800"}', TRUST]
    roles = [f"arn:aws:iam::{each}:{kind}/amber" for each in (OURS, THEIRS) for kind in ("role", "policy", "user")]
    pems = [ours.pem, theirs.pem, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", ours.pem * 2]
    lambdas = [f"arn:aws:lambda:{REGION}:{each}:function:f" for each in (OURS, THEIRS)]
    tokens, versions = ["", "AAAA", "dGhpbmdzOmE=", "dGhpbmdzLjA6YQ=="], ["1", "2", "v1", "9" * 9]
    return {
        **dict.fromkeys(("ThingName", "ThingTypeName", "ThingGroupName", "BillingGroupName", "PolicyName"), names),
        **dict.fromkeys(("TemplateName", "CertificateProviderName", "AuthorizerName"), names),
        **dict.fromkeys(("DomainConfigurationName", "RoleAlias", "RuleName", "IndexName"), names),
        **dict.fromkeys(("roleNameType", "existingUserNameType", "userNameType", "policyNameType"), names),
        **dict.fromkeys(("Principal", "PolicyTarget", "ResourceArn", "ThingArn", "ThingGroupArn"), arns),
        **dict.fromkeys(("BillingGroupArn", "Resource"), arns),
        **dict.fromkeys(("PolicyDocument", "policyDocumentType", "unrestrictedSessionPolicyDocumentType"), documents),
        **dict.fromkeys(("arnType", "RoleArn"), roles),
        **dict.fromkeys(("CertificateProviderFunctionArn", "AuthorizerFunctionArn", "TargetArn"), lambdas),
        **dict.fromkeys(("NextToken", "Marker", "markerType"), tokens),
        **dict.fromkeys(("PolicyVersionId", "policyVersionIdType"), versions),
        "CertificateId": ids,
        "CertificatePem": pems,
        "CertificateSigningRequest": [signing_request(new_key(), "fuzz"), *pems],
        "TemplateBody": [BODY, "{}", BODY.replace('"a"', '"\\ud800"'), BODY.replace("Thing", "\\u0000")],
        "AwsAccountId": [OURS, THEIRS, "999999999999"],
        "ClientToken": ["t" * 36],
        "TagKey": ["note", "team"],
        "AttributeName": ["note", "a"],
        "AttributeValue": ["public", "x", ""],
        "pathType": ["/", "/a/"],
        "policyPathType": ["/", "/a/"],
        "roleSessionNameType": ["amber"],
        "TaskId": ["0" * 8],
    }


def checked(answer: Answer, service: str, wanted: Wanted) -> None:
    sent = f"{wanted.path} {wanted.body.decode('latin-1')} {wanted.headers}"
    told = f"{answer.body.decode('latin-1')} {answer.headers}"
    shown = f"{wanted} -> {answer}"[:4000]
    assert answer.status < 500, shown
    assert SECRET not in told or SECRET in sent, shown
    assert "Traceback" not in told, shown
    if answer.status < 400:
        return
    if SERVICES[service].model.protocol == "query":
        assert re.search(r"<Code>\w+</Code>", told), shown
        return
    assert json.loads(answer.body)["message"], shown
    if wanted.path.startswith("/_fleetgate/"):  # none of AWS's
        return
    code = answer.headers["x-amzn-errortype"]
    assert code in GENERAL or code in SERVICES[service].model.errors, shown


def test_no_request_is_our_fault_and_none_reaches_another_account(
    house: Installed, ours: Filled, theirs: Filled
) -> None:
    random = Random(SEED)
    before = theirs.everything()
    by_shape = words(ours, theirs)
    known = [ours.name, theirs.name, "new", "1", ours.certificate, theirs.certificate, *by_shape["ResourceArn"][:6]]
    dice = Dice(random, by_shape, known)
    every = [(service, name) for service, each in SERVICES.items() for name in each.operations]
    outcomes: Counter[int] = Counter()
    reached: set[str] = set()
    for number in range(COUNT):
        service, name = every[number % len(every)]
        wanted = dice.request(SERVICES[service], SERVICES[service].model.operation(name))
        answer = house.send(
            signed(ours.operator, wanted.method, wanted.path, wanted.body, service=service, headers=wanted.headers)
        )
        checked(answer, service, wanted)
        outcomes[answer.status] += 1
        if answer.status < 300:
            reached.add(name)
        if number % 1000 == 999:
            assert theirs.everything() == before
    assert theirs.everything() == before
    print(dict(outcomes), f"{len(reached)} of {len(every)} operations succeeded at least once")  # noqa: T201 # for -s
    assert len(reached) > len(every) // 3, "the dice must get past the model"


def test_strange_paths(house: Installed, ours: Filled) -> None:
    for path in PATHS:
        for method in ("GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "BREW"):
            wanted = Wanted("", method, path, b"", {})
            checked(house.send(signed(ours.operator, method, path)), "iot", wanted)


def sends(house: Installed, request: AWSPreparedRequest) -> int:
    return house.send(request).status


def test_what_is_altered_on_the_way_is_refused(house: Installed, ours: Filled) -> None:
    """Every part of a signed request in turn; nothing comes of it."""
    random = Random(SEED)

    def request() -> AWSPreparedRequest:
        headers = {"x-amzn-principal": ours.realm.arn("cert", ours.certificate)}
        return signed(ours.operator, "PUT", "/things/altered/principals?thingPrincipalType=x", b"{}", headers=headers)

    assert sends(house, request()) != 403
    for _ in range(200):
        altered = request()
        match random.randrange(6):
            case 0:
                altered.url = altered.url.replace("altered", random.choice(["amber", "other", "altered%20"]))
            case 1:
                altered.url += random.choice(["&a=b", "&thingPrincipalType=y", "y", "%20"])
            case 2:
                altered.body = random.choice([b"{ }", b"", b"{}\n", b'{"a":1}'])
            case 3:
                altered.headers["x-amzn-principal"] = ours.realm.arn("cert", "0" * 64)
            case 4:
                altered.method = random.choice(["GET", "DELETE", "POST"])
            case _:
                before = altered.headers["Authorization"]
                text = before.decode() if isinstance(before, bytes) else before
                at = random.randrange(len(text))
                other = random.choice([char for char in "0af/=,Z" if char != text[at]])
                altered.headers["Authorization"] = text[:at] + other + text[at + 1 :]
        assert sends(house, altered) in {400, 403}, altered


def test_a_signature_of_another_account_region_or_service(house: Installed, ours: Filled, theirs: Filled) -> None:
    ours.iot.create_thing(thingName="kept")
    theirs.iot.create_thing(thingName="theirs-alone")
    guessed = Credentials(theirs.operator.access_key, ours.operator.secret_key)
    assert sends(house, signed(guessed, "GET", "/things/theirs-alone")) == 403
    assert sends(house, signed(ours.operator, "GET", "/things/theirs-alone")) == 404
    assert sends(house, signed(ours.operator, "GET", "/things/kept")) == 200
    assert sends(house, signed(ours.operator, "GET", "/things/kept", region="eu-west-1")) == 404
    assert sends(house, signed(ours.operator, "GET", "/things/kept", region="../..")) in {400, 403}
    assert sends(house, signed(ours.operator, "GET", "/things/kept", service="s3")) in {400, 403, 404, 501}


def test_a_request_that_is_replayed_changes_nothing_more(house: Installed, ours: Filled) -> None:
    request = signed(ours.operator, "POST", "/things/replayed", b"{}")
    first, second = house.send(request), house.send(request)
    assert (first.status, second.status) == (200, 200)
    assert json.loads(first.body) == json.loads(second.body)
