"""Pages on the wire: the registry's page keys as AWS's `nextToken` and `nextMarker`.

A token is standard base64 (the pattern of markers) of the list's name and the key, so that a token from one list is
refused by every other. Whether a token is well formed is checked here, whether its key makes sense in the registry.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleetgate.errors import InvalidRequest
from fleetgate.registry.pages import Page

_ITEMS: Final = 25
"""On a page unless asked otherwise: AWS's number for certificates; for the rest AWS names none."""
_BAD_TOKEN: Final = "The page token is none of this list. Start again without one."  # noqa: S105 - a message, no secret


@dataclass(frozen=True, slots=True)
class Listing:
    name: str

    def opened(self, params: Mapping[str, Any]) -> tuple[str | None, int]:
        """The key to go on after, and how many items are wanted. Raises InvalidRequest for another list's token."""
        token = params.get("nextToken", params.get("marker"))
        limit = params.get("maxResults") or params.get("pageSize") or _ITEMS
        return None if token is None else self._key(token), limit

    def token(self, page: Page[Any]) -> str | None:
        """What brings the page after *page*; None on the last."""
        if page.next_key is None:
            return None
        return base64.b64encode(f"{self.name}:{page.next_key}".encode()).decode()

    def cut(self, names: Sequence[str], params: Mapping[str, Any]) -> Page[str]:
        """One page of a list that is at hand whole, sorted by name."""
        after, limit = self.opened(params)
        rest = [name for name in names if after is None or name > after]
        return Page(tuple(rest[:limit]), rest[limit - 1] if len(rest) > limit else None)

    def _key(self, token: str) -> str:
        try:
            name, colon, key = base64.b64decode(token, validate=True).decode().partition(":")
        except ValueError as error:
            raise InvalidRequest(_BAD_TOKEN) from error
        if name != self.name or not colon or not key:
            raise InvalidRequest(_BAD_TOKEN)
        return key
