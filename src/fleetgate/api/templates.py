"""Provisioning templates and their versions: CreateProvisioningTemplate ... DeleteProvisioningTemplateVersion."""

from __future__ import annotations

from typing import Any, Final

from fleetgate.api import tags
from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest, MalformedPolicy, all_of
from fleetgate.names import Act, check_function_arn
from fleetgate.policy.document import parse as parse_policy
from fleetgate.registry import templates
from fleetgate.registry.templates import Template, TemplateVersion, Type
from fleetgate.template.document import Kind
from fleetgate.template.document import parse as parse_template
from fleetgate.template.render import fixed_policies

_TEMPLATES: Final = Listing("templates")
_VERSIONS: Final = Listing("template-versions")
_KINDS: Final = {Type.FLEET_PROVISIONING: Kind.FLEET_PROVISIONING, Type.JITP: Kind.JITP}
_PAYLOAD_VERSION: Final = "2020-04-01"
"""The only one AWS has."""


def judge(body: str, kind: Kind) -> None:
    """Raises InvalidRequest, with every problem, unless *body* is a template and what it holds of policies fits."""
    problems = []
    for path, text in fixed_policies(parse_template(body, kind)):
        try:
            parse_policy(text)
        except MalformedPolicy as error:
            problems.append(f"{path}: {error.message}")
    if problems:
        raise InvalidRequest(all_of(problems))


def create_provisioning_template(tx: Tx, act: Act, params: Params) -> Result:
    name, body, kind = params["templateName"], params["templateBody"], Type(params.get("type", Type.FLEET_PROVISIONING))
    judge(body, _KINDS[kind])
    template = templates.create(
        tx,
        act,
        name,
        body,
        params["provisioningRoleArn"],
        type=kind,
        description=params.get("description", ""),
        enabled=params.get("enabled", False),
        **_hook_of(params),
    )
    arn = act.realm.arn("provisioningtemplate", name)
    tags.put_given(tx, act, arn, params)
    return {"templateArn": arn, "templateName": name, "defaultVersionId": template.default_version}


def describe_provisioning_template(tx: Tx, act: Act, params: Params) -> Result:
    template = templates.get(tx, act.realm, params["templateName"])
    return {
        **_summary(act, template),
        "defaultVersionId": template.default_version,
        "templateBody": templates.get_version(tx, act.realm, template.name).body,
        "provisioningRoleArn": template.role_arn,
        "preProvisioningHook": _hook(template),
    }


def update_provisioning_template(tx: Tx, act: Act, params: Params) -> Result:
    templates.update(
        tx,
        act,
        params["templateName"],
        description=params.get("description"),
        enabled=params.get("enabled"),
        default_version=params.get("defaultVersionId"),
        role_arn=params.get("provisioningRoleArn"),
        remove_hook=params.get("removePreProvisioningHook", False),
        **_hook_of(params),
    )
    return {}


def delete_provisioning_template(tx: Tx, act: Act, params: Params) -> Result:
    templates.delete(tx, act, params["templateName"])
    return {}


def list_provisioning_templates(tx: Tx, act: Act, params: Params) -> Result:
    page = templates.page(tx, act.realm, *_TEMPLATES.opened(params))
    return {
        "templates": [_summary(act, template) for template in page.items],
        "nextToken": _TEMPLATES.token(page, params),
    }


def _hook_of(params: Params) -> dict[str, Any]:
    hook = params.get("preProvisioningHook")
    if hook is None:
        return {}
    return {
        "hook_target_arn": check_function_arn(hook["targetArn"]),
        "hook_payload_version": hook.get("payloadVersion", _PAYLOAD_VERSION),
    }


def _hook(template: Template) -> Result | None:
    if template.hook_target_arn is None:
        return None
    return {"targetArn": template.hook_target_arn, "payloadVersion": template.hook_payload_version}


def _summary(act: Act, template: Template) -> Result:
    return {
        "templateArn": act.realm.arn("provisioningtemplate", template.name),
        "templateName": template.name,
        "description": template.description,
        "creationDate": template.created_at,
        "lastModifiedDate": template.updated_at,
        "enabled": template.enabled,
        "type": template.type,
    }


# --- versions ---------------------------------------------------------------------------------------------------------


def create_provisioning_template_version(tx: Tx, act: Act, params: Params) -> Result:
    template, body = templates.get(tx, act.realm, params["templateName"]), params["templateBody"]
    judge(body, _KINDS[template.type])
    set_as_default = params.get("setAsDefault", False)
    version = templates.create_version(tx, act, template.name, body, set_as_default=set_as_default)
    return {
        "templateArn": act.realm.arn("provisioningtemplate", template.name),
        "templateName": template.name,
        "versionId": version.version,
        "isDefaultVersion": version.is_default,
    }


def describe_provisioning_template_version(tx: Tx, act: Act, params: Params) -> Result:
    version = templates.get_version(tx, act.realm, params["templateName"], params["versionId"])
    return {**_version(version), "templateBody": version.body}


def list_provisioning_template_versions(tx: Tx, act: Act, params: Params) -> Result:
    page = templates.page_versions(tx, act.realm, params["templateName"], *_VERSIONS.opened(params))
    return {"versions": [_version(version) for version in page.items], "nextToken": _VERSIONS.token(page, params)}


def delete_provisioning_template_version(tx: Tx, act: Act, params: Params) -> Result:
    templates.delete_version(tx, act, params["templateName"], params["versionId"])
    return {}


def _version(version: TemplateVersion) -> Result:
    return {
        "versionId": version.version,
        "creationDate": version.created_at,
        "isDefaultVersion": version.is_default,
    }
