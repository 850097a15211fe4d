import dataclasses
import json

import pytest

from fleetgate.template.plan import CertificatePlan, Plan, PolicyPlan, ThingPlan
from fleetgate.template.resources import Override

THING = ThingPlan("t", "pump", {"a": "b"}, "pumps", ("g",), "west", {"ThingGroups": Override.MERGE})
CERTIFICATE = CertificatePlan("c", None, "csr", None, None, "ACTIVE", "EXCLUSIVE_THING", {"Status": Override.FAIL})


def test_a_dry_run_reads_like_a_template_and_is_json() -> None:
    plan = Plan(THING, CERTIFICATE, (PolicyPlan("p", "n", '{"a":[1]}'), PolicyPlan("q", "m", None)), {"x": "y"})
    assert json.loads(json.dumps(plan.describe())) == {
        "thing": {
            "LogicalId": "t",
            "ThingName": "pump",
            "AttributePayload": {"a": "b"},
            "ThingTypeName": "pumps",
            "ThingGroups": ["g"],
            "BillingGroup": "west",
            "OverrideSettings": {"ThingGroups": "MERGE"},
        },
        "certificate": {
            "LogicalId": "c",
            "CertificateSigningRequest": "csr",
            "Status": "ACTIVE",
            "ThingPrincipalType": "EXCLUSIVE_THING",
            "OverrideSettings": {"Status": "FAIL"},
        },
        "policies": [
            {"LogicalId": "p", "PolicyName": "n", "PolicyDocument": {"a": [1]}},
            {"LogicalId": "q", "PolicyName": "m"},
        ],
        "deviceConfiguration": {"x": "y"},
    }


def test_what_a_plan_does_not_speak_of_is_left_out() -> None:
    assert Plan(None, None, (), {}).describe() == {"policies": [], "deviceConfiguration": {}}
    bare = dataclasses.replace(THING, attributes=None, type_name=None, groups=None, billing_group=None, overrides={})
    assert Plan(bare, None, (), {}).describe()["thing"] == {"LogicalId": "t", "ThingName": "pump"}


def test_plans_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        THING.name = "other"  # type: ignore[misc] # the point of the test
