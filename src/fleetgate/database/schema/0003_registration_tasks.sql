-- Bulk registration. The rules of 0001_foundation.sql hold.

-- Tasks that register one device for each line of a file. line and position say how far the file is answered without a
-- gap; what a crash left answered beyond is in registration_answers. A runner works on a task while its lease lasts.
CREATE TABLE registration_tasks (
    realm TEXT NOT NULL,
    id TEXT NOT NULL,
    template_body TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    role_arn TEXT NOT NULL,
    actor TEXT NOT NULL,
    status TEXT NOT NULL,
    message TEXT NOT NULL,
    size BIGINT NOT NULL,
    modified_at BIGINT NOT NULL,
    line BIGINT NOT NULL,
    position BIGINT NOT NULL,
    successes BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    runner TEXT,
    leased_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (realm, id)
);
CREATE UNIQUE INDEX registration_tasks_open ON registration_tasks (realm) WHERE ended_at IS NULL;
CREATE INDEX registration_tasks_ended ON registration_tasks (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX registration_tasks_by_creation ON registration_tasks (realm, created_at, id);
CREATE INDEX registration_tasks_by_status ON registration_tasks (status, realm, created_at, id);

-- The answer to each line, written with what the line brought about: no line has two.
CREATE TABLE registration_answers (
    realm TEXT NOT NULL,
    task_id TEXT NOT NULL,
    line BIGINT NOT NULL,
    report TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (realm, task_id, line),
    FOREIGN KEY (realm, task_id) REFERENCES registration_tasks (realm, id)
);
CREATE INDEX registration_answers_by_report ON registration_answers (task_id, realm, report, line);
