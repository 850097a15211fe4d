"""What the operations of `iam` share: documents, tags, pages and targets in IAM's spelling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from fleetgate import names
from fleetgate.api.handling import Params, Result, Target
from fleetgate.api.listing import Listing
from fleetgate.errors import InvalidRequest
from fleetgate.registry.pages import Page

_ITEMS: Final = 100
"""On a page unless asked otherwise (IAM: MaxItems)."""


def opened(listing: Listing, params: Params) -> tuple[str | None, int]:
    """The key to go on after, and how many items are wanted. Raises InvalidRequest for another list's marker."""
    return listing.opened(_paging(params))


def paged(listing: Listing, page: Page[Any], member: str, items: Iterable[Any], params: Params) -> Result:
    token = listing.token(page, _paging(params))
    return {member: list(items), "IsTruncated": token is not None, "Marker": token}


def _paging(params: Params) -> dict[str, Any]:
    """*params* with Marker and MaxItems as a `Listing` calls them."""
    rest = {name: value for name, value in params.items() if name not in {"Marker", "MaxItems"}}
    marker = {"marker": params["Marker"]} if "Marker" in params else {}
    return {**rest, **marker, "pageSize": params.get("MaxItems", _ITEMS)}


def cut(listing: Listing, whole: list[str], params: Params) -> Page[str]:
    """One page of a sorted list that is at hand whole."""
    after, limit = opened(listing, params)
    rest = [each for each in whole if after is None or each > after]
    return Page(tuple(rest[:limit]), rest[limit - 1] if len(rest) > limit else None)


def encoded(document: str) -> str:
    """As IAM answers documents: percent-encoded (RFC 3986)."""
    return quote(document, safe="")


def tags_in(params: Params) -> dict[str, str]:
    """Raises InvalidRequest for a key given twice."""
    found: dict[str, str] = {}
    for tag in params.get("Tags", ()):
        if tag["Key"].lower() in {key.lower() for key in found}:
            raise InvalidRequest(f"Duplicate tag keys found: {tag['Key']!r}. Tag keys ignore case.")
        found[tag["Key"]] = tag["Value"]
    return found


def tags_out(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def merged(tags: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """*tags* and *more*, which win; keys ignore case."""
    replaced = {key.lower() for key in more}
    return {**{key: value for key, value in tags.items() if key.lower() not in replaced}, **more}


def without(tags: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    gone = {key.lower() for key in keys}
    return {key: value for key, value in tags.items() if key.lower() not in gone}


def listed_tags(listing: Listing, tags: Mapping[str, str], params: Params) -> Result:
    page = cut(listing, sorted(tags), params)
    return paged(listing, page, "Tags", ({"Key": key, "Value": tags[key]} for key in page.items), params)


def no_boundary(params: Params) -> None:
    """Raises InvalidRequest: what is not enforced may not look as if it were."""
    if params.get("PermissionsBoundary"):
        raise InvalidRequest("Permissions boundaries are not served here; leave PermissionsBoundary out.")


def named(kind: str, parameter: str) -> Target:
    """What an audit entry is about: the ARN of the *kind* of entity whose name is in *parameter*."""
    return lambda act, params, result: names.iam_arn(
        act.realm.account, kind, params.get("Path", "/"), params[parameter]
    )
