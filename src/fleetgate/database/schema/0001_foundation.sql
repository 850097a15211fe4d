-- The foundation. One text for SQLite and PostgreSQL: TEXT and BIGINT only, booleans are 0 and 1, times are
-- milliseconds UTC, structures nobody searches are JSON in TEXT. `realm` is account and region, as in
-- 123456789012/us-east-1. Text is compared by code point (SQLite: BINARY, PostgreSQL: the C collation), because
-- prefixes are searched as ranges.
--
-- Primary keys begin with the realm, which keeps a realm together. Other indexes begin with what tells rows apart, and
-- have the realm second where both are given: SQLite guesses that the first column of an index finds ten rows, and for
-- a realm that is a million rows wrong.

-- Things ------------------------------------------------------------------------------------------------------------

-- Thing types: what things of one kind have in common. deprecated_at is set while no new thing may take the type.
CREATE TABLE thing_types (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    type_id TEXT NOT NULL,
    description TEXT NOT NULL,
    searchable TEXT NOT NULL,
    deprecated_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);

-- Things: the devices as the registry knows them. attributes is JSON for reading a thing in one row, thing_attributes
-- holds the same pairs for finding things by them.
CREATE TABLE things (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    thing_id TEXT NOT NULL,
    type_name TEXT,
    attributes TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name),
    FOREIGN KEY (realm, type_name) REFERENCES thing_types (realm, name)
);
CREATE INDEX things_by_type ON things (type_name, realm, name);

-- Attributes of things, one row each, for look-up by value or by the beginning of a value.
CREATE TABLE thing_attributes (
    realm TEXT NOT NULL,
    thing_name TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (realm, thing_name, name),
    FOREIGN KEY (realm, thing_name) REFERENCES things (realm, name) ON DELETE CASCADE
);
CREATE INDEX thing_attributes_by_value ON thing_attributes (name, realm, value, thing_name);

-- Static thing groups. path is every name from the root down, each followed by a slash. A group never moves, so path,
-- root and depth are written once.
CREATE TABLE thing_groups (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    group_id TEXT NOT NULL,
    parent_name TEXT,
    path TEXT NOT NULL,
    description TEXT NOT NULL,
    attributes TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name),
    FOREIGN KEY (realm, parent_name) REFERENCES thing_groups (realm, name)
);
CREATE INDEX thing_groups_by_parent ON thing_groups (parent_name, realm, name);
CREATE UNIQUE INDEX thing_groups_by_path ON thing_groups (realm, path);

-- Memberships. The key lets a thing into one group of each hierarchy (root) only. group_path repeats the path of the
-- group, so that the things of a whole branch are one range.
CREATE TABLE thing_group_members (
    realm TEXT NOT NULL,
    thing_name TEXT NOT NULL,
    root_name TEXT NOT NULL,
    group_name TEXT NOT NULL,
    group_path TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (realm, thing_name, root_name),
    FOREIGN KEY (realm, thing_name) REFERENCES things (realm, name) ON DELETE CASCADE,
    FOREIGN KEY (realm, group_name) REFERENCES thing_groups (realm, name) ON DELETE CASCADE
);
CREATE INDEX thing_group_members_by_group ON thing_group_members (group_name, realm, thing_name);
CREATE INDEX thing_group_members_by_path ON thing_group_members (root_name, realm, group_path, thing_name);

-- Certificates ------------------------------------------------------------------------------------------------------

-- Device and claim certificates, by the SHA-256 fingerprint of their DER form. listed is 0 for certificates that
-- CreateProvisioningClaim made. ca_fingerprint, claim_fingerprint and superseded_by are history: they outlive what they
-- point at, and are no foreign keys.
CREATE TABLE certificates (
    realm TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    pem TEXT NOT NULL,
    status TEXT NOT NULL,
    mode TEXT NOT NULL,
    origin TEXT NOT NULL,
    public_key_fingerprint TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    ca_fingerprint TEXT,
    claim_fingerprint TEXT,
    superseded_by TEXT,
    listed BIGINT NOT NULL,
    first_connected_at BIGINT,
    customer_version BIGINT NOT NULL,
    generation_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, fingerprint)
);
CREATE INDEX certificates_by_fingerprint ON certificates (fingerprint, realm);
CREATE INDEX certificates_by_creation ON certificates (realm, listed, created_at, fingerprint);
CREATE INDEX certificates_by_authority ON certificates (ca_fingerprint, realm, listed, created_at, fingerprint);
CREATE INDEX certificates_by_successor ON certificates (superseded_by, realm) WHERE superseded_by IS NOT NULL;
CREATE INDEX certificates_unlisted ON certificates (not_after) WHERE listed = 0;

-- CA certificates that users registered as theirs.
CREATE TABLE authorities (
    realm TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    pem TEXT NOT NULL,
    subject TEXT NOT NULL,
    public_key_fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    mode TEXT NOT NULL,
    auto_registration BIGINT NOT NULL,
    registration_template_name TEXT,
    registration_template_body TEXT,
    registration_role_arn TEXT,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    customer_version BIGINT NOT NULL,
    generation_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, fingerprint)
);
CREATE INDEX authorities_by_fingerprint ON authorities (fingerprint, realm);
CREATE INDEX authorities_by_subject ON authorities (subject, realm);
CREATE INDEX authorities_by_creation ON authorities (realm, created_at, fingerprint);
CREATE INDEX authorities_by_template ON authorities (registration_template_name, realm, created_at, fingerprint);

-- The registration code of a realm: what a CA must put into a certificate to prove that its key is at hand.
CREATE TABLE registration_codes (
    realm TEXT NOT NULL,
    code TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm)
);

-- What this installation is about to sign, written down first. fingerprint and completed_at follow after signing. A row
-- without them is a signature that may exist and that nobody was given.
CREATE TABLE issuances (
    realm TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    subject TEXT NOT NULL,
    public_key_fingerprint TEXT NOT NULL,
    tbs_digest TEXT NOT NULL,
    profile TEXT NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    begun_at BIGINT NOT NULL,
    fingerprint TEXT,
    completed_at BIGINT,
    PRIMARY KEY (realm, issuer, serial)
);
CREATE UNIQUE INDEX issuances_by_serial ON issuances (issuer, serial);
CREATE INDEX issuances_unfinished ON issuances (realm, begun_at, issuer, serial) WHERE completed_at IS NULL;

-- Policies ----------------------------------------------------------------------------------------------------------

-- Policies. last_version counts up and never back, so that a version number is never given twice.
CREATE TABLE policies (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    default_version BIGINT NOT NULL,
    last_version BIGINT NOT NULL,
    generation_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);
CREATE INDEX policies_by_creation ON policies (realm, created_at, name);

-- The documents of a policy, at most five.
CREATE TABLE policy_versions (
    realm TEXT NOT NULL,
    policy_name TEXT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, policy_name, version),
    FOREIGN KEY (realm, policy_name) REFERENCES policies (realm, name) ON DELETE CASCADE
);

-- Which policy holds for which certificate or thing group. target is the end of its ARN (cert/.. or thinggroup/..),
-- and one of fingerprint and group_name says the same again as a foreign key.
CREATE TABLE policy_attachments (
    realm TEXT NOT NULL,
    policy_name TEXT NOT NULL,
    target TEXT NOT NULL,
    fingerprint TEXT,
    group_name TEXT,
    attached_at BIGINT NOT NULL,
    PRIMARY KEY (realm, policy_name, target),
    FOREIGN KEY (realm, policy_name) REFERENCES policies (realm, name),
    FOREIGN KEY (realm, fingerprint) REFERENCES certificates (realm, fingerprint) ON DELETE CASCADE,
    FOREIGN KEY (realm, group_name) REFERENCES thing_groups (realm, name) ON DELETE CASCADE
);
CREATE INDEX policy_attachments_by_certificate ON policy_attachments (fingerprint, realm, policy_name);
CREATE INDEX policy_attachments_by_group ON policy_attachments (group_name, realm, policy_name);

-- Which certificate speaks for which thing. exclusive is 1 where the certificate may have no other thing.
CREATE TABLE thing_principals (
    realm TEXT NOT NULL,
    thing_name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    exclusive BIGINT NOT NULL,
    attached_at BIGINT NOT NULL,
    PRIMARY KEY (realm, thing_name, fingerprint),
    FOREIGN KEY (realm, thing_name) REFERENCES things (realm, name),
    FOREIGN KEY (realm, fingerprint) REFERENCES certificates (realm, fingerprint)
);
CREATE INDEX thing_principals_by_certificate ON thing_principals (fingerprint, realm, thing_name);

-- Provisioning ------------------------------------------------------------------------------------------------------

-- Provisioning templates. reprovisioning says how a thing that exists may get a new certificate (NULL: by default).
CREATE TABLE provisioning_templates (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    default_version BIGINT NOT NULL,
    last_version BIGINT NOT NULL,
    role_arn TEXT NOT NULL,
    hook_target_arn TEXT,
    hook_payload_version TEXT,
    reprovisioning TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);

-- The bodies of a provisioning template.
CREATE TABLE template_versions (
    realm TEXT NOT NULL,
    template_name TEXT NOT NULL,
    version BIGINT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, template_name, version),
    FOREIGN KEY (realm, template_name) REFERENCES provisioning_templates (realm, name) ON DELETE CASCADE
);

-- Claims: what one claim certificate may still do. maximum and the rate are NULL where there is no bound.
CREATE TABLE claims (
    realm TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    kind TEXT NOT NULL,
    template_name TEXT,
    batch TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    maximum BIGINT,
    used BIGINT NOT NULL,
    rate_count BIGINT,
    rate_interval BIGINT,
    window_started BIGINT NOT NULL,
    window_used BIGINT NOT NULL,
    serials_listed BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    PRIMARY KEY (realm, fingerprint),
    FOREIGN KEY (realm, fingerprint) REFERENCES certificates (realm, fingerprint) ON DELETE CASCADE
);
CREATE INDEX claims_by_batch ON claims (batch, realm, fingerprint);

-- The serial numbers that a claim may provision, and the thing that each was used for.
CREATE TABLE claim_serials (
    realm TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    serial TEXT NOT NULL,
    thing_name TEXT,
    used_at BIGINT,
    PRIMARY KEY (realm, fingerprint, serial),
    FOREIGN KEY (realm, fingerprint) REFERENCES claims (realm, fingerprint) ON DELETE CASCADE
);

-- Ownership tokens, by the SHA-256 digest of the token. The token itself is kept nowhere.
CREATE TABLE ownership_tokens (
    realm TEXT NOT NULL,
    digest TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    claim_fingerprint TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (realm, digest),
    FOREIGN KEY (realm, fingerprint) REFERENCES certificates (realm, fingerprint) ON DELETE CASCADE
);
CREATE INDEX ownership_tokens_by_certificate ON ownership_tokens (fingerprint, realm);
CREATE INDEX ownership_tokens_waiting ON ownership_tokens (claim_fingerprint, realm, expires_at) WHERE used_at IS NULL;
CREATE INDEX ownership_tokens_by_expiry ON ownership_tokens (expires_at);

-- Functions: the name in a hook ARN and the Python handler bound to it.
CREATE TABLE functions (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    handler TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);

-- Tags of whatever can have them. resource is the end of its ARN, as in policy/name.
CREATE TABLE tags (
    realm TEXT NOT NULL,
    resource TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (realm, resource, name)
);

-- The installation --------------------------------------------------------------------------------------------------

-- Access keys of operators. Installation-wide: a signed request names its key before any realm is known.
CREATE TABLE access_keys (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    label TEXT NOT NULL,
    sealed_secret TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX access_keys_by_account ON access_keys (account, id);

-- What must follow a change, written in the same transaction. Installation-wide: one reader hands out all of it, in
-- the order of the ids, which begin with the time.
CREATE TABLE outbox (
    id TEXT NOT NULL,
    realm TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX outbox_pending ON outbox (id) WHERE delivered = 0;
CREATE INDEX outbox_delivered ON outbox (id) WHERE delivered = 1;

-- The audit trail, append only. Installation-wide: one chain of hashes runs through all realms. position, previous_hash
-- and hash are given to an entry when it is sealed, so that writers do not queue for the end of the chain.
CREATE TABLE audit_entries (
    id TEXT NOT NULL,
    realm TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    details TEXT NOT NULL,
    position BIGINT,
    previous_hash TEXT,
    hash TEXT,
    sealed_at BIGINT,
    PRIMARY KEY (id)
);
CREATE UNIQUE INDEX audit_entries_by_position ON audit_entries (position) WHERE position IS NOT NULL;
CREATE INDEX audit_entries_unsealed ON audit_entries (id) WHERE position IS NULL;
CREATE INDEX audit_entries_by_realm ON audit_entries (realm, id);
CREATE INDEX audit_entries_by_action ON audit_entries (action, realm, id);
CREATE INDEX audit_entries_by_target ON audit_entries (target, realm, id);
CREATE INDEX audit_entries_by_request ON audit_entries (request_id, realm, id);
