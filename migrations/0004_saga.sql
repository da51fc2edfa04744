-- Durable timers of sagas: when to look at what again. A timer says only that it is time; what there is to do, the
-- streams say. So a timer that fires twice, or again after a crash, does no harm.
create table timers (
    saga             text not null, -- whose: a saga sees only its own
    key              text not null, -- of what: an order id, or an order id and a refund id
    kind             text not null,
    due_at           timestamptz not null,
    attempts         integer not null default 0, -- times it fired and was put off
    unanswered_since timestamptz, -- since when the gateway has not given an answer
    claimed_until    timestamptz, -- a runner works on it; past that moment it is anybody's
    cause            uuid not null, -- the event that armed it: whoever is done with that leaves alone what armed it since
    correlation      text not null,
    primary key (saga, key, kind)
) with (fillfactor = 70, -- a claim changes the row in place
        autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000); -- rows come and go fast

-- The runner takes the earliest due. A claim is not in the index, so claiming does not write to it.
create index timers_due on timers (saga, due_at);

-- The book of the fake payment gateway. It stands for another company's database: nothing here is read by anything
-- but the fake, and no row of ours refers to it. Its keys are the idempotency keys.
create table fake_gateway_charges (
    key       text primary key,
    method    text, -- with amount, currency and reference: none where a void came before the charge
    amount    bigint,
    currency  text,
    status    text not null check (status in ('captured', 'declined', 'voided', 'silent')),
    reference text
);
create table fake_gateway_refunds (
    key       text primary key,
    charge    text not null references fake_gateway_charges (key),
    amount    bigint not null,
    currency  text not null,
    reference text not null
);
-- The sum of a charge's refunds never exceeds it: looked up for every refund.
create index fake_gateway_refunds_charge on fake_gateway_refunds (charge);
