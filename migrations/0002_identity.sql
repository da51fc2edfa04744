-- Who uses the shop. Two tables of two modules that never join: what a person is (users) and how they sign in
-- (credentials). No foreign key between them, so that the two can be served apart; a user and its credential are
-- created in one transaction. Ordinary tables, not events: a person's data can simply be changed and deleted.

-- What a person is. Holds no log-in data.
create table users (
    id            uuid primary key, -- every read of the core is by id; uuid v7, so inserts go to the end of the index
    name          text not null check (char_length(name) between 1 and 200),
    contact_email text, -- where mail goes; at first the address of registration, then the person's own choice
    phone         text,
    address       text,
    -- a set: one person can be customer and admin at once. `<@` is also false for a null among the elements
    roles         text[] not null check (roles <@ array['customer', 'seller', 'admin', 'analyst']),
    created_at    timestamptz not null default now(),
    updated_at    timestamptz not null default now()
);

-- How a person signs in.
create table credentials (
    user_id       uuid primary key,
    user_name     text not null, -- the e-mail address
    password_hash text not null check (password_hash like '$2_$__$%'), -- bcrypt with its salt; never a bare password
    created_at    timestamptz not null default now(),
    -- names are stored in lower case, so that plain equality is case-insensitive and finds the row by the index below
    constraint credentials_user_name_lower_case check (user_name = lower(user_name)),
    -- log-in looks a name up; one name is one person, whatever the number of processes that register it at once
    constraint credentials_user_name unique (user_name)
);
