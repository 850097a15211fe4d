"""Pages on the wire: the registry's page keys as AWS's `nextToken` and `nextMarker`.

A token is standard base64 (the pattern of markers) of the list's name, a digest of what was asked and the key, so that
a token from one list is refused by every other, and by the same list with another filter. Whether a token is well
formed is checked here, whether its key makes sense in the registry.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleetgate.errors import InvalidRequest
from fleetgate.registry.pages import Page

_ITEMS: Final = 25
"""On a page unless asked otherwise: AWS's number for certificates; for the rest AWS names none."""
_BAD_TOKEN: Final = "The page token is none of this list with this filter. Start again without one."  # noqa: S105 - a message, no secret


_PAGING: Final = {"nextToken", "marker", "maxResults", "pageSize"}
"""What may change from page to page."""


@dataclass(frozen=True, slots=True)
class Listing:
    name: str

    def opened(self, params: Mapping[str, Any]) -> tuple[str | None, int]:
        """The key to go on after, and how many items are wanted. Raises InvalidRequest for another list's token."""
        token = params.get("nextToken", params.get("marker"))
        limit = params.get("maxResults") or params.get("pageSize") or _ITEMS
        return None if token is None else self._key(token, params), limit

    def token(self, page: Page[Any], params: Mapping[str, Any]) -> str | None:
        """What brings the page after *page*, to who asks with the same *params* again; None on the last."""
        if page.next_key is None:
            return None
        return base64.b64encode(f"{self.name}.{_asked(params)}:{page.next_key}".encode()).decode()

    def cut(self, names: Sequence[str], params: Mapping[str, Any]) -> Page[str]:
        """One page of a list that is at hand whole, sorted by name."""
        after, limit = self.opened(params)
        rest = [name for name in names if after is None or name > after]
        return Page(tuple(rest[:limit]), rest[limit - 1] if len(rest) > limit else None)

    def _key(self, token: str, params: Mapping[str, Any]) -> str:
        try:
            head, _, key = base64.b64decode(token, validate=True).decode().partition(":")
        except ValueError as error:
            raise InvalidRequest(_BAD_TOKEN) from error
        if not key or head != f"{self.name}.{_asked(params)}":
            raise InvalidRequest(_BAD_TOKEN)
        return key


def _asked(params: Mapping[str, Any]) -> str:
    """Tells one filter from another; no secret and no proof."""
    filters = {name: value for name, value in params.items() if name not in _PAGING}
    return hashlib.sha256(json.dumps(filters, sort_keys=True).encode()).hexdigest()[:12]
