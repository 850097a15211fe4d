-- Functions that are called when a certificate waits for activation: for those of one registered CA, or (ca_fingerprint
-- empty) of every one. access_key_id is the key that the function signs its own requests with, made for it alone.
CREATE TABLE registration_functions (
    realm TEXT NOT NULL,
    function_name TEXT NOT NULL,
    ca_fingerprint TEXT NOT NULL,
    access_key_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (realm, function_name, ca_fingerprint),
    FOREIGN KEY (realm, function_name) REFERENCES functions (realm, name) ON DELETE CASCADE
);
CREATE INDEX registration_functions_by_authority ON registration_functions (ca_fingerprint, realm, function_name);
