-- Nodes: the processes that serve one installation together. seen_at is the last sign of life of each.
-- Installation-wide.
CREATE TABLE nodes (
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);

-- Where several nodes serve, one of them takes each event and acts on it, and all of them hear of it. position is the
-- same for all events that were taken together, and grows: every node reads on from the last one that it knows.
ALTER TABLE outbox ADD COLUMN taken_by TEXT;
ALTER TABLE outbox ADD COLUMN position BIGINT;
CREATE INDEX outbox_by_position ON outbox (position, id) WHERE position IS NOT NULL;
