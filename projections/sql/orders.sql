-- Orders: what hardly ever changes. Written once, and again only where name, address or items are changed.
create table {schema}.orders (
    order_id           uuid not null,
    number             bigint, -- none: placed before orders had one
    customer_id        uuid not null,
    customer_name      text not null, -- sealed
    shipping_address   text not null, -- sealed
    region_id          uuid not null,
    currency           text not null,
    tax_rate           integer not null, -- basis points
    prices_include_tax boolean not null,
    payment_method     text not null,
    subtotal           bigint not null, -- this and all amounts: minor units of the currency
    discount           bigint not null,
    tax                bigint not null,
    total              bigint not null,
    discounts          jsonb not null, -- those that it has, in the order in which they were given
    payment_due_at     timestamptz not null,
    created_at         timestamptz not null
);

-- How far each order is, apart from the above: rows that every step rewrites are narrow, have room on their page, and
-- few indexes to be entered in again.
create table {schema}.order_states (
    order_id               uuid not null,
    created_at             timestamptz not null, -- of the order, for the indexes below
    status                 text not null,
    payment_status         text not null,
    payment_id             uuid,
    paid                   bigint,
    paid_at                timestamptz,
    refunded               bigint not null,
    cancellation_requested boolean not null,
    cancellation_reason    text,
    deleted                boolean not null, -- its customer does not see it any more
    sequence               bigint not null,
    updated_at             timestamptz not null
) with (fillfactor = 50);

-- What was bought, at the prices of when it was placed or last changed.
create table {schema}.order_lines (
    order_id    uuid not null,
    line        integer not null,
    product_id  uuid not null,
    shop_id     uuid, -- none: the market's own
    sku         text not null,
    title       text not null,
    quantity    bigint not null,
    unit_price  bigint not null,
    discount    bigint not null,
    net         bigint not null,
    tax         bigint not null,
    gross       bigint not null,
    discount_id uuid -- which took it off; none: nothing was
);

-- Whose goods are in an order: one row per shop and order, so that a shop's orders are read off an index.
create table {schema}.order_shops (
    order_id   uuid not null,
    shop_id    uuid not null,
    created_at timestamptz not null -- of the order, for the index below
);

-- What was handed to carriers: pieces per shipment, so that the pieces shipped of a line are a sum and never counted up.
create table {schema}.shipped_lines (
    order_id    uuid not null,
    line        integer not null,
    shipment_id uuid not null,
    quantity    bigint not null,
    shipped_at  timestamptz not null
);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.orders add primary key (order_id);
-- An order by the number that its customer tells.
create index on {schema}.orders (number);
-- A customer's own orders, newest first.
create index on {schema}.orders (customer_id, created_at, order_id);
-- All orders by age, and a span of time.
create index on {schema}.orders (created_at, order_id);
-- All orders by amount, and a span of amounts.
create index on {schema}.orders (total, order_id);
-- The orders of one market.
create index on {schema}.orders (region_id, created_at, order_id);

alter table {schema}.order_states add primary key (order_id);
-- What is pending, what is to be shipped; what was not paid.
create index on {schema}.order_states (status, created_at, order_id);
create index on {schema}.order_states (payment_status, created_at, order_id);

-- Always read by order.
alter table {schema}.order_lines add primary key (order_id, line);
alter table {schema}.order_shops add primary key (order_id, shop_id);
-- The orders of one shop, newest first.
create index on {schema}.order_shops (shop_id, created_at, order_id);
alter table {schema}.shipped_lines add primary key (order_id, line, shipment_id);
