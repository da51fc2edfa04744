-- Users as admins see them: versions for those who change one at the same time, and a list that stays quick.

alter table users
    add column version bigint not null default 1, -- counts changes
    -- the name as it is looked up and sorted by: byte by byte, so that the beginning of a name is a range of the index
    add column name_key text collate "C" not null generated always as (lower(name)) stored;

-- The list: newest first, or by name, or the names that begin so.
create index users_created on users (created_at, id);
create index users_name on users (name_key, id);
-- Who is reached at that address. More than one person may be.
create index users_contact_email on users (contact_email);
-- Who has a role that few have, in either order of the list; also whether there is another admin before one leaves. The
-- role that most have, customer, is found on the way through the list.
create index users_sellers_created on users (created_at, id) where roles @> '{seller}';
create index users_sellers_name on users (name_key, id) where roles @> '{seller}';
create index users_admins_created on users (created_at, id) where roles @> '{admin}';
create index users_admins_name on users (name_key, id) where roles @> '{admin}';
create index users_analysts_created on users (created_at, id) where roles @> '{analyst}';
create index users_analysts_name on users (name_key, id) where roles @> '{analyst}';
