-- The catalogue. Changes rarely and is read a lot: an index for each filter and sort.
create table {schema}.products (
    product_id  uuid not null,
    region_id   uuid not null,
    sku         text not null,
    title       text not null,
    description text not null,
    image_url   text,
    price       bigint not null, -- minor units of the currency
    currency    text not null,
    shop_id     uuid,           -- none: the market's own
    category_id uuid,
    kind        text,
    attributes  jsonb not null, -- of its kind, by name; empty without one
    deleted     boolean not null,
    sequence    bigint not null, -- of the product's stream
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    -- what it is found by, in small letters without accents: made of the columns above by products/words.rs
    title_words tsvector not null,
    words       tsvector not null, -- weights: title A, sku B, kind and its texts C, description D
    shop_closed boolean not null default false -- set by the shop, not by the product's stream
);

-- The words of the titles of products that were not deleted, with how many have each: what a spelling mistake is
-- compared with.
create table {schema}.vocabulary (
    word   text not null,
    titles bigint not null
);

-- Shops that sell no more.
create table {schema}.closed_shops (
    shop_id uuid not null
);

-- The stock of each product, apart from the catalogue: narrow rows that every order rewrites. Room on the page and no
-- index on what changes each time keep those updates in place.
create table {schema}.stock (
    product_id uuid not null,
    available  bigint not null, -- below zero: more is promised than is there
    reserved   bigint not null,
    sold       bigint not null,
    threshold  bigint not null, -- from so many pieces down the stock is low; 0: never
    in_stock   boolean generated always as (available > 0) stored,
    low_stock  boolean generated always as (threshold > 0 and available <= threshold) stored,
    sequence   bigint not null, -- of the inventory's stream; 0 before its first event
    updated_at timestamptz
) with (fillfactor = 50);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.products add primary key (product_id);
-- A storefront shows one region; each sort is read off its index, page by page.
create index on {schema}.products (region_id, created_at, product_id);
create index on {schema}.products (region_id, price, product_id);
create index on {schema}.products (region_id, title, product_id);
-- The same without a region; the currency is what makes prices comparable.
create index on {schema}.products (created_at, product_id);
create index on {schema}.products (price, product_id);
create index on {schema}.products (title, product_id);
create index on {schema}.products (currency, price, product_id);
-- A shop, a category and a kind are a part of the catalogue: the newest first, or sorted after they are picked.
create index on {schema}.products (shop_id, created_at, product_id) where shop_id is not null;
create index on {schema}.products (shop_id, price, product_id) where shop_id is not null;
create index on {schema}.products (shop_id, title, product_id) where shop_id is not null;
create index on {schema}.products (category_id, created_at, product_id) where category_id is not null;
create index on {schema}.products (category_id, price, product_id) where category_id is not null;
create index on {schema}.products (category_id, title, product_id) where category_id is not null;
create index on {schema}.products (kind, created_at, product_id) where kind is not null;
create index on {schema}.products (kind, price, product_id) where kind is not null;
create index on {schema}.products (kind, title, product_id) where kind is not null;
-- Attributes of whatever kind, by containment.
create index on {schema}.products using gin (attributes jsonb_path_ops) where kind is not null;
-- Text search: all words, and those of titles, which are ranked first. What was written last is looked through by every
-- search until it is worked in: little of it, so that searches stay as fast.
create index on {schema}.products using gin (words) with (gin_pending_list_limit = 256);
create index on {schema}.products using gin (title_words) with (gin_pending_list_limit = 256);
-- A seller looks a number up; it is unique in its region only, and free again when the product is deleted.
create index on {schema}.products (sku);

alter table {schema}.vocabulary add primary key (word);
-- Words that are spelled alike (pg_trgm).
create index on {schema}.vocabulary using gin (word gin_trgm_ops) with (gin_pending_list_limit = 256);

alter table {schema}.closed_shops add primary key (shop_id);

alter table {schema}.stock add primary key (product_id);
-- "What is sold out?" names few of many products. The opposite names most, and is a check on the way.
create index on {schema}.stock (product_id) where not in_stock;
-- "What is to be ordered soon?" The same: few of many; both change seldom, so that updates stay in place.
create index on {schema}.stock (product_id) where low_stock;
