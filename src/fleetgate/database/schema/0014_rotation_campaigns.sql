-- Rotation campaigns: many devices are asked to renew their certificates, at a pace. selection is JSON, who was due.
-- paced_at is the moment up to which the pace is used up.
CREATE TABLE rotation_campaigns (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    selection TEXT NOT NULL,
    topic TEXT NOT NULL,
    status TEXT NOT NULL,
    per_minute BIGINT NOT NULL,
    outstanding BIGINT NOT NULL,
    patience BIGINT NOT NULL,
    deadline_at BIGINT,
    paced_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);
CREATE INDEX rotation_campaigns_at_work ON rotation_campaigns (status) WHERE status IN ('RUNNING', 'PAUSED');

-- The devices of a campaign, each with the certificate that is to be replaced.
CREATE TABLE rotation_campaign_devices (
    realm TEXT NOT NULL,
    campaign_name TEXT NOT NULL,
    thing_name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    status TEXT NOT NULL,
    notified_at BIGINT,
    settled_at BIGINT,
    PRIMARY KEY (realm, campaign_name, thing_name),
    FOREIGN KEY (realm, campaign_name) REFERENCES rotation_campaigns (realm, name) ON DELETE CASCADE
);
CREATE INDEX rotation_campaign_devices_by_status ON rotation_campaign_devices (campaign_name, status, realm, thing_name);
