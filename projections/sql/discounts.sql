-- Discounts.
create table {schema}.discounts (
    discount_id  uuid not null,
    region_id    uuid not null,
    currency     text not null,
    shop_id      uuid, -- none: the market's own
    code         text, -- none: given by itself
    title        text not null,
    value        jsonb not null, -- of what kind, and how much
    scope        jsonb not null, -- products and categories by id; empty: all
    minimum      bigint not null, -- minor units of the currency, as every amount
    starts_at    timestamptz,
    ends_at      timestamptz,
    max_uses     bigint,
    max_uses_per_customer bigint,
    used         bigint not null,
    revision     bigint not null, -- uses do not count
    deleted      boolean not null,
    sequence     bigint not null,
    created_at   timestamptz not null,
    updated_at   timestamptz not null, -- uses do not count
    -- what never ends comes last
    given_until  timestamptz generated always as (coalesce(ends_at, timestamptz '9999-12-31 23:59:59.999999+00')) stored,
    used_up      boolean generated always as (max_uses is not null and used >= max_uses) stored
) with (fillfactor = 50);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.discounts add primary key (discount_id);
-- Each sort is read off its index, page by page. None of these columns moves with a use, so that updates stay in place.
create index on {schema}.discounts (created_at, discount_id);
create index on {schema}.discounts (title, discount_id);
create index on {schema}.discounts (given_until, discount_id);
-- The discounts of a market, and the few of a shop.
create index on {schema}.discounts (region_id, created_at, discount_id);
create index on {schema}.discounts (shop_id, created_at, discount_id) where shop_id is not null;
-- What a customer types in.
create index on {schema}.discounts (code) where code is not null;
-- What is given by itself is little beside all that has a code.
create index on {schema}.discounts (created_at, discount_id) where code is null;
-- What is given now: over the years most have ended or are used up. The opposite is a check on the way.
create index on {schema}.discounts (given_until, discount_id) where not deleted and not used_up;
