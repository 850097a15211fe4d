"""What users, roles and managed policies have in common: ids of AWS's form, and tags."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from fleetgate.errors import InvalidRequest, LimitExceeded, all_of
from fleetgate.names import Act

MOST_TAGS: Final = 50


def unique_id(act: Act, prefix: str, name: str) -> str:
    """*prefix* (AIDA, AROA, ANPA) and 17 letters or digits, the same each time within one act."""
    digits = base64.b32encode(bytes.fromhex(act.id_for(prefix, name).replace("-", "")))
    return f"{prefix}{digits[:17].decode()}"


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    """*tags*, when IAM would take them. Raises InvalidRequest with all that is wrong, LimitExceeded."""
    if problems := [f"Tag keys do not begin with aws:, unlike {key!r}." for key in tags if key.lower()[:4] == "aws:"]:
        raise InvalidRequest(all_of(problems))
    if len(tags) > MOST_TAGS:
        raise LimitExceeded(f"Cannot exceed quota for TagsPerResource: {MOST_TAGS}")
    return dict(tags)
