-- Categories.
create table {schema}.categories (
    category_id uuid not null,
    title       text not null,
    deleted     boolean not null,
    sequence    bigint not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null
);

-- # Keys and indexes: a rebuild makes them last

alter table {schema}.categories add primary key (category_id);
-- Each sort is read off its index, page by page, past none that was deleted; a title is found in the first.
create index on {schema}.categories (title, category_id) where not deleted;
create index on {schema}.categories (created_at, category_id) where not deleted;
