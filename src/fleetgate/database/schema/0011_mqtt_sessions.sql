-- What MQTT clients are owed beyond their connections and the server's process. Moments are milliseconds UTC.

-- Sessions with at least one subscription. owner is the principal as the audit trail names it; entitled is 1 where the
-- client id is that owner's by right, longest the seconds that its sessions may last. expiry is seconds, 4294967295 for
-- no end. left_at is when the connection ended, and is not set while there is one.
CREATE TABLE mqtt_sessions (
    realm TEXT NOT NULL,
    client_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    owner TEXT NOT NULL,
    entitled BIGINT NOT NULL,
    longest BIGINT NOT NULL,
    expiry BIGINT NOT NULL,
    left_at BIGINT,
    PRIMARY KEY (realm, client_id)
);

-- Their subscriptions, with the options of MQTT 5; identifier is the subscription identifier, if one was given.
CREATE TABLE mqtt_subscriptions (
    realm TEXT NOT NULL,
    client_id TEXT NOT NULL,
    topic_filter TEXT NOT NULL,
    qos BIGINT NOT NULL,
    no_local BIGINT NOT NULL,
    retain_as_published BIGINT NOT NULL,
    retain_handling BIGINT NOT NULL,
    identifier BIGINT,
    PRIMARY KEY (realm, client_id, topic_filter),
    FOREIGN KEY (realm, client_id) REFERENCES mqtt_sessions (realm, client_id) ON DELETE CASCADE
);

-- Messages that wait for a session, in the order of their numbers. packet is an MQTT 5 PUBLISH in base64.
CREATE TABLE mqtt_messages (
    realm TEXT NOT NULL,
    client_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    packet TEXT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (realm, client_id, number),
    FOREIGN KEY (realm, client_id) REFERENCES mqtt_sessions (realm, client_id) ON DELETE CASCADE
);

-- The retained message of each topic.
CREATE TABLE mqtt_retained (
    realm TEXT NOT NULL,
    topic TEXT NOT NULL,
    packet TEXT NOT NULL,
    came_at BIGINT NOT NULL,
    PRIMARY KEY (realm, topic)
);
