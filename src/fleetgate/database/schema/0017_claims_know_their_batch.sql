-- Whether the claim's batch has a row in claim_batches, so that a claim whose batch has none costs no look there. NULL: none.
ALTER TABLE claims ADD COLUMN batch_has_budget BIGINT;
UPDATE claims SET batch_has_budget = 1
WHERE EXISTS (SELECT 1 FROM claim_batches b WHERE b.realm = claims.realm AND b.batch = claims.batch);
