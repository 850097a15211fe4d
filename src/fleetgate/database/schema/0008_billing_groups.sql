-- Billing groups. The rules of 0001_foundation.sql hold.

-- Groups of things that carry tags for those who share out costs: no hierarchy, no policies.
CREATE TABLE billing_groups (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    group_id TEXT NOT NULL,
    description TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);

-- Which thing is in which: the key lets a thing into one only.
CREATE TABLE billing_group_members (
    realm TEXT NOT NULL,
    thing_name TEXT NOT NULL,
    group_name TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (realm, thing_name),
    FOREIGN KEY (realm, thing_name) REFERENCES things (realm, name) ON DELETE CASCADE,
    FOREIGN KEY (realm, group_name) REFERENCES billing_groups (realm, name) ON DELETE CASCADE
);
CREATE INDEX billing_group_members_by_group ON billing_group_members (group_name, realm, thing_name);
