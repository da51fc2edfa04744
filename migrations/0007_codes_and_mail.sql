-- One-time codes by e-mail, and the mails themselves. Tables of the module that signs people in.

-- Mails that somebody has asked for by naming an address. A request does no more than add a row here, whether or not
-- anybody has that address, so that neither answer nor time tells; a worker looks the address up a moment later and
-- removes the row.
create table code_requests (
    id           uuid primary key,
    user_name    text not null, -- the address, as credentials hold it
    wish         text not null check (wish in ('verify_email', 'reset_password', 'already_registered')),
    requested_at timestamptz not null default clock_timestamp(),
    due_at       timestamptz not null default clock_timestamp() -- later, where it could not be worked off at once
);
-- the worker takes what is due, oldest first
create index code_requests_due on code_requests (due_at);
-- the worker takes all that ask for the same; erasure
create index code_requests_user_name on code_requests (user_name);

-- The codes that are valid: one for each address and purpose. Addresses nobody has are here as well, with a code that
-- nobody knows, so that trying takes the same path. Both digests are keyed with a secret of the server, so a copy of
-- this table opens nothing and names nobody.
create table one_time_codes (
    address    bytea not null, -- digest of the user name
    purpose    text not null check (purpose in ('verify_email', 'reset_password')),
    user_id    uuid,           -- none where nobody has that address
    code       bytea not null, -- digest of user name, purpose and code
    tries_left smallint not null check (tries_left >= 0),
    expires_at timestamptz not null,
    primary key (address, purpose)
);
-- a new password, erasure
create index one_time_codes_user on one_time_codes (user_id);
-- removal of what has expired
create index one_time_codes_expiry on one_time_codes (expires_at);

-- Mails, written in the transaction of what they tell of and sent afterwards. Recipient, subject and text are sealed
-- with the key of the person. Without a mail server they stay, and can be read here.
create table mails (
    id              uuid primary key,
    user_id         uuid not null,
    kind            text not null,
    recipient       text not null, -- sealed
    subject         text not null, -- sealed
    body            text not null, -- sealed
    created_at      timestamptz not null default clock_timestamp(),
    useful_until    timestamptz, -- nothing is gained by sending it later; none: always useful
    attempts        integer not null default 0,
    next_attempt_at timestamptz not null default clock_timestamp(), -- also the end of the claim of whoever sends it
    sent_at         timestamptz,
    failed_at       timestamptz, -- given up
    last_error      text         -- what the last attempt met, as a short code without anything personal
);
-- the sender takes what is due
create index mails_due on mails (next_attempt_at) where sent_at is null and failed_at is null;
-- erasure
create index mails_user on mails (user_id);
-- the list, newest first; removal of old ones
create index mails_created on mails (created_at, id);
