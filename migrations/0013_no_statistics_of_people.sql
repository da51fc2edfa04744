-- No statistics of people who are gone. `analyze` copies values of columns into the catalogue (see pg_stats), where they
-- stay when their rows are deleted: the name of somebody who was erased would be read there until the table happens to be
-- analyzed again.

-- Columns that no plan depends on, since they are looked up by the whole value through a unique index, or not at all, are
-- not analyzed any more.
alter table users
    alter column name set statistics 0,
    alter column phone set statistics 0,
    alter column address set statistics 0;
alter table credentials
    alter column user_name set statistics 0,
    alter column password_hash set statistics 0;
alter table code_requests
    alter column user_name set statistics 0;
alter table api_keys
    alter column name set statistics 0;

-- By these two people are found in the list: how many there are decides between the index that they are found by and that
-- of the order they are shown in. They are analyzed again whenever somebody was erased, from a small sample, so that this
-- is cheap.
alter table users
    alter column name_key set statistics 10,
    alter column contact_email set statistics 10;

-- Analyzing a table is its owner's to do; a server may be somebody else.
create function renew_statistics_of_people() returns void
    language plpgsql security definer
    -- names are looked for here and nowhere else, whoever calls
    set search_path from current
as $$
begin
    analyze users (name_key, contact_email);
end
$$;

-- What was gathered until now. Before PostgreSQL 18 only a superuser can remove it: see docs/OPERATIONS.md.
do $$
declare
    kept record;
begin
    if to_regproc('pg_catalog.pg_clear_attribute_stats') is null then
        return;
    end if;
    for kept in
        select s.schemaname, s.tablename, s.attname, s.inherited
        from pg_catalog.pg_stats s
        join pg_catalog.pg_attribute a
            on a.attrelid = format('%I.%I', s.schemaname, s.tablename)::regclass and a.attname = s.attname
        where s.schemaname = current_schema() and a.attstattarget = 0
    loop
        perform pg_catalog.pg_clear_attribute_stats(
            kept.schemaname::text, kept.tablename::text, kept.attname::text, kept.inherited);
    end loop;
end
$$;
