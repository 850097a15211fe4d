"""Names a template may Ref that stand for the certificate being provisioned, not for something the request sends."""

from __future__ import annotations

from typing import Final, NamedTuple

PREFIX: Final = "AWS::"
CERTIFICATE_ID: Final = "AWS::IoT::Certificate::Id"
"""The certificateId; the caller always gives it for fleet and just-in-time provisioning."""


class SubjectField(NamedTuple):
    """An attribute of the certificate's subject: its object identifier and X.520's name for it."""

    oid: str
    called: str


SUBJECT_FIELDS: Final[dict[str, SubjectField]] = {
    "AWS::IoT::Certificate::Country": SubjectField("2.5.4.6", "countryName (C)"),
    "AWS::IoT::Certificate::Organization": SubjectField("2.5.4.10", "organizationName (O)"),
    "AWS::IoT::Certificate::OrganizationalUnit": SubjectField("2.5.4.11", "organizationalUnitName (OU)"),
    "AWS::IoT::Certificate::DistinguishedNameQualifier": SubjectField("2.5.4.46", "dnQualifier"),
    "AWS::IoT::Certificate::StateName": SubjectField("2.5.4.8", "stateOrProvinceName (ST)"),
    "AWS::IoT::Certificate::CommonName": SubjectField("2.5.4.3", "commonName (CN)"),
    "AWS::IoT::Certificate::SerialNumber": SubjectField("2.5.4.5", "serialNumber"),
}
"""Just-in-time provisioning's own. SerialNumber is the subject's attribute, not the certificate's serial number."""


def why_missing(name: str) -> str:
    """What to add to `Cannot resolve reference value: <name>` in just-in-time provisioning."""
    known = SUBJECT_FIELDS.get(name)
    if known:
        return f" (the certificate's subject has no {known.called}; issue it with one, or give the parameter a Default)"
    return " (no field of the certificate has this name, and the parameter has no Default)"
