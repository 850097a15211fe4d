import json

from fleetgate.template.document import Kind, parse
from fleetgate.template.requirements import Requirement, Supplier, requirements

ID = "AWS::IoT::Certificate::Id"
NAME = "AWS::IoT::Certificate::CommonName"
TEMPLATE = {
    "Parameters": {
        "Serial": {"Type": "String"},
        "Site": {"Type": "String", "Default": "north"},
        "Unused": {"Type": "String"},
        NAME: {"Type": "String"},
    },
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Fn::Sub": "${Serial}-${Site}-${Serial}"},
                "AttributePayload": {"serial": {"Ref": "Serial"}, "region": {"Ref": "AWS::Region"}},
            },
        },
        "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {"CertificateId": {"Ref": ID}}},
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": {"Ref": "thing"}}},
    },
}
SERIAL_AT = ("Resources.thing.Properties.ThingName", "Resources.thing.Properties.AttributePayload.serial")
SITE_AT = SERIAL_AT[:1]
REGION_AT = ("Resources.thing.Properties.AttributePayload.region",)
ID_AT = ("Resources.certificate.Properties.CertificateId",)


def of(kind: Kind) -> tuple[Requirement, ...]:
    return requirements(parse(json.dumps(TEMPLATE), kind))


def test_fleet_provisioning_asks_the_device() -> None:
    assert of(Kind.FLEET_PROVISIONING) == (
        Requirement("Serial", Supplier.REQUEST, None, SERIAL_AT, required=True),
        Requirement("Site", Supplier.REQUEST, "north", SITE_AT, required=False),
        Requirement("Unused", Supplier.REQUEST, None, (), required=False),
        Requirement(NAME, Supplier.NOBODY, None, (), required=False),
        Requirement("AWS::Region", Supplier.NOBODY, None, REGION_AT, required=True),
        Requirement(ID, Supplier.CERTIFICATE, None, ID_AT, required=True),
    )


def test_just_in_time_provisioning_asks_the_certificate() -> None:
    assert [(found.name, found.supplier, found.required) for found in of(Kind.JITP)] == [
        ("Serial", Supplier.NOBODY, True),
        ("Site", Supplier.NOBODY, False),
        ("Unused", Supplier.NOBODY, True),
        (NAME, Supplier.CERTIFICATE, True),
        ("AWS::Region", Supplier.NOBODY, True),
        (ID, Supplier.CERTIFICATE, True),
    ]


def test_registration_asks_the_request() -> None:
    assert [(found.name, found.supplier, found.required) for found in of(Kind.REGISTRATION)] == [
        ("Serial", Supplier.REQUEST, True),
        ("Site", Supplier.REQUEST, False),
        ("Unused", Supplier.REQUEST, False),
        (NAME, Supplier.REQUEST, False),
        ("AWS::Region", Supplier.NOBODY, True),
        (ID, Supplier.NOBODY, True),
    ]
