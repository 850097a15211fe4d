-- Transfers of certificates between accounts. The rules of 0001_foundation.sql hold.

-- What one realm offered another: the last offer of each certificate to each. While state is PENDING the certificate
-- stands in both realms, PENDING_TRANSFER in each. created_at is the certificate's, which lists are ordered by. Rows of
-- completed transfers say who had a certificate before, and are no foreign keys for that.
CREATE TABLE certificate_transfers (
    realm TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL,
    message TEXT,
    reject_reason TEXT,
    offered_at BIGINT NOT NULL,
    ended_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, fingerprint, target)
);
CREATE UNIQUE INDEX certificate_transfers_pending ON certificate_transfers (realm, created_at, fingerprint)
    WHERE state = 'PENDING';
CREATE INDEX certificate_transfers_by_target ON certificate_transfers (fingerprint, target, offered_at);
