-- Which events belong to the story of an order. The events themselves are in the log, found by position.
create table {schema}.timeline (
    order_id uuid not null,
    position bigint not null,
    primary key (order_id, position) -- one order's events in order, a page at a time
);
