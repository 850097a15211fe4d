from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509

from fleetgate.errors import InvalidRequest
from fleetgate.pki import fields, moments, profile
from fleetgate.pki.profile import DAY, Profile, Validity


def test_the_end_of_2049() -> None:
    assert moments.text_of(profile.END_OF_2049) == "2049-12-31T23:59:59Z"


def test_profiles_are_found_by_name() -> None:
    assert set(profile.PROFILES) == {"aws-device", "strict-device", "server", "root-ca", "issuing-ca", "ocsp-responder"}
    assert all(each.name == name for name, each in profile.PROFILES.items())


def test_a_fixed_end_or_a_duration() -> None:
    now = 1_000 * DAY
    assert Validity(end=2_000 * DAY).bounds(now, 0, moments.LATEST) == (now - 120_000, 2_000 * DAY)
    assert Validity(duration=DAY, backdate=0).bounds(now, 0, moments.LATEST) == (now, now + DAY)


def test_the_issuer_bounds_the_start_and_on_request_the_end() -> None:
    now = 1_000 * DAY
    assert Validity(duration=DAY).bounds(now, now - 5, now + 5) == (now - 5, now + DAY)
    assert Validity(duration=DAY, cut_to_issuer=True).bounds(now, now - 5, now + 5) == (now - 5, now + 5)
    assert Validity(duration=1000, cut_to_issuer=True).bounds(now, now, now + DAY) == (now, now + 1000)


def test_lasting() -> None:
    short = profile.AWS_DEVICE.lasting(30 * DAY)
    assert short.validity == Validity(end=None, duration=30 * DAY, cut_to_issuer=True)
    assert replace(short, validity=profile.AWS_DEVICE.validity) == profile.AWS_DEVICE


def test_the_subject_is_the_requests_where_it_has_one() -> None:
    wished = profile.common_name("device-1")
    made_up = profile.common_name("AWS IoT Certificate")
    assert profile.AWS_DEVICE.subject_for(wished) == wished
    assert profile.AWS_DEVICE.subject_for(None) == made_up
    assert profile.AWS_DEVICE.subject_for(x509.Name([])) == made_up
    assert replace(profile.AWS_DEVICE, keep_subject=False).subject_for(wished) == made_up


def test_a_subject_is_needed_where_the_profile_has_none() -> None:
    with pytest.raises(InvalidRequest, match="profile server need a subject"):
        profile.SERVER.subject_for(None)


def test_common_names_have_a_length() -> None:
    for text in ("", "a" * 65):
        with pytest.raises(InvalidRequest, match="1 to 64 octets"):
            profile.common_name(text)


def test_keys_are_allowed_by_kind_or_by_family() -> None:
    assert profile.AWS_DEVICE.allows_key("rsa-2056")
    assert profile.AWS_DEVICE.allows_key("ec-p521")
    only = replace(profile.AWS_DEVICE, key_kinds=frozenset({"ec-p256"}))
    assert only.allows_key("ec-p256")
    assert not only.allows_key("ec-p384")
    assert not only.allows_key("rsa-2048")


def test_extensions_of_each_profile() -> None:
    four = {"2.5.29.35", "2.5.29.14", "2.5.29.19", "2.5.29.15"}
    assert profile.AWS_DEVICE.extension_oids() == four
    assert profile.STRICT_DEVICE.extension_oids() == four | {fields.EXTENDED_KEY_USAGE}
    assert profile.SERVER.extension_oids() == four | {fields.EXTENDED_KEY_USAGE, fields.SUBJECT_ALTERNATIVE_NAME}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"validity": Validity(end=0)}, "end: a moment"),
        ({"validity": Validity(end=moments.LATEST + 1)}, "end: a moment"),
        ({"validity": Validity(duration=999)}, "duration: from a second"),
        ({"validity": Validity(duration=36_526 * DAY)}, "duration: from a second"),
        ({"validity": Validity(backdate=-1)}, "backdate: at most a day"),
        ({"validity": Validity(backdate=DAY + 1)}, "backdate: at most a day"),
        ({"key_usage": frozenset({"digitalSignature", "sealing"})}, "key_usage: sealing is none of"),
        ({"key_usage": frozenset({"keyCertSign"})}, "keyCertSign belongs to CAs"),
        ({"ca": True}, "keyCertSign belongs to CAs"),
        ({"path_length": 1}, "path_length: a number"),
        ({"key_kinds": frozenset({"dsa"})}, "key_kinds: one or more of"),
        ({"key_kinds": frozenset()}, "key_kinds: one or more of"),
    ],
)
def test_a_profile_that_cannot_be(change: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        replace(profile.AWS_DEVICE, **change)  # type: ignore[arg-type] # one field of several types


def test_all_problems_of_a_profile_at_once() -> None:
    with pytest.raises(InvalidRequest, match="Profile 'x' is refused") as caught:
        Profile("x", Validity(end=0, duration=0, backdate=-1), ca=True, key_kinds=frozenset())
    assert caught.value.message.count("\n- ") == 5
