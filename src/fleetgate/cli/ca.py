"""`fleetgate ca`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from fleetgate import names, revocation
from fleetgate.cli import show
from fleetgate.cli.place import Here, here
from fleetgate.cli.show import Json, Limit
from fleetgate.errors import Unavailable
from fleetgate.names import certificate_of
from fleetgate.pki import certificate, chain, keys, moments, pem
from fleetgate.pki.crl import LABEL, Reason
from fleetgate.registry import authorities, certificates
from fleetgate.runtime import crl_path

app = typer.Typer(no_args_is_help=True, add_completion=False)

_OWN = {
    "role": "CA",
    "subject": "subject",
    "key": "key",
    "fingerprint": "fingerprint",
    "not_after": "ends",
    "file": "file",
}
_REGISTERED = {
    "fingerprint": "fingerprint",
    "subject": "subject",
    "status": "status",
    "mode": "mode",
    "auto_registration": "auto registration",
    "not_after": "ends",
}


class Part(StrEnum):
    ROOT = "root"
    CHAIN = "chain"


@app.command("show")
@here
async def show_(here: Here, *, as_json: Json = False) -> None:
    """Show the installation's own CA: the root that devices trust, and the CA below it that issues."""
    issuing, root = chain.parse_bundle(here.runtime.issuer.chain_pem)
    folder = here.works.installation.folder / "ca"
    records = [_own("root", root, folder / "root.pem"), _own("issuing", issuing, folder / "issuing.pem")]
    show.listing(records, _OWN, "CAs", as_json)


@app.command()
@here
async def export(
    here: Here,
    part: Annotated[Part, typer.Argument(help="root: what devices trust; chain: the issuing CA and the root.")],
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of standard output.")] = None,
) -> None:
    """Print certificates of the installation's CA as PEM."""
    bundle = chain.parse_bundle(here.runtime.issuer.chain_pem)
    text = "".join(certificate.pem(each) for each in (bundle[-1:] if part is Part.ROOT else bundle))
    if out is None:
        typer.echo(text, nl=False)
    else:
        _save(out, text)


def _save(out: Path, text: str) -> None:
    try:
        out.write_text(text)
    except OSError as error:
        raise Unavailable(
            f"--out {out} cannot be written: {error.strerror}. Name a file in a folder that exists and is yours."
        ) from error
    show.say(f"Wrote {out}.")


@app.command()
@here
async def revoke(
    here: Here,
    certificate_id: Annotated[str, typer.Argument(metavar="CERTIFICATE", help="Its id, its ARN, or its PEM file.")],
    *,
    reason: Annotated[Reason, typer.Option(help="What the revocation list says.")] = Reason.UNSPECIFIED,
    as_json: Json = False,
) -> None:
    """Revoke a certificate for good: its connections end, and the CA's revocation list names it."""
    fingerprint = _named(certificate_id)
    found = await here.change(
        "RevokeCertificate",
        here.realm.arn("cert", fingerprint),
        lambda tx, act: certificates.set_status(tx, act, fingerprint, certificates.Status.REVOKED, reason=reason),
        {"reason": str(reason)},
    )
    show.details({"fingerprint": found.fingerprint, "status": str(found.status), "reason": str(reason)}, as_json)


def _named(text: str) -> str:
    """The fingerprint of the certificate that *text* names. Raises InvalidRequest."""
    if Path(text).is_file():
        return certificate.fingerprint(certificate.load(Path(text).read_text()))
    return certificate_of(text) or names.fingerprint(text)


@app.command()
@here
async def crl(
    here: Here,
    *,
    of: Annotated[str | None, typer.Option("--ca", metavar="FINGERPRINT", help="Default: the CA that issues.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the list here, as PEM.")] = None,
    as_json: Json = False,
) -> None:
    """Show the revocation list of the installation's CA, made anew where it is due."""
    runtime = here.runtime
    issuer = runtime.issuer if of is None else revocation.issuer_of(runtime, of)
    found = await revocation.current_list(runtime, issuer)
    text = pem.text_of(LABEL, found.body)
    if out is not None:
        _save(out, text)
    entries = [
        {
            "serial": f"{each.serial_number:x}",
            "revoked_at": show.moment(moments.from_datetime(each.revocation_date_utc)),
        }
        for each in x509.load_der_x509_crl(found.body)
    ]
    record = {
        "issuer": found.issuer,
        "number": found.number,
        "made_at": show.moment(found.this_update),
        "next_at": show.moment(found.next_update),
        "path": crl_path(found.issuer),
    }
    shown = {"pem": text, "revoked": entries} if as_json else {"revoked": len(entries)}
    show.details(record | shown, as_json)


@app.command("list")
@here
async def list_(here: Here, *, limit: Limit = None, as_json: Json = False) -> None:
    """List the CA certificates that were registered, newest first."""
    found = await here.pages(
        lambda tx, after, count: authorities.page(tx, here.realm, after, count), show.limit(limit, as_json)
    )
    records = [
        show.record(each, "pem", "realm", "registration_config") | {"subject": _subject(certificate.load(each.pem))}
        for each in found.items
    ]
    show.listing(records, _REGISTERED, "registered CAs", as_json, found.more)


def _subject(found: x509.Certificate) -> str:
    """As people write it; the registry keeps what compares equal (RFC 5280, 7.1)."""
    return found.subject.rfc4514_string()


def _own(role: str, found: x509.Certificate, file: Path) -> dict[str, Any]:
    return {
        "role": role,
        "subject": _subject(found),
        "key": keys.kind_of(found.public_key()),
        "fingerprint": certificate.fingerprint(found),
        "not_before": show.moment(int(found.not_valid_before_utc.timestamp() * 1000)),
        "not_after": show.moment(int(found.not_valid_after_utc.timestamp() * 1000)),
        "file": str(file.absolute()),
    }
