-- Functions have one access key each, whatever calls them. The rules of 0001_foundation.sql hold.

-- Made when a function is first called. It is not tied to functions: those of the configuration have one as well.
CREATE TABLE function_keys (
    realm TEXT NOT NULL,
    function_name TEXT NOT NULL,
    access_key_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, function_name)
);
INSERT INTO function_keys (realm, function_name, access_key_id, created_at)
    SELECT realm, function_name, MIN(access_key_id), MIN(created_at) FROM registration_functions
    GROUP BY realm, function_name;
ALTER TABLE registration_functions DROP COLUMN access_key_id;
