from cryptography.x509.oid import NameOID

from fleetgate.template.pseudo_parameters import CERTIFICATE_ID, PREFIX, SUBJECT_FIELDS, why_missing


def test_object_identifiers_are_those_of_x_520() -> None:
    assert {name.rpartition("::")[2]: field.oid for name, field in SUBJECT_FIELDS.items()} == {
        "Country": NameOID.COUNTRY_NAME.dotted_string,
        "Organization": NameOID.ORGANIZATION_NAME.dotted_string,
        "OrganizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME.dotted_string,
        "DistinguishedNameQualifier": NameOID.DN_QUALIFIER.dotted_string,
        "StateName": NameOID.STATE_OR_PROVINCE_NAME.dotted_string,
        "CommonName": NameOID.COMMON_NAME.dotted_string,
        "SerialNumber": NameOID.SERIAL_NUMBER.dotted_string,
    }
    assert all(name.startswith(PREFIX) for name in (*SUBJECT_FIELDS, CERTIFICATE_ID))


def test_a_missing_field_is_named_as_certificates_name_it() -> None:
    assert "countryName (C)" in why_missing("AWS::IoT::Certificate::Country")
    assert "no field of the certificate" in why_missing("Country")
