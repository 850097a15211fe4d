"""The dispatch table: which operations of AWS's `iot` are served, and by what.

A handler is called as its operation, in snake case; `check` holds the table against the service model at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetgate.api import (
    attachments,
    authorities,
    authorization,
    authorizers,
    billing_groups,
    certificate_providers,
    certificates,
    claims,
    domains,
    dynamic_thing_groups,
    endpoints,
    event_configurations,
    indexing,
    policies,
    registration,
    role_aliases,
    tags,
    templates,
    thing_groups,
    thing_types,
    things,
    topic_rules,
)
from fleetgate.api.handling import (
    Flow,
    Glance,
    Handler,
    Inquiry,
    Known,
    Params,
    Read,
    Result,
    Survey,
    Write,
    given,
    made,
    named,
)
from fleetgate.names import Act
from fleetgate.search.fields import THINGS
from fleetgate.wire.restjson.model import Model

_THING: Final = named("thing", "thingName")
_TYPE: Final = named("thingtype", "thingTypeName")
_GROUP: Final = named("thinggroup", "thingGroupName")
_BILLING_GROUP: Final = named("billinggroup", "billingGroupName")
_POLICY: Final = named("policy", "policyName")
_TEMPLATE: Final = named("provisioningtemplate", "templateName")
_PROVIDER: Final = named("certificateprovider", "certificateProviderName")
_RULE: Final = named("rule", "ruleName")
_CERTIFICATE: Final = named("cert", "certificateId")
_AUTHORITY: Final = named("cacert", "certificateId")
_AUTHORIZER: Final = named("authorizer", "authorizerName")
_ALIAS: Final = named("rolealias", "roleAlias")
_MADE: Final = made("certificateArn")


def _member_group(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("thinggroup", thing_groups.group_in(act, params))


def _billed_group(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("billinggroup", billing_groups.group_in(act, params))


def _claim(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("cert", result["certificateId"])


def _task(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("thingregistrationtask", result.get("taskId") or params["taskId"])


def _default_authorizer(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("authorizer", "")


def _index(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("index", THINGS.name)


def _events(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("eventconfigurations", act.realm.region)


def _realm(act: Act, params: Params, result: Result) -> str:
    return act.realm.arn("registrationcode", act.realm.region)


OPERATIONS: Final[Mapping[str, Handler]] = {
    # things
    "CreateThing": Write(things.create_thing, _THING),
    "DescribeThing": Glance(things.describe_thing),
    "UpdateThing": Write(things.update_thing, _THING),
    "DeleteThing": Write(things.delete_thing, _THING),
    "ListThings": Read(things.list_things),
    "AttachThingPrincipal": Write(things.attach_thing_principal, _THING, ("principal", "thingPrincipalType")),
    "DetachThingPrincipal": Write(things.detach_thing_principal, _THING, ("principal",)),
    "ListThingPrincipals": Read(things.list_thing_principals),
    "ListThingPrincipalsV2": Read(things.list_thing_principals_v2),
    "ListPrincipalThings": Read(things.list_principal_things),
    "ListPrincipalThingsV2": Read(things.list_principal_things_v2),
    # thing types
    "CreateThingType": Write(thing_types.create_thing_type, _TYPE),
    "DescribeThingType": Glance(thing_types.describe_thing_type),
    "ListThingTypes": Read(thing_types.list_thing_types),
    "UpdateThingType": Write(thing_types.update_thing_type, _TYPE),
    "DeprecateThingType": Write(thing_types.deprecate_thing_type, _TYPE, ("undoDeprecate",)),
    "DeleteThingType": Write(thing_types.delete_thing_type, _TYPE),
    # thing groups
    "CreateThingGroup": Write(thing_groups.create_thing_group, _GROUP, ("parentGroupName",)),
    "DescribeThingGroup": Glance(thing_groups.describe_thing_group),
    "UpdateThingGroup": Write(thing_groups.update_thing_group, _GROUP),
    "DeleteThingGroup": Write(thing_groups.delete_thing_group, _GROUP),
    "ListThingGroups": Read(thing_groups.list_thing_groups),
    "AddThingToThingGroup": Write(thing_groups.add_thing_to_thing_group, _member_group, ("thingName", "thingArn")),
    "RemoveThingFromThingGroup": Write(
        thing_groups.remove_thing_from_thing_group, _member_group, ("thingName", "thingArn")
    ),
    "ListThingGroupsForThing": Glance(thing_groups.list_thing_groups_for_thing),
    "ListThingsInThingGroup": Read(thing_groups.list_things_in_thing_group),
    "UpdateThingGroupsForThing": Write(
        thing_groups.update_thing_groups_for_thing, _THING, ("thingGroupsToAdd", "thingGroupsToRemove")
    ),
    # billing groups
    "CreateBillingGroup": Write(billing_groups.create_billing_group, _BILLING_GROUP),
    "DescribeBillingGroup": Glance(billing_groups.describe_billing_group),
    "UpdateBillingGroup": Write(billing_groups.update_billing_group, _BILLING_GROUP),
    "DeleteBillingGroup": Write(billing_groups.delete_billing_group, _BILLING_GROUP),
    "ListBillingGroups": Read(billing_groups.list_billing_groups),
    "AddThingToBillingGroup": Write(
        billing_groups.add_thing_to_billing_group, _billed_group, ("thingName", "thingArn")
    ),
    "RemoveThingFromBillingGroup": Write(
        billing_groups.remove_thing_from_billing_group, _billed_group, ("thingName", "thingArn")
    ),
    "ListThingsInBillingGroup": Read(billing_groups.list_things_in_billing_group),
    "CreateDynamicThingGroup": Write(dynamic_thing_groups.create_dynamic_thing_group, _GROUP, ("queryString",)),
    "UpdateDynamicThingGroup": Write(dynamic_thing_groups.update_dynamic_thing_group, _GROUP, ("queryString",)),
    "DeleteDynamicThingGroup": Write(dynamic_thing_groups.delete_dynamic_thing_group, _GROUP),
    # fleet indexing
    "UpdateIndexingConfiguration": Flow(
        indexing.update_indexing_configuration,
        _index,
        ("thingIndexingConfiguration", "thingGroupIndexingConfiguration"),
    ),
    "GetIndexingConfiguration": Glance(indexing.get_indexing_configuration),
    "DescribeIndex": Glance(indexing.describe_index),
    "ListIndices": Glance(indexing.list_indices),
    "SearchIndex": Read(indexing.search_index),
    "GetStatistics": Read(indexing.get_statistics),
    "GetCardinality": Read(indexing.get_cardinality),
    "GetPercentiles": Read(indexing.get_percentiles),
    "GetBucketsAggregation": Read(indexing.get_buckets_aggregation),
    "GetThingConnectivityData": Glance(indexing.get_thing_connectivity_data),
    # certificates
    "CreateKeysAndCertificate": Flow(certificates.create_keys_and_certificate, _MADE, ("setAsActive",)),
    "CreateCertificateFromCsr": Flow(certificates.create_certificate_from_csr, _MADE, ("setAsActive",)),
    "RegisterCertificate": Write(certificates.register_certificate, _MADE, ("setAsActive", "status")),
    "RegisterCertificateWithoutCA": Write(certificates.register_certificate_without_ca, _MADE, ("status",)),
    "DescribeCertificate": Glance(certificates.describe_certificate),
    "UpdateCertificate": Write(certificates.update_certificate, _CERTIFICATE, ("newStatus",)),
    "DeleteCertificate": Write(certificates.delete_certificate, _CERTIFICATE, ("forceDelete",)),
    "ListCertificates": Read(certificates.list_certificates),
    "ListCertificatesByCA": Read(certificates.list_certificates_by_ca),
    "TransferCertificate": Write(certificates.transfer_certificate, _CERTIFICATE, ("targetAwsAccount",)),
    "AcceptCertificateTransfer": Write(certificates.accept_certificate_transfer, _CERTIFICATE, ("setAsActive",)),
    "RejectCertificateTransfer": Write(certificates.reject_certificate_transfer, _CERTIFICATE),
    "CancelCertificateTransfer": Write(certificates.cancel_certificate_transfer, _CERTIFICATE),
    "ListOutgoingCertificates": Read(certificates.list_outgoing_certificates),
    "CreateCertificateProvider": Write(
        certificate_providers.create_certificate_provider, _PROVIDER, ("lambdaFunctionArn",)
    ),
    "DescribeCertificateProvider": Glance(certificate_providers.describe_certificate_provider),
    "UpdateCertificateProvider": Write(
        certificate_providers.update_certificate_provider, _PROVIDER, ("lambdaFunctionArn",)
    ),
    "DeleteCertificateProvider": Write(certificate_providers.delete_certificate_provider, _PROVIDER),
    "ListCertificateProviders": Glance(certificate_providers.list_certificate_providers),
    # CA certificates
    "RegisterCACertificate": Write(
        authorities.register_ca_certificate, _MADE, ("setAsActive", "allowAutoRegistration", "certificateMode")
    ),
    "DescribeCACertificate": Glance(authorities.describe_ca_certificate),
    "UpdateCACertificate": Write(
        authorities.update_ca_certificate,
        _AUTHORITY,
        ("newStatus", "newAutoRegistrationStatus", "removeAutoRegistration"),
    ),
    "DeleteCACertificate": Write(authorities.delete_ca_certificate, _AUTHORITY),
    "ListCACertificates": Read(authorities.list_ca_certificates),
    "GetRegistrationCode": Flow(authorities.get_registration_code, _realm),
    "DeleteRegistrationCode": Write(authorities.delete_registration_code, _realm),
    # policies
    "CreatePolicy": Write(policies.create_policy, _POLICY),
    "GetPolicy": Glance(policies.get_policy),
    "DeletePolicy": Write(policies.delete_policy, _POLICY),
    "ListPolicies": Read(policies.list_policies),
    "CreatePolicyVersion": Write(policies.create_policy_version, _POLICY, ("setAsDefault",)),
    "GetPolicyVersion": Glance(policies.get_policy_version),
    "DeletePolicyVersion": Write(policies.delete_policy_version, _POLICY, ("policyVersionId",)),
    "ListPolicyVersions": Glance(policies.list_policy_versions),
    "SetDefaultPolicyVersion": Write(policies.set_default_policy_version, _POLICY, ("policyVersionId",)),
    "AttachPolicy": Write(attachments.attach_policy, _POLICY, ("target",)),
    "DetachPolicy": Write(attachments.detach_policy, _POLICY, ("target",)),
    "ListAttachedPolicies": Read(attachments.list_attached_policies),
    "ListTargetsForPolicy": Read(attachments.list_targets_for_policy),
    "AttachPrincipalPolicy": Write(attachments.attach_principal_policy, _POLICY, ("principal",)),
    "DetachPrincipalPolicy": Write(attachments.detach_principal_policy, _POLICY, ("principal",)),
    "ListPrincipalPolicies": Read(attachments.list_principal_policies),
    "ListPolicyPrincipals": Read(attachments.list_policy_principals),
    "GetEffectivePolicies": Read(authorization.get_effective_policies),
    "TestAuthorization": Read(authorization.test_authorization),
    # provisioning
    "CreateProvisioningTemplate": Write(templates.create_provisioning_template, _TEMPLATE, ("type", "enabled")),
    "DescribeProvisioningTemplate": Glance(templates.describe_provisioning_template),
    "UpdateProvisioningTemplate": Write(
        templates.update_provisioning_template, _TEMPLATE, ("enabled", "defaultVersionId", "removePreProvisioningHook")
    ),
    "DeleteProvisioningTemplate": Write(templates.delete_provisioning_template, _TEMPLATE),
    "ListProvisioningTemplates": Read(templates.list_provisioning_templates),
    "CreateProvisioningTemplateVersion": Write(
        templates.create_provisioning_template_version, _TEMPLATE, ("setAsDefault",)
    ),
    "DescribeProvisioningTemplateVersion": Glance(templates.describe_provisioning_template_version),
    "ListProvisioningTemplateVersions": Read(templates.list_provisioning_template_versions),
    "DeleteProvisioningTemplateVersion": Write(
        templates.delete_provisioning_template_version, _TEMPLATE, ("versionId",)
    ),
    "CreateProvisioningClaim": Flow(claims.create_provisioning_claim, _claim, ("templateName",)),
    "RegisterThing": Flow(registration.register_thing, registration.registered_thing),
    "StartThingRegistrationTask": Flow(
        registration.start_thing_registration_task, _task, ("inputFileBucket", "inputFileKey", "roleArn")
    ),
    "DescribeThingRegistrationTask": Glance(registration.describe_thing_registration_task),
    "ListThingRegistrationTasks": Read(registration.list_thing_registration_tasks),
    "StopThingRegistrationTask": Write(registration.stop_thing_registration_task, _task),
    "ListThingRegistrationTaskReports": Survey(registration.list_thing_registration_task_reports),
    # role aliases
    "CreateRoleAlias": Write(role_aliases.create_role_alias, _ALIAS, ("roleArn", "credentialDurationSeconds")),
    "DescribeRoleAlias": Glance(role_aliases.describe_role_alias),
    "UpdateRoleAlias": Write(role_aliases.update_role_alias, _ALIAS, ("roleArn", "credentialDurationSeconds")),
    "DeleteRoleAlias": Write(role_aliases.delete_role_alias, _ALIAS),
    "ListRoleAliases": Read(role_aliases.list_role_aliases),
    # authorizers
    "CreateAuthorizer": Write(
        authorizers.create_authorizer,
        _AUTHORIZER,
        ("authorizerFunctionArn", "tokenKeyName", "status", "signingDisabled", "enableCachingForHttp"),
    ),
    "DescribeAuthorizer": Glance(authorizers.describe_authorizer),
    "UpdateAuthorizer": Write(
        authorizers.update_authorizer,
        _AUTHORIZER,
        ("authorizerFunctionArn", "tokenKeyName", "tokenSigningPublicKeys", "status", "enableCachingForHttp"),
    ),
    "DeleteAuthorizer": Write(authorizers.delete_authorizer, _AUTHORIZER),
    "ListAuthorizers": Read(authorizers.list_authorizers),
    "SetDefaultAuthorizer": Write(authorizers.set_default_authorizer, _AUTHORIZER),
    "ClearDefaultAuthorizer": Write(authorizers.clear_default_authorizer, _default_authorizer),
    "DescribeDefaultAuthorizer": Glance(authorizers.describe_default_authorizer),
    "TestInvokeAuthorizer": Inquiry(authorizers.test_invoke_authorizer),
    # endpoints
    "CreateDomainConfiguration": Flow(
        domains.create_domain_configuration,
        made("domainConfigurationArn"),
        ("domainName", "serverCertificateArns", "authorizerConfig", "authenticationType", "applicationProtocol"),
    ),
    "DescribeDomainConfiguration": Survey(domains.describe_domain_configuration),
    "UpdateDomainConfiguration": Write(
        domains.update_domain_configuration,
        made("domainConfigurationArn"),
        (
            "domainConfigurationStatus",
            "authorizerConfig",
            "removeAuthorizerConfig",
            "authenticationType",
            "applicationProtocol",
        ),
    ),
    "DeleteDomainConfiguration": Write(
        domains.delete_domain_configuration, named("domainconfiguration", "domainConfigurationName")
    ),
    "ListDomainConfigurations": Read(domains.list_domain_configurations),
    # topic rules and events
    "CreateTopicRule": Write(topic_rules.create_topic_rule, _RULE),
    "GetTopicRule": Glance(topic_rules.get_topic_rule),
    "ReplaceTopicRule": Write(topic_rules.replace_topic_rule, _RULE),
    "EnableTopicRule": Write(topic_rules.enable_topic_rule, _RULE),
    "DisableTopicRule": Write(topic_rules.disable_topic_rule, _RULE),
    "DeleteTopicRule": Write(topic_rules.delete_topic_rule, _RULE),
    "ListTopicRules": Read(topic_rules.list_topic_rules),
    "DescribeEventConfigurations": Glance(event_configurations.describe_event_configurations),
    "UpdateEventConfigurations": Write(
        event_configurations.update_event_configurations, _events, ("eventConfigurations",)
    ),
    # the rest
    "DescribeEndpoint": Known(endpoints.describe_endpoint),
    "TagResource": Write(tags.tag_resource, given("resourceArn")),
    "UntagResource": Write(tags.untag_resource, given("resourceArn"), ("tagKeys",)),
    "ListTagsForResource": Glance(tags.list_tags_for_resource),
}


def check(model: Model, operations: Mapping[str, Handler] = OPERATIONS) -> None:
    """Raises RuntimeError for an entry that is no operation of *model*, or whose handler is called otherwise."""
    known = set(model.operations)
    wrong = [name for name in operations if name not in known]
    wrong += [
        f"{name} ({called})"
        for name, handler in operations.items()
        if (called := handler.answer.__name__).replace("_", "") != name.lower()
    ]
    if wrong:
        raise RuntimeError(f"The dispatch table and the model of {model.service} differ: {', '.join(wrong)}.")
