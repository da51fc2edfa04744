-- Categories: a few rows, read whole.
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
