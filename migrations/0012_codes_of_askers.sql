-- One-time codes belong to the network address that asked for them: whoever asks or tries from elsewhere neither replaces
-- nor uses up somebody else's code. Addresses are here as keyed digests, as in known_addresses. What was asked for before
-- is of no address: it may be tried from anywhere, and ends within minutes.

alter table code_requests
    add column asked_from bytea not null default '',
    -- the same address digested with the keys of before, by which known_addresses may hold it
    add column asked_from_earlier bytea[] not null default '{}';

alter table one_time_codes
    add column asked_from bytea not null default '',
    -- tries from all other addresses together: people change networks between asking and typing
    add column others_tries_left smallint not null default 5 check (others_tries_left >= 0),
    drop constraint one_time_codes_pkey,
    add primary key (address, purpose, asked_from);
