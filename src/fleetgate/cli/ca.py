"""`fleetgate ca`"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509

from fleetgate import names, revocation, succession
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
    folder = here.works.installation.folder / "ca"
    records = [_own(role, _read(folder / f"{role}.pem"), folder / f"{role}.pem") for role in ("root", "issuing")]
    for each in here.runtime.former:
        assert each.certificate.certificate is not None
        records.append(_own("former", each.certificate.certificate, folder / "former" / each.fingerprint[:16]))
    show.listing(records, _OWN, "CAs", as_json)


def _read(file: Path) -> x509.Certificate:
    return certificate.load(file.read_text())


@app.command()
@here
async def export(
    here: Here,
    part: Annotated[Part, typer.Argument(help="root: what devices trust; chain: the issuing CA and the root.")],
    *,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Instead of standard output.")] = None,
) -> None:
    """Print certificates of the installation's CA as PEM."""
    text = here.runtime.issuer.chain_pem
    if part is Part.ROOT:  # while a former root is shown on, devices may trust that one as well
        root, last = here.works.installation.root_file.read_text(), certificate.pem(chain.parse_bundle(text)[-1])
        text = root if last == root else root + last
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


@app.command()
@here
async def replace(
    here: Here,
    *,
    root: Annotated[bool, typer.Option("--root", help="A new root as well, which the old one vouches for.")] = False,
    as_json: Json = False,
) -> None:
    """Replace the issuing CA: a new key and a new certificate. Devices go on as they are."""
    act = here.act()
    made = await succession.replace_authority(here.runtime, here.works.installation, act, new_root=root)
    show.say("A server that is running takes the new CA when it is started again.")
    show.details(show.record(made), as_json)


@app.command("retire-root")
@here
async def retire_root(here: Here, *, as_json: Json = False) -> None:
    """Show the former root no more, once every device trusts the new one."""
    left = await succession.retire_root(here.runtime, here.works.installation, here.act())
    show.say("A server that is running shows the former root until it is started again.")
    show.details({"root": left}, as_json)


@app.command()
@here
async def passphrase(
    here: Here,
    *,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Holds the new passphrase; else one is made.")] = None,
    as_json: Json = False,
) -> None:
    """Seal the CA's keys with another passphrase."""
    file = await succession.change_passphrase(here.runtime, here.works.installation, here.act(), to)
    if to is not None:
        show.say(f"From now on the configuration must say: authority.passphrase_file = {str(file.absolute())!r}")
    show.details({"passphrase_file": str(file.absolute())}, as_json)


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
