-- Regions.
create table {schema}.regions (
    region_id            uuid not null,
    title                text not null,
    country              text not null,
    currency             text not null,
    tax_rate             integer not null, -- basis points
    prices_include_tax   boolean not null,
    default_for_currency boolean not null,
    enabled              boolean not null,
    deleted              boolean not null,
    sequence             bigint not null,
    created_at           timestamptz not null,
    updated_at           timestamptz not null
);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.regions add primary key (region_id);
-- Each sort is read off its index, page by page, past none that was deleted; nearly all others are enabled, which is checked on
-- the way.
create index on {schema}.regions (title, region_id) where not deleted;
create index on {schema}.regions (created_at, region_id) where not deleted;
-- Those that are not are found among many.
create index on {schema}.regions (title, region_id) where not enabled and not deleted;
create index on {schema}.regions (created_at, region_id) where not enabled and not deleted;
-- The regions of a currency, of which some have one and some have many.
create index on {schema}.regions (currency, title, region_id) where not deleted;
create index on {schema}.regions (currency, created_at, region_id) where not deleted;
