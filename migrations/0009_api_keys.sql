-- API keys: what programs use instead of a password. A table of the module that signs people in; the only thing that it
-- shares with `users` is the id. A key is shown once, when it is made, and kept as a digest.

create table api_keys (
    id           uuid primary key,
    user_id      uuid not null, -- its maker: a key may never do more than they may at that time
    name         text not null check (char_length(name) between 1 and 200), -- what its maker calls it
    prefix       text not null check (prefix ~ '^[a-z2-9]{8}$'), -- part of the key that tells it from others in lists and logs
    -- SHA-256 of the whole key. A key has 256 random bits, so there is nothing to guess and a slow hash would protect
    -- nothing; but every request pays for it
    digest       bytea not null check (octet_length(digest) = 32),
    scopes       text[] not null, -- names of permissions; one that a server does not know grants nothing there
    created_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz, -- null: not by itself
    last_used_at timestamptz, -- give or take a minute
    revoked_at   timestamptz,
    -- every look-up of a key that a request brings
    constraint api_keys_digest unique (digest)
);
-- a person's list, how many keys they have, closing their account
create index api_keys_user on api_keys (user_id);
