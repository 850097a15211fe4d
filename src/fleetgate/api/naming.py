"""Operations that take something by its name or by its ARN."""

from __future__ import annotations

from fleetgate.api.handling import Params
from fleetgate.errors import InvalidRequest, NotFound
from fleetgate.names import Act, Arn


def name_in(act: Act, params: Params, member: str, kind: str) -> str:
    """The name in `<member>Name` or in `<member>Arn`, whose *kind* is as AWS spells it in ARNs.

    Raises InvalidRequest where there is neither, or they name two things; NotFound for another realm's ARN.
    """
    name, arn = params.get(f"{member}Name"), params.get(f"{member}Arn")
    if arn is not None:
        parsed = Arn.parse(arn)
        if parsed.kind != kind or name not in {None, parsed.name}:
            raise InvalidRequest(f"{member}Arn {arn} is not the ARN of {f'{kind} {name}' if name else f'a {kind}'}.")
        if parsed.realm != act.realm:
            raise NotFound(f"There is no {arn} in this account and region.")
        return parsed.name
    if name is None:
        raise InvalidRequest(f"Both {member}Name and {member}Arn cannot be null")
    return str(name)
