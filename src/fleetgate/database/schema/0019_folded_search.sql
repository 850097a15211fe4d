-- What is searched without regard to case is kept in lower case once more: as columns, because pages continue behind a
-- row by comparing several columns at once, which SQLite does along an index only where none of them is an expression.
ALTER TABLE things ADD COLUMN folded_name TEXT;
UPDATE things SET folded_name = lower(name);
DROP INDEX things_by_lower_name;
CREATE INDEX things_by_folded_name ON things (realm, folded_name, name);

ALTER TABLE thing_attributes ADD COLUMN folded TEXT;
UPDATE thing_attributes SET folded = lower(value);
DROP INDEX thing_attributes_by_value;
CREATE INDEX thing_attributes_by_value ON thing_attributes (name, realm, folded, value, thing_name);
