-- The node that keeps a session: where its client is connected or was last. Empty where one process serves alone.
ALTER TABLE mqtt_sessions ADD COLUMN node TEXT;
UPDATE mqtt_sessions SET node = '';
CREATE INDEX mqtt_sessions_by_node ON mqtt_sessions (node, realm, client_id);
