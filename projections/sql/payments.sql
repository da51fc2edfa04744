-- Payments: the state of each, derived from what the gateway said.
create table {schema}.payments (
    payment_id     uuid not null,
    order_id       uuid not null,
    customer_id    uuid not null,
    amount         bigint not null, -- this and all amounts: minor units of the currency
    currency       text not null,
    method         text not null,
    status         text not null,
    attempt        bigint not null,
    deadline_at    timestamptz not null,
    captured       bigint,
    captured_at    timestamptz,
    refunded       bigint not null,
    awaiting       boolean not null, -- an answer of the gateway
    void_requested boolean not null,
    asked          bigint, -- how often, when it was reported that no answer comes
    ended          text, -- voided or expired: how it ended without money
    reason         text, -- what was said last: of a decline, a void or a silence
    sequence       bigint not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null
) with (fillfactor = 80);

-- What the gateway said, in order; one row per event that named a reference.
create table {schema}.payment_ledger (
    payment_id  uuid not null,
    sequence    bigint not null, -- of the event
    reference   text not null,
    kind        text not null,
    amount      bigint, -- nothing moved by a decline or a void
    recorded_at timestamptz not null
);

-- What is to be or was given back.
create table {schema}.payment_refunds (
    payment_id   uuid not null,
    refund_id    uuid not null,
    amount       bigint not null,
    reason       text not null,
    outcome      text not null,
    failure      text, -- what the gateway said when it refused
    requested_at timestamptz not null,
    updated_at   timestamptz not null
);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.payments add primary key (payment_id);
-- The payment of an order.
create index on {schema}.payments (order_id);
-- A customer's own payments, newest first.
create index on {schema}.payments (customer_id, created_at, payment_id);
-- What is stuck, what failed: few of many, by age.
create index on {schema}.payments (status, created_at, payment_id);
-- All payments by age, and a span of time.
create index on {schema}.payments (created_at, payment_id);

-- Always read by payment.
alter table {schema}.payment_ledger add primary key (payment_id, sequence);
alter table {schema}.payment_refunds add primary key (payment_id, refund_id);
