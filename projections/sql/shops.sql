-- Shops.
create table {schema}.shops (
    shop_id     uuid not null,
    owner_id    uuid not null,
    title       text not null,
    description text not null,
    status      text not null, -- requested, open or closed
    sequence    bigint not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null
);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.shops add primary key (shop_id);
-- Each sort is read off its index, page by page; nearly all shops are open, which is checked on the way.
create index on {schema}.shops (created_at, shop_id);
create index on {schema}.shops (title, shop_id);
-- A seller's own shops are few.
create index on {schema}.shops (owner_id);
-- What waits for approval, or was closed, is found among many.
create index on {schema}.shops (status, created_at, shop_id) where status <> 'open';
create index on {schema}.shops (status, title, shop_id) where status <> 'open';
