-- Topic rules, and which events a realm wants published. The rules of 0001_foundation.sql hold.

-- actions is a JSON array of actions as the service model has them, error_action one of them or empty. source is the
-- topic filter of the statement, empty where it has none.
CREATE TABLE topic_rules (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    statement TEXT NOT NULL,
    statement_version TEXT NOT NULL,
    source TEXT NOT NULL,
    description TEXT NOT NULL,
    actions TEXT NOT NULL,
    error_action TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);

-- Event types that were ever set; what is not here is off.
CREATE TABLE event_configurations (
    realm TEXT NOT NULL,
    event_type TEXT NOT NULL,
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, event_type)
);
