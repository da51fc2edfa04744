-- Carts, one row per customer and region, also when nothing is in it any more.
create table {schema}.carts (
    cart_id     uuid not null,
    customer_id uuid not null,
    region_id   uuid not null,
    products    integer not null, -- how many
    pieces      bigint not null,
    items       jsonb not null, -- in the order in which they were put there, at the prices that were shown
    codes       jsonb not null, -- of discounts
    sequence    bigint not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null
) with (fillfactor = 70);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.carts add primary key (cart_id);
-- The carts of a customer that hold something, the last one first.
create index on {schema}.carts (customer_id, updated_at, cart_id) where products > 0;
