-- Which events belong to the story of an order. The events themselves are in the log, found by position.
create table {schema}.timeline (
    order_id uuid not null,
    position bigint not null
);

-- # Keys and indexes: a rebuild makes them last

-- One order's events in order, a page at a time.
alter table {schema}.timeline add primary key (order_id, position);
