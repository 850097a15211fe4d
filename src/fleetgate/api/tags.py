"""Tags: TagResource, UntagResource, ListTagsForResource, and the `tags` of the operations that create.

One tag means something: `fleetgate:reprovisioning` on a provisioning template says how a thing that exists already may
get a new certificate by it (`never`, `same-key`, `hook`, `allow`). AWS has no parameter for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fleetgate.api.handling import Params, Result
from fleetgate.api.listing import Listing
from fleetgate.database.port import Tx
from fleetgate.errors import InvalidRequest
from fleetgate.names import Act, Arn
from fleetgate.registry import tags, templates
from fleetgate.registry.templates import Reprovisioning

REPROVISIONING: Final = "fleetgate:reprovisioning"

_TAGS: Final = Listing("tags")


def tag_resource(tx: Tx, act: Act, params: Params) -> Result:
    _put(tx, act, params["resourceArn"], _as_mapping(params["tags"]))
    return {}


def untag_resource(tx: Tx, act: Act, params: Params) -> Result:
    arn, keys = params["resourceArn"], params["tagKeys"]
    tags.remove(tx, act, arn, keys)
    if REPROVISIONING in keys:
        _reprovision(tx, act, arn, None)
    return {}


def list_tags_for_resource(tx: Tx, act: Act, params: Params) -> Result:
    found = tags.of(tx, act.realm, params["resourceArn"])
    page = _TAGS.cut(sorted(found), {**params, "maxResults": tags.MOST})
    return {
        "tags": [{"Key": name, "Value": found[name]} for name in page.items],
        "nextToken": _TAGS.token(page, params),
    }


def put_given(tx: Tx, act: Act, arn: str, params: Params) -> None:
    """Put the `tags` of *params* on what was just created. Raises InvalidRequest."""
    given = _as_mapping(params.get("tags", ()))
    if len(given) > tags.MOST:  # operations that create have no other name for it
        raise InvalidRequest(f"A resource has at most {tags.MOST} tags, not {len(given)}.")
    if given:
        _put(tx, act, arn, given)


def _put(tx: Tx, act: Act, arn: str, given: Mapping[str, str]) -> None:
    tags.put(tx, act, arn, given)
    if REPROVISIONING in given:
        _reprovision(tx, act, arn, given[REPROVISIONING])


def _as_mapping(given: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for tag in given:
        if tag["Key"] in found:
            raise InvalidRequest(f"Tag {tag['Key']!r} is given twice.")
        found[tag["Key"]] = tag.get("Value", "")
    return found


def _reprovision(tx: Tx, act: Act, arn: str, value: str | None) -> None:
    """The tag on anything but a template is a tag like any other."""
    target = Arn.parse(arn)
    if target.kind != "provisioningtemplate":
        return
    try:
        chosen = None if value is None else Reprovisioning(value)
    except ValueError as error:
        raise InvalidRequest(f"Tag {REPROVISIONING} is one of {', '.join(Reprovisioning)}, not {value!r}.") from error
    templates.set_reprovisioning(tx, act, target.name, chosen)
