-- Sessions: what keeps somebody logged in, and what ends it. Tables of the module that signs people in; the only thing
-- they share with `users` is the id.

-- Counts up whenever all sessions of a person end at once (log-out everywhere, a new password). Access tokens carry the
-- number that held when they were signed: those of before are refused, without a list of them.
alter table credentials
    add column session_epoch integer not null default 0,
    add column verified_at   timestamptz; -- when the person proved that mail to the user name reaches them

-- The refresh tokens that are valid: a row is a token, and a token is valid only while its row is there and has not
-- expired. The id is the token itself, 122 random bits.
create table refresh_tokens (
    id         uuid primary key,
    user_id    uuid not null,
    family_id  uuid not null, -- the session: every token that follows from one log-in
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
-- log-out everywhere, erasure
create index refresh_tokens_user on refresh_tokens (user_id);
-- log-out, and revocation after a token was used twice
create index refresh_tokens_family on refresh_tokens (family_id);
-- removal of what has expired
create index refresh_tokens_expiry on refresh_tokens (expires_at);

-- Refresh tokens that were used. Each is kept until it would have expired, so that a second use is noticed.
create table spent_refresh_tokens (
    id         uuid primary key,
    user_id    uuid not null,
    family_id  uuid not null,
    successor  uuid not null, -- the token that took its place: two tabs that refresh at once both get it
    spent_at   timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);
create index spent_refresh_tokens_user on spent_refresh_tokens (user_id);
create index spent_refresh_tokens_expiry on spent_refresh_tokens (expires_at);

-- When each scheduled job was last begun: whoever moves the row runs the job, so that one of several processes does.
create table scheduled_jobs (
    name     text primary key,
    begun_at timestamptz not null
);
