"""The operations of `iam` that are served: what deploy scripts need for users, roles and their policies.

IAM is global: an account's users and roles are the same in every region.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetgate.api import managed_policies, permissions, roles, users
from fleetgate.api.handling import Flow, Glance, Handler, Params, Read, Result, Write, given
from fleetgate.api.iam_words import named
from fleetgate.names import Act, iam_arn

_ROLE: Final = named("role", "RoleName")
_USER: Final = named("user", "UserName")
_POLICY: Final = given("PolicyArn")


def _made(act: Act, params: Params, result: Result) -> str:
    return iam_arn(act.realm.account, "policy", params.get("Path", "/"), params["PolicyName"])


OPERATIONS: Final[Mapping[str, Handler]] = {
    "CreateRole": Write(roles.create_role, _ROLE, ("MaxSessionDuration",)),
    "GetRole": Glance(roles.get_role),
    "ListRoles": Read(roles.list_roles),
    "UpdateRole": Write(roles.update_role, _ROLE, ("MaxSessionDuration",)),
    "UpdateRoleDescription": Write(roles.update_role_description, _ROLE),
    "UpdateAssumeRolePolicy": Write(roles.update_assume_role_policy, _ROLE, ("PolicyDocument",)),
    "DeleteRole": Write(roles.delete_role, _ROLE),
    "TagRole": Write(roles.tag_role, _ROLE),
    "UntagRole": Write(roles.untag_role, _ROLE, ("TagKeys",)),
    "ListRoleTags": Glance(roles.list_role_tags),
    "ListInstanceProfilesForRole": Glance(roles.list_instance_profiles_for_role),
    "CreateUser": Write(users.create_user, _USER),
    "GetUser": Glance(users.get_user),
    "ListUsers": Read(users.list_users),
    "DeleteUser": Write(users.delete_user, _USER),
    "TagUser": Write(users.tag_user, _USER),
    "UntagUser": Write(users.untag_user, _USER, ("TagKeys",)),
    "ListUserTags": Glance(users.list_user_tags),
    "ListGroupsForUser": Glance(users.list_groups_for_user),
    "CreateAccessKey": Flow(users.create_access_key, users.key_target, ("UserName",)),
    "ListAccessKeys": Read(users.list_access_keys),
    "UpdateAccessKey": Write(users.update_access_key, users.key_target, ("UserName", "Status")),
    "DeleteAccessKey": Write(users.delete_access_key, users.key_target, ("UserName",)),
    "PutRolePolicy": Write(permissions.put_role_policy, _ROLE, ("PolicyName", "PolicyDocument")),
    "GetRolePolicy": Glance(permissions.get_role_policy),
    "ListRolePolicies": Read(permissions.list_role_policies),
    "DeleteRolePolicy": Write(permissions.delete_role_policy, _ROLE, ("PolicyName",)),
    "PutUserPolicy": Write(permissions.put_user_policy, _USER, ("PolicyName", "PolicyDocument")),
    "GetUserPolicy": Glance(permissions.get_user_policy),
    "ListUserPolicies": Read(permissions.list_user_policies),
    "DeleteUserPolicy": Write(permissions.delete_user_policy, _USER, ("PolicyName",)),
    "AttachRolePolicy": Write(permissions.attach_role_policy, _ROLE, ("PolicyArn",)),
    "DetachRolePolicy": Write(permissions.detach_role_policy, _ROLE, ("PolicyArn",)),
    "ListAttachedRolePolicies": Read(permissions.list_attached_role_policies),
    "AttachUserPolicy": Write(permissions.attach_user_policy, _USER, ("PolicyArn",)),
    "DetachUserPolicy": Write(permissions.detach_user_policy, _USER, ("PolicyArn",)),
    "ListAttachedUserPolicies": Read(permissions.list_attached_user_policies),
    "CreatePolicy": Write(managed_policies.create_policy, _made, ("PolicyDocument",)),
    "GetPolicy": Glance(managed_policies.get_policy),
    "ListPolicies": Read(managed_policies.list_policies),
    "DeletePolicy": Write(managed_policies.delete_policy, _POLICY),
    "CreatePolicyVersion": Write(managed_policies.create_policy_version, _POLICY, ("PolicyDocument", "SetAsDefault")),
    "GetPolicyVersion": Glance(managed_policies.get_policy_version),
    "ListPolicyVersions": Glance(managed_policies.list_policy_versions),
    "SetDefaultPolicyVersion": Write(managed_policies.set_default_policy_version, _POLICY, ("VersionId",)),
    "DeletePolicyVersion": Write(managed_policies.delete_policy_version, _POLICY, ("VersionId",)),
    "ListEntitiesForPolicy": Read(managed_policies.list_entities_for_policy),
}
