-- What all claims of one batch may do together. The rules of 0001_foundation.sql hold.

-- A batch without a row here is a label on its claims and nothing more.
CREATE TABLE claim_batches (
    realm TEXT NOT NULL,
    batch TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    maximum BIGINT,
    used BIGINT NOT NULL,
    rate_count BIGINT,
    rate_interval BIGINT,
    window_started BIGINT NOT NULL,
    window_used BIGINT NOT NULL,
    serials_listed BIGINT NOT NULL,
    not_before BIGINT,
    not_after BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, batch)
);

-- The serial numbers that a batch may provision, and the thing that each was used for.
CREATE TABLE claim_batch_serials (
    realm TEXT NOT NULL,
    batch TEXT NOT NULL,
    serial TEXT NOT NULL,
    thing_name TEXT,
    used_at BIGINT,
    PRIMARY KEY (realm, batch, serial),
    FOREIGN KEY (realm, batch) REFERENCES claim_batches (realm, batch) ON DELETE CASCADE
);

-- Whose key is this? For a device that asks again after the last place of a claim was spent.
CREATE INDEX certificates_by_key ON certificates (public_key_fingerprint, realm);
