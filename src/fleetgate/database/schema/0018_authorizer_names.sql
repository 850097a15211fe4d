-- A connection whose server name tells no account names its authorizer alone.
CREATE INDEX authorizers_by_name ON authorizers (name);
