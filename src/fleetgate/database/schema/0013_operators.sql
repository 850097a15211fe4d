-- Operators: who calls the API, and what they may do. The rules of 0001_foundation.sql hold, but that users, roles and
-- their policies hang on an account and not on a realm: they are the same in every region, as in AWS's IAM.

-- Users: people and programs with access keys of their own. folded is the name in lower case: names that differ in case
-- alone are one name. tags is JSON.
CREATE TABLE users (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    user_id TEXT NOT NULL,
    path TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX users_by_folded_name ON users (folded, account);

-- Roles: what somebody may become for a while. trust is the policy that says who may.
CREATE TABLE roles (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    role_id TEXT NOT NULL,
    path TEXT NOT NULL,
    description TEXT NOT NULL,
    longest_session BIGINT NOT NULL,
    trust TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX roles_by_folded_name ON roles (folded, account);

-- Policies that are part of one user or role. holder is user/<name> or role/<name>.
CREATE TABLE inline_policies (
    account TEXT NOT NULL,
    holder TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (account, holder, name)
);

-- Policies of their own, that any number of users and roles may have.
CREATE TABLE managed_policies (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    folded TEXT NOT NULL,
    policy_id TEXT NOT NULL,
    path TEXT NOT NULL,
    description TEXT NOT NULL,
    default_version BIGINT NOT NULL,
    last_version BIGINT NOT NULL,
    tags TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);
CREATE UNIQUE INDEX managed_policies_by_folded_name ON managed_policies (folded, account);

-- Their documents; the default version is the one in force.
CREATE TABLE managed_policy_versions (
    account TEXT NOT NULL,
    policy_name TEXT NOT NULL,
    version BIGINT NOT NULL,
    document TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, policy_name, version),
    FOREIGN KEY (account, policy_name) REFERENCES managed_policies (account, name) ON DELETE CASCADE
);

-- Which of them a user or role has. policy_arn is a policy of the account, or one of those that every account has.
CREATE TABLE managed_policy_attachments (
    account TEXT NOT NULL,
    holder TEXT NOT NULL,
    policy_arn TEXT NOT NULL,
    PRIMARY KEY (account, holder, policy_arn)
);
CREATE INDEX managed_policy_attachments_by_policy ON managed_policy_attachments (policy_arn, account, holder);

-- Whose access key it is; NULL: the account's own, which may do everything in it.
ALTER TABLE access_keys ADD COLUMN user_name TEXT;
CREATE INDEX access_keys_by_user ON access_keys (user_name, account, id);

-- Temporary credentials. holder as above, or account for the account itself; holder_id tells a role from a later one of
-- the same name. name is the session's. policies (JSON, or NULL) narrow what the holder may; facts (JSON) are condition
-- keys that the session brings along. The session token is kept as a digest.
CREATE TABLE temporary_credentials (
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    token_digest TEXT NOT NULL,
    sealed_secret TEXT NOT NULL,
    holder TEXT NOT NULL,
    holder_id TEXT NOT NULL,
    name TEXT NOT NULL,
    policies TEXT,
    facts TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX temporary_credentials_by_end ON temporary_credentials (expires_at, id);

-- Names under which devices ask for a role's temporary credentials.
CREATE TABLE role_aliases (
    realm TEXT NOT NULL,
    name TEXT NOT NULL,
    role_arn TEXT NOT NULL,
    duration BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (realm, name)
);
CREATE INDEX role_aliases_by_creation ON role_aliases (realm, created_at, name);
