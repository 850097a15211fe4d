-- Who decides about devices without a certificate: a function and the public keys (JSON: name -> PEM) that its tokens'
-- signatures are checked with. is_default: of the account and region, when a connection names no authorizer.
CREATE TABLE authorizers (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    function_arn TEXT NOT NULL,
    token_key_name TEXT,
    token_keys TEXT NOT NULL,
    status TEXT NOT NULL,
    signing_disabled BIGINT NOT NULL,
    cached_for_http BIGINT NOT NULL,
    is_default BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);
CREATE INDEX authorizers_by_creation ON authorizers (realm, created_at, name);
CREATE UNIQUE INDEX authorizers_default ON authorizers (realm, is_default) WHERE is_default = 1;

-- Endpoint names that users set up beside the default ones. The server name of a connection finds its row, and with it
-- account and region; resource is the name and the id at the end of its ARN.
CREATE TABLE domain_configurations (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    resource TEXT NOT NULL,
    domain_name TEXT NOT NULL,
    domain_type TEXT NOT NULL,
    service_type TEXT NOT NULL,
    status TEXT NOT NULL,
    server_certificate_arn TEXT,
    default_authorizer TEXT,
    allow_override BIGINT,
    authentication_type TEXT NOT NULL,
    application_protocol TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    status_changed_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);
CREATE UNIQUE INDEX domain_configurations_by_domain ON domain_configurations (domain_name);
