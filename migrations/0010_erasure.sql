-- Accounts that were closed. Closing deletes what is known of a person here at once; the key of what is sealed for them in
-- events goes when their last open order has ended. A row holds ids and times only, and stays: it says that the account
-- was closed, and when its data was erased.
create table account_closures (
    person_id     uuid primary key,
    closed_at     timestamptz not null default clock_timestamp(),
    cancel_orders boolean not null, -- whether open orders are cancelled rather than finished
    look_at       timestamptz not null default clock_timestamp(), -- when to look next whether the key can go
    erased_at     timestamptz
);
-- the worker takes the one that was to be looked at first
create index account_closures_due on account_closures (look_at) where erased_at is null;
-- The list: all of them, those whose data is still there, those whose data is erased.
create index account_closures_closed on account_closures (closed_at, person_id);
create index account_closures_pending on account_closures (closed_at, person_id) where erased_at is null;
create index account_closures_erased on account_closures (closed_at, person_id) where erased_at is not null;
