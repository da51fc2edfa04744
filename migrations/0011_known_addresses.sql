-- From where somebody has signed in before. Whoever tries many passwords from elsewhere is stopped by a limit that these
-- addresses are not held against: so nobody can lock somebody else out of their account.
create table known_addresses (
    user_id        uuid not null,
    address_digest bytea not null, -- keyed, so that the table tells nobody's address
    seen_at        timestamptz not null default now(),
    primary key (user_id, address_digest)
);
-- removal of those that were not seen for long
create index known_addresses_seen on known_addresses (seen_at);
