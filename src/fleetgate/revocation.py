"""What strangers may ask about the installation's certificates: revocation lists and OCSP, made when they are due.

A list is signed by the CA's own key: intent, lint, sign, record. It is made when somebody asks and the last one does
not say everything, or is half through; so whoever asks, however often, gets no more signatures than there are
revocations and half lives. OCSP is answered by a key that the CA certifies for this alone: it lives in memory and is
made anew, by itself, when half of its certificate's time is over.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from fleetgate import authority
from fleetgate.database.port import Tx
from fleetgate.errors import AlreadyExists, NotFound, Unavailable
from fleetgate.names import NO_ACCOUNT
from fleetgate.pki import certificate, crl, keys, ocsp
from fleetgate.pki.keys import KeyKind
from fleetgate.pki.profile import OCSP_RESPONDER
from fleetgate.registry import audit, issuances, revocations
from fleetgate.registry.revocations import PublishedList
from fleetgate.runtime import Issuer, Runtime

OCSP_FRESH: Final = 60_000
"""Milliseconds that an answer without a nonce is given again."""
_MOST_CACHED: Final = 10_000
_TRIES: Final = 5
_PATIENCE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """An OCSP answer; *until* is when another one would be made. Milliseconds UTC."""

    body: bytes
    this_update: int
    next_update: int
    until: int


def issuer_of(runtime: Runtime, fingerprint: str) -> Issuer:
    """Raises NotFound."""
    found = next((each for each in runtime.issuers if each.fingerprint == fingerprint), None)
    if found is None:
        raise NotFound(f"CA {fingerprint} is none of this installation's.")
    return found


def is_due(last: PublishedList | None, revoked: int, now: int) -> bool:
    """Whether another list is to be made: there is none, something was revoked since, or half of its time is over."""
    if last is None or last.covers != revoked:
        return True
    return not last.this_update <= now < (last.this_update + last.next_update) // 2


async def current_list(runtime: Runtime, issuer: Issuer) -> PublishedList:
    """The revocation list of *issuer* as it is now; made where it is due. While another process makes it, the last one
    that is still good.

    Raises Unavailable where there is none, and what `publish` raises.
    """
    for _ in range(_TRIES):
        now = runtime.clock()
        last, revoked = await runtime.database.glance(
            lambda tx: (revocations.latest(tx, issuer.fingerprint), revocations.count(tx, issuer.fingerprint))
        )
        if last is not None and not is_due(last, revoked, now):
            return last
        try:
            return await publish(runtime, issuer)
        except AlreadyExists:
            if last is not None and now < last.next_update:
                return last
            await asyncio.sleep(_PATIENCE_SECONDS)
    raise Unavailable(f"The revocation list of {issuer.fingerprint} is being made by another process. Ask again.")


async def publish(runtime: Runtime, issuer: Issuer) -> PublishedList:
    """Make, sign and record the next revocation list of *issuer*.

    Raises AlreadyExists where another process is making it, CertificateInvalid, Unavailable.
    """
    act, name = runtime.act(NO_ACCOUNT, "system"), issuer.fingerprint

    def look(tx: Tx) -> tuple[list[crl.Revoked], int, int]:
        # What has ended since the last list is on one more (RFC 5280 section 3.3).
        last = revocations.latest(tx, name)
        since = min(act.now, last.this_update) if last else act.now
        found = revocations.in_force(tx, name, since)
        entries = [crl.Revoked(int(each.serial, 16), each.revoked_at, each.reason) for each in found]
        return entries, revocations.count(tx, name), revocations.next_number(tx, name)

    entries, covers, number = await runtime.database.read(look)
    until = act.now + runtime.config.authority.crl_validity
    prepared = crl.prepare(issuer.certificate, entries, number, act.now, until)
    made = PublishedList(name, number, covers, prepared.this_update, prepared.next_update, b"")
    digest = hashlib.sha256(prepared.tbs).hexdigest()
    await runtime.write(
        lambda tx: revocations.begin(
            tx, name, number, digest, covers, this_update=made.this_update, next_update=made.next_update
        )
    )
    made = replace(made, body=crl.complete(prepared, issuer.signer.sign(prepared.tbs)))

    def keep(tx: Tx) -> None:
        revocations.complete(tx, name, number, made.body)
        details = {"number": number, "entries": prepared.entries, "tbsDigest": digest}
        audit.add(tx, act, "PublishRevocationList", act.realm.arn("cacert", name), "ok", details=details)

    await runtime.write(keep)
    return made


class Responder:
    """Answers OCSP for every CA of the installation."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._delegates: dict[str, ocsp.Responder] = {}
        self._delegating = asyncio.Lock()
        self._answers: OrderedDict[tuple[ocsp.Question, str], tuple[ocsp.Status, Answer]] = OrderedDict()

    async def answer(self, question: ocsp.Question) -> Answer:
        """Raises NotFound for a CA that is none of this installation's."""
        issuer = next((each for each in self._runtime.issuers if question.names(each.certificate)), None)
        if issuer is None:
            raise NotFound("The question is about a CA that is none of this installation's.")
        now = self._runtime.clock()
        status = await self._runtime.database.glance(lambda tx: _status(tx, issuer.fingerprint, f"{question.serial:x}"))
        key = (question, issuer.fingerprint)
        if (kept := self._answers.get(key)) is not None and kept[0] == status and now < kept[1].until:
            return kept[1]
        delegate = await self._delegate(issuer, now)
        until = min(now + self._runtime.config.authority.ocsp_validity, delegate.not_after)
        made = Answer(ocsp.answer(question, status, delegate, now, until), now, until, min(now + OCSP_FRESH, until))
        if question.nonce is None:
            self._keep(key, status, made)
        return made

    def _keep(self, key: tuple[ocsp.Question, str], status: ocsp.Status, answer: Answer) -> None:
        self._answers[key] = status, answer
        self._answers.move_to_end(key)
        if len(self._answers) > _MOST_CACHED:
            self._answers.popitem(last=False)

    async def _delegate(self, issuer: Issuer, now: int) -> ocsp.Responder:
        """Whom *issuer* lets answer; another one when half of the time is over. One at a time."""
        async with self._delegating:
            known = self._delegates.get(issuer.fingerprint)
            if known is None or known.not_after - now < OCSP_RESPONDER.validity.duration // 2:
                known = self._delegates[issuer.fingerprint] = await delegate(self._runtime, issuer)
            return known


async def delegate(runtime: Runtime, issuer: Issuer) -> ocsp.Responder:
    """A key that *issuer* certifies for OCSP: written down, linted, signed, noted, as every use of the CA's key."""
    act, key = runtime.act(NO_ACCOUNT, "system"), keys.generate(KeyKind.EC_P256)
    serial = certificate.serial_number(runtime.entropy(20))
    prepared = certificate.prepare(OCSP_RESPONDER, issuer.certificate, None, key.public_key(), serial, act.now)
    intent = authority.intent(prepared, issuer, key.public_key(), OCSP_RESPONDER.name)
    await runtime.write(lambda tx: issuances.begin(tx, act, intent))
    signed = certificate.complete(prepared, issuer.signer.sign(prepared.tbs))
    fingerprint = certificate.fingerprint(signed)
    await runtime.write(lambda tx: authority.note(tx, act, intent, fingerprint, OCSP_RESPONDER.name))
    return ocsp.Responder(signed, issuer.certificate, key, prepared.not_after)


def _status(tx: Tx, issuer: str, serial: str) -> ocsp.Status:
    """A certificate that was signed and given to nobody is known to nobody."""
    if found := revocations.find(tx, issuer, serial):
        return ocsp.Status(True, ocsp.Revoked(found.revoked_at, found.reason))
    issuance = issuances.find(tx, issuer, serial)
    return ocsp.Status(issuance is not None and issuance.fingerprint is not None)
