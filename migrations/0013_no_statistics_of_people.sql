-- No statistics of what people are called, where they are reached, and what they log in with. `analyze` copies values of
-- columns into the catalogue (see pg_stats), where they stay when their rows are gone: the name of somebody who was erased
-- would be read there until the table happens to be analyzed again. No query needs them: each of these columns is looked
-- up through an index that fits it, by the whole value or by how it begins.

alter table users
    alter column name set statistics 0,
    alter column name_key set statistics 0,
    alter column contact_email set statistics 0,
    alter column phone set statistics 0,
    alter column address set statistics 0;
alter table credentials
    alter column user_name set statistics 0,
    alter column password_hash set statistics 0;
alter table code_requests
    alter column user_name set statistics 0;
alter table api_keys
    alter column name set statistics 0;

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
