-- Regions: a few rows, read whole.
create table {schema}.regions (
    region_id            uuid not null,
    title                text not null,
    country              text not null,
    currency             text not null,
    tax_rate             integer not null, -- basis points
    prices_include_tax   boolean not null,
    default_for_currency boolean not null,
    enabled              boolean not null,
    sequence             bigint not null,
    created_at           timestamptz not null,
    updated_at           timestamptz not null
);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.regions add primary key (region_id);
