-- Which log this is, for what is kept of it where others may keep theirs, too: keys in a Redis. Made at random, so that no two
-- are alike; unlike the id of the first event it is there before anything has happened, and cannot be the same because two
-- databases were filled alike. A standby has it after a failover. So does a copy that was restored beside its original.
create table log_identity (
    single boolean primary key default true check (single), -- one row
    id     uuid not null default gen_random_uuid()
);
insert into log_identity default values;
