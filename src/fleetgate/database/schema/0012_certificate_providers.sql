-- Certificate providers. The rules of 0001_foundation.sql hold.

-- The function that signs the signing requests of a realm, in place of the installation's CA: one at most.
CREATE TABLE certificate_providers (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    function_arn TEXT NOT NULL,
    client_token TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm)
);
