-- Fleet indexing: what queries over things need. The rules of 0001_foundation.sql hold; lower() changes A to Z alone,
-- and no other letters can be in the columns it is used on.

-- What a realm has switched on: the two members of an indexing configuration as JSON.
CREATE TABLE indexing_configurations (
    realm TEXT NOT NULL,
    things TEXT NOT NULL,
    groups TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm)
);

-- A value that is a number has it here once more, as an integer in the order of the numbers (search/values.py).
-- Rows from before have none until the realm's indexing is switched on.
ALTER TABLE thing_attributes ADD COLUMN number BIGINT;
CREATE INDEX thing_attributes_by_number ON thing_attributes (name, realm, number, thing_name) WHERE number IS NOT NULL;

-- One index serves those who mind the case and those who do not.
DROP INDEX thing_attributes_by_value;
CREATE INDEX thing_attributes_by_value ON thing_attributes (name, realm, lower(value), value, thing_name);
CREATE INDEX things_by_lower_name ON things (realm, lower(name), name);
CREATE INDEX things_by_id ON things (thing_id, realm, name);
CREATE INDEX thing_types_by_lower_name ON thing_types (realm, lower(name), name);
CREATE INDEX thing_groups_by_lower_name ON thing_groups (realm, lower(name), name);

-- Dynamic groups: what they find. NULL in a static group.
ALTER TABLE thing_groups ADD COLUMN query TEXT;
CREATE INDEX thing_groups_dynamic ON thing_groups (realm, name) WHERE query IS NOT NULL;

-- Whether a thing's device is connected, since when, and why it is not. node is the run of the server that the
-- connection is at, NULL without one, so that nobody stays connected to a server that died.
CREATE TABLE thing_connectivity (
    realm TEXT NOT NULL,
    thing_name TEXT NOT NULL,
    client_id TEXT NOT NULL,
    node TEXT,
    connected BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    reason TEXT,
    keep_alive BIGINT,
    clean_session BIGINT,
    session_expiry BIGINT,
    PRIMARY KEY (realm, thing_name),
    FOREIGN KEY (realm, thing_name) REFERENCES things (realm, name) ON DELETE CASCADE
);
CREATE INDEX thing_connectivity_by_state ON thing_connectivity (connected, realm, changed_at, thing_name);
CREATE INDEX thing_connectivity_by_node ON thing_connectivity (node, realm, thing_name) WHERE node IS NOT NULL;
