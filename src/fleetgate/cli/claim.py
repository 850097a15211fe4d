"""`fleetgate claim`"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from fleetgate.cli import claim_batch, show, values
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, InvalidRequest, NotFound
from fleetgate.names import Act, Realm, fingerprint
from fleetgate.pki import certificate as x509
from fleetgate.pki import keys
from fleetgate.pki.keys import KeyKind
from fleetgate.provisioning import claim_certificate
from fleetgate.provisioning.claim_certificate import Budget
from fleetgate.registry import claim_batches, claims
from fleetgate.registry.budgets import Rate
from fleetgate.registry.claims import Claim

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.add_typer(claim_batch.app, name="batch", help="What all claims with one label may do together.")

_COLUMNS = {
    "fingerprint": "certificate",
    "template_name": "template",
    "batch": "batch",
    "enabled": "enabled",
    "used": "used",
    "maximum": "of",
    "rate": "rate",
    "not_after": "ends",
}

Template = Annotated[
    str | None, typer.Option(metavar="NAME", help="The only template it may provision by (default: any).")
]
Count = Annotated[int | None, typer.Option(min=1, help="Devices in all (default: no bound).")]
RateOption = Annotated[
    Rate | None, typer.Option(parser=values.rate, metavar="N/TIME", help="At most so many devices at a time: 100/1m.")
]
NotBefore = Annotated[
    int | None, typer.Option(parser=values.moment, metavar="TIME", help="Holds from then on: 2026-01-31, 12h, 30d.")
]
NotAfter = Annotated[int | None, typer.Option(parser=values.moment, metavar="TIME", help="Holds until then.")]
Serials = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="Only these serial numbers: a file with one in a line."),
]
Batch = Annotated[str, typer.Option(metavar="LABEL", help="To find, and to switch off, claims together.")]
WhichClaim = Annotated[
    str, typer.Argument(metavar="CERTIFICATE", help="Id of the claim certificate, or what it begins with.")
]


@app.command()
@here
async def create(
    here: Here,
    *,
    template: Template = None,
    count: Count = None,
    rate: RateOption = None,
    not_before: NotBefore = None,
    not_after: NotAfter = None,
    serials: Serials = None,
    batch: Batch = "",
    key: Annotated[KeyKind | None, typer.Option(help="Kind of key (default: as configured for devices).")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="PREFIX", help="Write PREFIX.pem and PREFIX.key (default: claim or claim-TEMPLATE)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a claim certificate with its key, policy and budget."""
    budget = _budget(template, count, rate, not_before, not_after, serials, batch)
    certificate_file, key_file = _files(out or Path(claim_certificate.policy_name(template)))
    kind = key or KeyKind(here.config.authority.device_key)
    with ExitStack() as written:

        def keep(certificate_pem: str, private_key_pem: str) -> None:
            for file, text in ((key_file, private_key_pem), (certificate_file, certificate_pem)):
                _write(file, text)
                written.callback(file.unlink)

        made = await claim_certificate.create(here.runtime, here.act(), keys.generate(kind), budget, keep)
        written.pop_all()
    record = _record(
        made.claim,
        policy=made.policy_name,
        certificate_file=str(certificate_file.absolute()),
        private_key_file=str(key_file.absolute()),
    )
    show.details(record, as_json)


@app.command()
@here
async def register(
    here: Here,
    certificate: Annotated[
        str, typer.Argument(metavar="CERTIFICATE", help="Id of a registered certificate, or its PEM file.")
    ],
    *,
    template: Template = None,
    count: Count = None,
    rate: RateOption = None,
    not_before: NotBefore = None,
    not_after: NotAfter = None,
    serials: Serials = None,
    batch: Batch = "",
    as_json: Json = False,
) -> None:
    """Give a certificate that is registered already the budget of a claim. Its policies stay as they are."""
    budget = _budget(template, count, rate, not_before, not_after, serials, batch)
    found, act = _fingerprint(certificate), here.act()
    claim = await here.runtime.write(lambda tx: budget.register(tx, act, found))
    show.details(_record(claim), as_json)


@app.command("list")
@here
async def list_(
    here: Here,
    *,
    batch: Annotated[str | None, typer.Option(metavar="LABEL", help="Only this batch.")] = None,
    limit: Limit = None,
    as_json: Json = False,
) -> None:
    """List claims and what is left of their budgets."""
    found = await here.pages(
        lambda tx, after, count: claims.page(tx, here.realm, after, count, batch=batch), show.limit(limit, as_json)
    )
    show.listing([_record(each) for each in found.items], _COLUMNS, "claims", as_json, found.more)


@app.command("show")
@here
async def show_(here: Here, certificate: WhichClaim, *, as_json: Json = False) -> None:
    """Show a claim, and the serial numbers it is bound to."""

    def whole(tx: Tx) -> dict[str, Any]:
        claim = _which(tx, here.realm, certificate)
        serials = claims.page_serials(tx, here.realm, claim.fingerprint, limit=1000).items
        return _record(claim, remaining=claim.remaining, serials=[show.record(each) for each in serials])

    record = await here.read(whole)
    if not as_json:
        record["serials"] = [show.use(each) for each in record["serials"]]
    show.details(record, as_json)


@app.command()
@here
async def disable(
    here: Here,
    certificate: Annotated[
        str | None, typer.Argument(metavar="[CERTIFICATE]", help="Its id, or the beginning.")
    ] = None,
    *,
    batch: Annotated[str | None, typer.Option(metavar="LABEL", help="All claims of this batch.")] = None,
) -> None:
    """Switch a claim, or a whole batch, off: nobody is provisioned by it from now on."""
    await _switch(here, certificate, batch, enabled=False)


@app.command()
@here
async def enable(
    here: Here,
    certificate: Annotated[
        str | None, typer.Argument(metavar="[CERTIFICATE]", help="Its id, or the beginning.")
    ] = None,
    *,
    batch: Annotated[str | None, typer.Option(metavar="LABEL", help="All claims of this batch.")] = None,
) -> None:
    """Switch a claim, or a whole batch, on again."""
    await _switch(here, certificate, batch, enabled=True)


@app.command()
@here
async def add_serials(
    here: Here,
    certificate: WhichClaim,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file with one in a line.")],
) -> None:
    """Put serial numbers on a claim's list. With the first, the claim is bound to its list."""
    serials = values.serials(file)
    claim = await here.read(lambda tx: _which(tx, here.realm, certificate))
    added = await here.change(
        "AddClaimSerials",
        _arn(here, claim),
        lambda tx, act: claims.add_serials(tx, act, claim.fingerprint, serials),
        {"count": len(serials)},
    )
    show.say(f"Added {added} serial numbers; {len(serials) - added} were there.")


@app.command("set")
@here
async def set_(
    here: Here,
    certificate: WhichClaim,
    *,
    count: Count = None,
    rate: RateOption = None,
    not_before: NotBefore = None,
    not_after: NotAfter = None,
    as_json: Json = False,
) -> None:
    """Give a claim other bounds. What is left out stays; what it has used counts on."""
    given = {"count": count, "rate": rate and show.rate(rate), "not_before": not_before, "not_after": not_after}
    details = {name: value for name, value in given.items() if value is not None}
    if not details:
        raise typer.BadParameter("Say what is to change: --count, --rate, --not-before or --not-after.")

    def change(tx: Tx, act: Act) -> Claim:
        claim = _which(tx, here.realm, certificate)
        return claims.set_bounds(
            tx,
            act,
            claim.fingerprint,
            maximum=claim.maximum if count is None else count,
            rate=rate or claim.rate,
            not_before=claim.not_before if not_before is None else not_before,
            not_after=claim.not_after if not_after is None else not_after,
        )

    found = await here.read(lambda tx: _which(tx, here.realm, certificate))
    changed = await here.change("SetClaimBounds", _arn(here, found), change, details)
    show.details(_record(changed), as_json)


@app.command()
@here
async def delete(here: Here, certificate: WhichClaim) -> None:
    """End a claim: the certificate stays, and is no claim any more. Registered again, it has used what it had used."""
    claim = await here.read(lambda tx: _which(tx, here.realm, certificate))
    target, details = _arn(here, claim), {"used": claim.used}
    await here.change("DeleteClaim", target, lambda tx, act: claims.delete(tx, act, claim.fingerprint), details)
    show.say(f"Certificate {claim.fingerprint} is no claim any more.")


async def _switch(here: Here, certificate: str | None, batch: str | None, *, enabled: bool) -> None:
    if (certificate is None) == (batch is None):
        raise typer.BadParameter("Give either a certificate or --batch.")
    action, state = ("EnableClaim", "on") if enabled else ("DisableClaim", "off")
    if batch is not None:
        target = here.realm.arn("claimbatch", batch)

        def move(tx: Tx, act: Act) -> int:
            known = claim_batches.find(tx, here.realm, batch) or claims.page(tx, here.realm, None, 1, batch=batch).items
            if not known:
                raise NotFound(f"No claim has the batch {batch!r}. See what there is with: fleetgate claim list")
            return claims.set_batch_enabled(tx, act, batch, enabled)

        moved = await here.change(action, target, move, {"batch": batch})
        show.say(f"Switched {moved} claim{'' if moved == 1 else 's'} of batch {batch} {state}.")
        return
    claim = await here.read(lambda tx: _which(tx, here.realm, certificate or ""))
    await here.change(
        action, _arn(here, claim), lambda tx, act: claims.set_enabled(tx, act, claim.fingerprint, enabled)
    )
    show.say(f"Claim {claim.fingerprint} is {state} now.")


def _budget(
    template: str | None,
    count: int | None,
    rate: Rate | None,
    not_before: int | None,
    not_after: int | None,
    serials: Path | None,
    batch: str,
) -> Budget:
    listed = values.serials(serials) if serials else ()
    return Budget(template, count, rate, not_before, not_after, listed, batch)


def _record(claim: Claim, **more: Any) -> dict[str, Any]:
    shared = None if claim.shared is None else {"used": claim.shared.used, "maximum": claim.shared.maximum}
    return show.record(claim, "window_started", "window_used", "shared", batch_budget=shared, **more)


def _which(tx: Tx, realm: Realm, beginning: str) -> Claim:
    """The one claim whose certificate's id begins so. Raises NotFound, InvalidRequest."""
    wanted = beginning.lower()
    if len(wanted) == 64:
        return claims.get(tx, realm, wanted)
    found = [each for each in claims.page(tx, realm, wanted, 2).items if each.fingerprint.startswith(wanted)]
    if len(found) != 1:
        raise InvalidRequest(f"{'Several claims have' if found else 'No claim has'} an id that begins with {wanted}.")
    return found[0]


def _fingerprint(certificate: str) -> str:
    path = Path(certificate)
    if path.suffix or path.exists():
        return x509.fingerprint(x509.load(path.read_text()))
    return fingerprint(certificate)


def _files(prefix: Path) -> tuple[Path, Path]:
    """Where certificate and key go. Raises AlreadyExists rather than overwrite, InvalidRequest for the folder."""
    files = prefix.with_name(f"{prefix.name}.pem"), prefix.with_name(f"{prefix.name}.key")
    if taken := [str(file) for file in files if file.exists()]:
        raise AlreadyExists(f"Already there: {', '.join(taken)}. Choose another place with --out.")
    if not os.access(prefix.parent, os.W_OK | os.X_OK):
        raise InvalidRequest(f"Nothing can be written to {prefix.parent.absolute()}. Choose another place with --out.")
    return files


def _write(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _arn(here: Here, claim: Claim) -> str:
    return here.realm.arn("cert", claim.fingerprint)
