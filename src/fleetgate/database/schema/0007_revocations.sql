CREATE INDEX issuances_by_fingerprint ON issuances (fingerprint) WHERE fingerprint IS NOT NULL;

-- Revoked certificates of this installation's CAs: what their revocation lists are made of. A row stays when its
-- certificate is deleted. issuer and serial are as in issuances, by which a certificate is found that changed accounts.
CREATE TABLE revocations (
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    realm TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    reason TEXT NOT NULL,
    revoked_at BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    PRIMARY KEY (issuer, serial)
);

INSERT INTO revocations (issuer, serial, realm, fingerprint, reason, revoked_at, not_after)
SELECT i.issuer, i.serial, c.realm, c.fingerprint, 'unspecified', c.updated_at, c.not_after
FROM certificates c
JOIN issuances i ON i.fingerprint = c.fingerprint
WHERE c.status = 'REVOKED' AND c.origin = 'issued';

-- Revocation lists. A row without body is a list that was about to be signed; its number is never used again. covers
-- is how many revocations there were, so that a list is known to be out of date.
CREATE TABLE revocation_lists (
    issuer TEXT NOT NULL,
    number BIGINT NOT NULL,
    tbs_digest TEXT NOT NULL,
    covers BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    body TEXT,
    PRIMARY KEY (issuer, number)
);
